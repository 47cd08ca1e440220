"""The report: what a user or a model wrote is shown as it stands, and figures are those of the records."""

from __future__ import annotations

import gc
import json
import re
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2o.config import load_config
from p2o.errors import RunDirectoryError
from p2o.evolution.budget import Ledger
from p2o.evolution.result import Candidate, Evolution
from p2o.files import append_jsonl, write_jsonl
from p2o.report.charts import thinned
from p2o.report.page import page_of, render, telling, write_report
from p2o.report.problems import Attempt, hard_problems
from p2o.report.records import RunRecords, read_run
from p2o.report.templates import changes, prompt_steps
from p2o.report.texts import cut
from p2o.rollout.reward import RewardConfig
from p2o.templates import make_template
from p2o.track.run_directory import RunDirectory, template_records

START = {"step": 0, "num_tokens": 0, "evaluation/accuracy": 0.5}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def charts_of(page: str) -> dict[str, dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)
    assert found is not None
    return {chart["id"]: chart for chart in json.loads(found[1])}


def candidate(
    identity: int, parents: Sequence[int], *, accepted: bool = False, text: str | None = None, **more: Any
) -> dict[str, Any]:
    text = f"template {identity}" if text is None else text
    template = {"id": f"t{identity}", "text": text}
    record = {"id": identity, "parents": list(parents), "accepted": accepted, "template": template}
    return {"version": 1, "epoch": 1, "text": text, "made_by": "mutation", **record, **more}


def rollout(
    step: int, text: str, reward: float, template: str = "plain", problem: str = "p", **more: Any
) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": step - 1,
        "problem": problem,
        "question": f"what is {problem}?",
        "gold": "4",
        "template": template,
        "reward": reward,
        "finish_reason": "stop",
        "tokens": 9,
        "text": text,
        **more,
    }


def test_families_may_hold_slashes_and_markup() -> None:
    families = {"algebra/linear": 0.25, "geometry/linear": 0.75, "<b>": 1.0}
    record = START | {f"evaluation/accuracy/{name}": value for name, value in families.items()}
    page = render([RunRecords("run", [record])])
    accuracy = charts_of(page)["accuracy"]
    lines = {line["label"]: line["points"] for line in accuracy["lines"]}
    assert lines == {"all problems": [[0, 0.5]], **{name: [[0, value]] for name, value in families.items()}}
    assert '<th class="number">&lt;b&gt;</th>' in page
    assert "<b>" not in page.partition("<script>")[0]


def test_what_a_model_or_a_user_wrote_is_no_markup() -> None:
    """Wherever it stands: names, families, texts, reasons, settings, and in the charts' values."""
    run = RunRecords(
        HOSTILE,
        [
            START | {f"evaluation/accuracy/{HOSTILE}": 0.5},
            {"step": 1, "num_tokens": 9, "guidance/version": 1, "guidance/tokens": 3, "guidance/templates": 1}
            | {"guidance/outcome": HOSTILE},
        ],
        [candidate(0, []), candidate(1, [0], text=HOSTILE, reason=HOSTILE, made_by=HOSTILE)],
        rollouts=[
            rollout(1, HOSTILE, 0.0, problem=HOSTILE, gold=HOSTILE),
            rollout(2, HOSTILE, 1.0, "t1", problem=HOSTILE, gold=HOSTILE),
        ],
        settings={HOSTILE: HOSTILE},
        about={
            "base": HOSTILE,
            "changed": {HOSTILE: [HOSTILE, HOSTILE]},
            "launches": [
                {"started": "2026-01-01T00:00:00+00:00", "step": 0, "device": HOSTILE, "commit": HOSTILE}
                | {"processes": 1, "versions": {HOSTILE: HOSTILE}}
            ],
        },
    )
    page = render([run, replace(run, name="other", settings={})])
    assert page.count("<script") == 3, "values, library, our own"
    assert "<img" not in page
    assert "<script>alert" not in page
    assert page.count("&lt;img") > 20


def test_what_would_steer_a_terminal_is_replaced() -> None:
    """Of a model's text only what HTML allows is written: a report is looked at with `less` too."""
    text = "a\x1b[31mb\x00c\x9bd\x7fe\ud800f\ttab\nline <b>"
    run = RunRecords("run\x1b", [START], [candidate(1, [], text=text, reason="\x1b]0;x\x07")])
    page = render([run]).partition("<script>")[0]
    assert not {c for c in page if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160}
    assert "f\ttab\nline &lt;b&gt;" in page
    page.encode()


def test_an_interval_is_shown_where_it_is_known() -> None:
    """Runs of earlier versions have none."""
    bounds = {"evaluation/low": 0.25, "evaluation/high": 0.75}
    later = START | bounds | {"num_tokens": 1000}
    page = render([RunRecords("run", [START | bounds, later])])
    assert charts_of(page)["accuracy"]["lines"][0]["band"] == [[0.25, 0.75]] * 2
    assert "0.500 [0.250, 0.750]" in page
    page = render([RunRecords("run", [START, later])])
    assert charts_of(page)["accuracy"]["lines"][0]["band"] == []


def test_hard_problems_are_those_of_epochs_ends() -> None:
    records = [START, START | {"num_tokens": 10}, START | {"num_tokens": 20, "hard/count": 7}]
    assert charts_of(render([RunRecords("run", records)]))["hard"]["lines"][0]["points"] == [[20, 7]]


def test_a_figure_that_is_no_number_leaves_a_gap() -> None:
    steps = [{"step": n, "num_tokens": n, "reward": 1.0, "grad_norm": n / 2} for n in (1, 2)]
    steps.append({"step": 3, "num_tokens": 3, "reward": 1.0, "grad_norm": float("nan")})
    charts = charts_of(render([RunRecords("run", steps)]))
    assert charts["gradient"]["lines"][0]["points"] == [[1, 0.5], [2, 1.0], [3, None]]
    assert "kl" not in charts, "nothing was measured"


def test_a_long_line_becomes_means_of_neighbours() -> None:
    points = [(float(n), float(n % 2)) for n in range(1000)]
    assert thinned(points, 1000) == points
    assert thinned(points, 500) == [(2.0 * n + 1, 0.5) for n in range(500)]
    assert len(thinned(points, 300)) == 250


def test_time_and_tokens_are_shared_out_among_phases() -> None:
    """The times are those of all lines: 60 and 30 seconds of rollouts."""
    first = {**START, "time/rollouts_s": 60.0}
    last = {"step": 2, "num_tokens": 1000, "guidance/tokens": 250, "guidance/templates": 0} | {
        "guidance/outcome": "nothing",
        "time/rollouts_s": 30.0,
        "time/update_s": 30.0,
        "time/evaluation_s": 0.0,
    }
    page = render([RunRecords("run", [first, last])])
    for name, amount, share in (
        ("rollouts", "1:30 min", 75.0),
        ("training", "750", 75.0),
        ("prompt steps", "250", 25.0),
    ):
        assert (
            f'<th scope="row">{name}</th><td class="number">{amount}</td>'
            f'<td><span class="bar"><span style="width:{share}%">'
        ) in page


def test_what_carries_over_is_shown_of_the_newest_epoch() -> None:
    """Two templates with figures, the one that solved more first; one that solved nothing is left out."""
    line = {
        "epoch": 2,
        "template": "t1",
        "problems": 9,
        "tried_later": 8,
        "solved_later": 0.25,
        "gain": -0.125,
        "compared": 8,
        "reliance": 0.5,
        "reliance_problems": 6,
        "context_tokens": 100,
        "context_ratio": 0.0625,
        "context_masked": 0.031,
    }
    unknown = dict.fromkeys(("solved_later", "gain", "reliance", "context_ratio", "context_masked"))
    transfer = [
        {**line, "epoch": 1, "problems": 777},
        {**line, **unknown, "template": "y", "problems": 1},
        {**line, "template": "x", "problems": 0},
        line,
    ]
    given = [candidate(1, [], text="use <b>"), candidate(1, [], text="use <b>", made_by="given", version=2)]
    page = render([RunRecords("run", [START], given, transfer)])
    table = page.partition("What carries over")[2].partition("</table>")[0]
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", table)[8:]
    assert cells == [
        *("use &lt;b&gt;", "mutation", "9", "25% of 8", "-12% of 8", "+50% of 6", "0.0625", "3.1%"),
        *("y", "", "1", *5 * "\N{EN DASH}"),
    ]
    assert "What carries over" not in render([RunRecords("run", [START], given)])


def test_a_refused_duplicate_is_not_taken_for_the_template_in_training() -> None:
    """Three candidates of one step: in training, accepted but not chosen, and the first one proposed again."""
    first, second = make_template("Carry."), make_template("Borrow.")
    candidates = (
        Candidate(0, first, accepted=True, scores={"a": (1.0, 1)}),
        Candidate(1, second, accepted=True, scores={"a": (1.0, 1)}),
        Candidate(2, first, accepted=False, reason="duplicate"),
    )
    records = template_records(1, 1, Evolution("1", candidates, (first,), ("a",), (), Ledger(1), "budget"))
    (step,) = prompt_steps(RunRecords("run", [START], records))
    assert [(node.outcome, node.reason, node.text) for node in step.nodes] == [
        ("in training", "", "Carry."),
        ("accepted", "", "Borrow."),
        ("refused", "duplicate", "Carry."),
    ]


def test_templates_stand_in_lines_under_what_they_were_made_of() -> None:
    """0 -> 1 -> 4 (accepted) and 0 -> 2 -> 3 (both refused); 5 is a crossover of 4 and 1, 6 was given."""
    records = [
        candidate(0, [], accepted=True, made_by="plain", text=""),
        candidate(1, [0], reason="not better"),
        candidate(2, [0], reason="duplicate"),
        candidate(3, [2], reason="duplicate"),
        candidate(4, [1], accepted=True, chosen=True, scores={"a": [1.0, 3], "b": [2.0, 3]}),
        candidate(5, [4, 1]),
        candidate(6, [], made_by="given"),
    ]
    (step,) = prompt_steps(RunRecords("run", [START], records))
    assert [(node.id, node.depth, [each.id for each in node.refused]) for node in step.nodes] == [
        (0, 0, [2, 3]),
        (1, 1, []),
        (4, 2, [5]),
        (6, 0, []),
    ]
    four = step.nodes[2]
    assert (four.outcome, four.solved, four.tried) == ("in training", 3.0, 6)
    assert four.refused[0].other_parents == [1]
    assert four.refused[0].reason == "no better than its parent"
    assert step.proposals == 5
    assert step.outcomes == {
        "duplicate": 2,
        "not better": 1,
        "in training": 1,
        "no better than its parent": 1,
    }


def test_proposals_that_were_made_of_no_candidate_are_counted() -> None:
    """Worked examples, and those of a proposer of one's own, name no parent."""
    records = [
        candidate(0, [], accepted=True, made_by="plain", text=""),
        candidate(1, [], made_by="given", reason="no gain"),
        candidate(2, [], made_by="examples", accepted=True),
        candidate(3, [], made_by="examples", reason="no gain"),
    ]
    (step,) = prompt_steps(RunRecords("run", [START], records))
    assert (step.proposals, step.outcomes) == (2, {"accepted": 1, "no gain": 1})


def test_prompt_steps_that_were_skipped_are_listed_too() -> None:
    skipped = {"step": 9, "epoch": 2, "num_tokens": 9, "guidance/version": 2, "guidance/outcome": "skipped"}
    run = RunRecords("run", [START, skipped], [candidate(0, [])])
    assert [(step.version, step.epoch, len(step.nodes)) for step in prompt_steps(run)] == [
        (1, 1, 1),
        (2, 2, 0),
    ]


def test_what_changed_in_a_template_is_marked_word_by_word() -> None:
    assert changes("Add the digits.", "Add the  columns.\nCarry.") == [
        ("same", "Add the"),
        ("gone", " digits."),
        ("new", "  columns.\nCarry."),
    ]
    assert changes("", "Add.") == [("same", "Add.")]
    assert changes("x" * 5000, "Add.") == [("same", "Add.")]
    page = render(
        [RunRecords("run", [START], [candidate(0, [], text="Add <b>."), candidate(1, [0], text="Add <i>.")])]
    )
    assert "Add <del>&lt;b&gt;.</del><ins>&lt;i&gt;.</ins>" in page


def test_a_hard_problem_is_followed_through_the_run() -> None:
    """Failed plain, solved under a template, solved plain; another is solved plain alone; a third was never hard."""
    rollouts = [
        rollout(1, r"\boxed{5}", 0.0, problem="q"),
        rollout(1, r"\boxed{3}", 0.0),
        rollout(1, "no idea", 0.0, finish_reason="length"),
        rollout(2, r"\boxed{4}", 1.0, "t1"),
        rollout(2, r"\boxed{4}", 1.0),
        rollout(3, r"\boxed{4}", 1.0, problem="q"),
        rollout(1, r"\boxed{3}", 0.0, problem="easy"),
        rollout(1, r"\boxed{4}", 1.0, problem="easy"),
    ]
    records = [candidate(1, [], text="Think.")]
    first, second = hard_problems(
        RunRecords("run", [START], records, rollouts=rollouts, reward=RewardConfig())
    )
    assert (first.problem, first.chapters, second.problem, second.chapters) == ("p", 3, "q", 1)
    assert [(each.answer, each.reason) for each in first.attempts] == [
        ("3", "another value than the gold"),
        (None, "cut off after 9 tokens"),
        ("4", ""),
        ("4", ""),
    ]
    assert first.guided is not None
    assert first.guided.template == "Think."
    assert Counter(attempt.epoch for attempt in second.attempts) == {0: 1, 2: 1}
    page = render([RunRecords("run", [START], records, rollouts=rollouts, reward=RewardConfig())])
    assert "Epoch 1: 0 of 2 solved" in page
    assert "what is easy?" not in page


def test_a_long_run_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    """Other problems in each step, with long completions: of four times as many the same twelve are shown."""
    peaks = {}
    for steps in (20, 80):
        (run := tmp_path / f"run{steps}" / "rollouts").mkdir(parents=True)
        write_jsonl(run.parent / "metrics.jsonl", [START])
        every = []
        for step in range(1, steps + 1):
            rollouts = [rollout(step, "a" * 20_000, 0.0, problem=f"p{step:02}", epoch=0) for _ in range(4)]
            write_jsonl(run / f"step-{step:06d}.jsonl", rollouts)
            every += rollouts
        gc.collect()
        tracemalloc.start()
        stories = hard_problems(read_run(run.parent))
        peaks[steps] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [story.problem for story in stories] == [f"p{step:02}" for step in range(1, 13)]
        assert stories == hard_problems(RunRecords("run", rollouts=every))
    assert peaks[80] < 1.1 * peaks[20]


def test_of_a_reward_of_ones_own_no_verdict_is_shown() -> None:
    own = RewardConfig(function="mine:reward")
    (story,) = hard_problems(RunRecords("run", rollouts=[rollout(1, r"\boxed{3}", 0.5)], reward=own))
    assert [(each.answer, each.reason, each.solved) for each in story.attempts] == [(None, "", False)]


@pytest.mark.parametrize(
    ("success", "chapters"),
    [
        (1.0, 2),  # 0.6 under the template is none, and weights that add up to 1 but for a rounding are one
        (0.5, 3),
    ],
)
def test_what_counts_as_solved_is_what_the_run_took_for_a_success(
    tmp_path: Path, success: float, chapters: int
) -> None:
    config = load_config("quickstart", [f"mining.success={success}", 'reward.function="mine:reward"'])
    RunDirectory.create(tmp_path / "run", config, {})
    append_jsonl(tmp_path / "run" / "metrics.jsonl", [START])
    rollouts = [
        rollout(1, "a", 0.3),
        rollout(2, "b", 0.6),
        rollout(3, "c", 0.9999999999999999, "t1"),
        rollout(4, "d", 0.6),
    ]
    run = replace(read_run(tmp_path / "run"), rollouts=rollouts)
    (story,) = hard_problems(run)
    assert story.chapters == chapters
    assert [each.solved for each in story.attempts] == [reward >= success for reward in (0.3, 0.6, 1.0, 0.6)]


def test_a_few_attempts_show_every_kind() -> None:
    def attempt(reward: float, template: str = "") -> Attempt:
        return Attempt(0, template, "text", reward, reward == 1, None, "")

    many = [attempt(0.0)] * 5 + [attempt(1.0, "z")] + [attempt(0.0, "z")] * 2 + [attempt(1.0)]
    assert [(each.solved, each.plain) for each in telling(many)] == [
        *((False, True), (True, False), (False, False), (True, True))
    ]
    assert len(telling([attempt(0.0)] * 5)) == 3


def test_of_a_long_completion_the_end_is_kept() -> None:
    text = "a" * 50 + "b" * 100
    assert cut(text, 150) == text
    shown = cut(text, 30)
    assert shown == f"{10 * 'a'}\n[... 120 characters ...]\n{20 * 'b'}"


def test_runs_of_one_name_are_told_apart_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of two machines, say."""
    monkeypatch.chdir(tmp_path)
    runs = [Path("one/run"), Path("other/run"), Path("third")]
    for run in runs:
        run.mkdir(parents=True)
        append_jsonl(run / "metrics.jsonl", [{"step": 0, "num_tokens": 0, "evaluation/accuracy": 0.5}])
    page = page_of(runs)
    assert "<h1>one/run, other/run and third</h1>" in page
    assert '"label": "other/run"' in page
    assert "<h1>run and third</h1>" in page_of(runs[1:])


def test_runs_are_compared_line_by_line(tmp_path: Path) -> None:
    settings = {"rollout.n": 6, "run.seed": 1}
    records = [
        RunRecords(
            name,
            [START, {"step": 1, "num_tokens": 5, "reward": 0.5, "policy_loss": 1.0, "templated/frac": 0.5}],
        )
        for name in "ab"
    ]
    page = render(
        [replace(records[0], settings=settings), replace(records[1], settings={**settings, "rollout.n": 12})]
    )
    charts = charts_of(page)
    assert [line["label"] for line in charts["accuracy"]["lines"]] == ["a", "b"]
    assert [line["label"] for line in charts["loss-policy_loss"]["lines"]] == ["a", "b"]
    assert (
        charts["groups-templated/frac"]["title"] == "Shares of groups and rollouts: rollouts under a template"
    )
    table = page.partition("Settings that differ between the runs")[2].partition("</table>")[0]
    assert re.findall(r"<code>(.*?)</code>", table) == ["6", "12"]
    assert "run.seed" not in table


def test_a_run_keeps_its_colour_where_another_has_no_line() -> None:
    """Of three runs the middle one has no context ratio; only where ratios span powers of ten the axis does too."""

    def step(ratio: float | None) -> list[dict[str, Any]]:
        ratios = {} if ratio is None else {"context_ratio/max": ratio, "context_ratio/mean": 1.0}
        return [START, {"step": 1, "num_tokens": 5, "reward": 0.5, **ratios}]

    ratios = {"a": 2.0, "b": None, "c": 900.0}
    page = render([RunRecords(name, step(ratio)) for name, ratio in ratios.items()])
    assert "<title>a, b and c</title>" in page
    charts = charts_of(page)
    largest = charts["context-context_ratio/max"]
    assert [(line["label"], line["place"]) for line in largest["lines"]] == [("a", 0), ("c", 2)]
    assert largest["logarithmic"]
    assert not charts["context-context_ratio/mean"]["logarithmic"]


def test_hints_are_proposals_of_their_problems() -> None:
    hints = [
        {**candidate(0, [], accepted=True, chosen=True), "made_by": "self_hint", "problem": "p<1>"},
        {**candidate(1, []), "made_by": "self_hint", "problem": "p2", "reason": "no template in reply"},
    ]
    hints[1]["template"] = {"id": "plain", "text": ""}
    page = render([RunRecords("run", [START], hints)])
    assert "2 proposals, 1 accepted" in page
    assert "1 in training, 1 no template in reply" in page
    assert "self hint for <code>p&lt;1&gt;</code>" in page
    assert "the plain prompt" not in page


@pytest.mark.parametrize("depth", [1, 3000])
def test_ten_thousand_templates_are_shown(depth: int) -> None:
    """All from one, or in lines of three thousand generations."""
    records = [candidate(0, [], accepted=True)]
    for identity in range(1, 10_000):
        parent = 0 if identity % depth == 0 else identity - 1
        records.append(candidate(identity, [parent], accepted=identity % 10 == 0, chosen=identity == 50))
    page = render([RunRecords("run", [START], records)])
    assert page.count('class="badge ') == 10_000
    assert page.count('class="badge in-training"') == 1


def test_the_templates_of_p2o_evolve_are_a_report(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "templates.jsonl",
        [Candidate(0, make_template("Carry."), accepted=True, scores={"a": (1.0, 2)}).to_dict()],
    )
    path = write_report([tmp_path], tmp_path / "report.html")
    page = path.read_text()
    assert "Carry." in page
    assert "solved 1 of 2 dev rollouts" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"neither metrics\.jsonl nor templates\.jsonl has a line"),
        ('{"step": 1}\n', r"is damaged \(KeyError: 'num_tokens'\)"),
    ],
)
def test_a_folder_without_figures_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(RunDirectoryError, match=message) as caught:
        page_of([tmp_path])
    assert "\n" not in str(caught.value)
