"""From run directories to records, and from records to tables and plots."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from p2o.errors import MissingDependencyError, RunDirectoryError
from p2o.files import append_jsonl, with_check
from p2o.study.plan import Study, make_job
from p2o.study.plots import hard_curve
from p2o.study.report import write_report
from p2o.study.results import Results, epochs_of, header_of, record_of
from p2o.study.selection import all_jobs, choose
from p2o.study.tables import render, world_title
from p2o.track.about import commit_of

STUDY = Study.model_validate(
    {
        "title": "Title",
        "tokens": 1000,
        "seeds": [0, 1],
        "compare": [["b", "a"]],
        "selection": {"learning_rates": [1e-4, 2e-4], "seeds": [9]},
        "arms": {
            "a": {"label": "Arm A", "teaches": "nothing", "set": {"run": {"method": "grpo"}}},
            "b": {"label": "Arm B"},
        },
    }
)


def evaluation(tokens: int, accuracy: float, hard: int | None = None, **more: Any) -> dict[str, Any]:
    step = tokens // 100
    families = {"addition": accuracy, "subtraction": accuracy / 2}
    return {
        "epoch": tokens // 600,
        "step": step,
        "generated_tokens": tokens,
        "accuracy": accuracy,
        "by_family": families,
        "hard": hard,
        **more,
    }


PROMPT_STEP = {"prompt_step": {"templates": ["Add.", "Sum."], "tokens": 80, "reason": "2 templates"}}
HISTORY = [
    evaluation(0, 0.0),
    evaluation(500, 0.25, hard=30, **PROMPT_STEP),
    evaluation(700, 0.5),
    evaluation(1100, 1 / 3, hard=12),
]
METRICS: list[dict[str, Any]] = [
    {
        "step": 1,
        "epoch": 0,
        "num_tokens": 100,
        "reward": 0.5,
        "frac_reward_zero_std": 0.5,
        "time/total_s": 1.0,
    },
    {
        "step": 5,
        "epoch": 0,
        "num_tokens": 500,
        "reward": 0.0,
        "frac_reward_zero_std": 1.0,
        "time/total_s": 7.25,
    },
    {"step": 5, "evaluation/accuracy": 0.25, "num_tokens": 500},
    {"step": 5, "guidance/version": 1, "num_tokens": 500, "time/total_s": 9.5},
    {
        "step": 11,
        "epoch": 1,
        "num_tokens": 1100,
        "reward": 1.0,
        "frac_reward_zero_std": 0.0,
        "templated/frac": 0.5,
        "context_ratio/mean": 0.9,
        "context_ratio/min": 0.0005,
        "context_mask/frac": 0.03,
        "time/total_s": 12.0,
    },
]


def test_epochs_by_hand() -> None:
    first, second = epochs_of(METRICS, HISTORY)
    assert (first["reward"], first["zero_variance"], first["hard"], first["tokens"]) == (0.25, 0.75, 30, 500)
    assert first["prompt_step"] == {
        "templates": 2,
        "texts": ["Add.", "Sum."],
        "tokens": 80,
        "reason": "2 templates",
    }
    assert "context_ratio_mean" not in first, "no templated rollout, no context ratio"
    assert (second["context_masked"], second["context_ratio_min"], second["hard"]) == (0.03, 0.0005, 12)
    assert (second["templated"], second["prompt_step"]) == (0.5, None)


def test_an_epoch_cut_short_has_no_hard_set() -> None:
    assert epochs_of(METRICS, HISTORY[:3])[1]["hard"] is None


def test_prompt_steps_within_an_epoch_are_paid_for_by_it_and_mark_no_end_of_it() -> None:
    within = {"prompt_step": {"templates": ["Add."], "tokens": 20, "reason": "1 template"}, "within": True}
    history = [
        evaluation(300, 0.1, hard=40, **within),
        evaluation(400, 0.1, hard=35, within=True),
        evaluation(500, 0.25, hard=30, **PROMPT_STEP),
        evaluation(700, 0.5, hard=20, within=True),
    ]
    first, second = epochs_of(METRICS, history)
    assert (first["hard"], first["prompt_step"]["tokens"]) == (30, 100)
    assert (second["hard"], second["prompt_step"]) == (None, None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    append_jsonl(tmp_path / "metrics.jsonl", METRICS)
    return tmp_path


def test_a_record_is_small_and_complete(run: Path) -> None:
    job = make_job(STUDY, "p2o-tiny", "b", "final", 0, 2e-4)
    record = record_of(header_of(job), run, HISTORY, tokens=1100, seconds=12.3456789)
    assert [e["tokens"] for e in record["evaluations"]] == [0, 500, 700, 1100]
    assert [e["seconds"] for e in record["evaluations"]] == [0.0, 7.25, 0.0, 12.0]
    assert record["evaluations"][3]["accuracy"] == 0.3333
    assert (record["seconds"], record["tokens"], record["learning_rate"]) == (12.35, 1100, 2e-4)
    assert record["settings"] == {"optimizer.learning_rate": 2e-4}
    assert set(record["versions"]) - {"commit"} == {"p2o", "cpu", "python", "torch", "transformers"}
    selected = make_job(STUDY, "p2o-tiny", "b", "selection", 9, 2e-4)
    short = record_of(header_of(selected), run, HISTORY, tokens=1100, seconds=1.0)
    assert short["evaluations"][1] == {"tokens": 500, "accuracy": 0.25}
    assert short["epochs"] == []


def test_a_checkout_is_named_by_its_commit_and_an_installed_package_by_none(
    tmp_path: Path,
) -> None:
    """A package that lies in another project's folder, a virtual environment say, is not of that project's commit."""
    package = tmp_path / "python" / "p2o"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert commit_of(package, "__init__.py") is None

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "other").write_text("")
    git("add", "other")
    git("commit", "-m", "other")
    assert commit_of(package, "__init__.py") is None
    git("add", "python")
    git("commit", "-m", "package")
    clean = commit_of(package, "__init__.py")
    assert clean is not None
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (package / "__init__.py").write_text("changed = 1\n")
    assert commit_of(package, "__init__.py") == f"{clean}+"


def made(arm: str, seed: int, *accuracies: float) -> dict[str, Any]:
    """A final run evaluated at 0, 500 and 1000 tokens."""
    header = header_of(make_job(STUDY, "p2o-tiny", arm, "final", seed, 2e-4))
    evaluations = [
        {
            "epoch": i,
            "step": i,
            "tokens": 500 * i,
            "seconds": 0.0,
            "accuracy": accuracy,
            "by_family": {"addition": accuracy, "subtraction": accuracy / 2},
        }
        for i, accuracy in enumerate(accuracies)
    ]
    epochs = [
        {"epoch": 0, "tokens": 500, "zero_variance": 0.5, "hard": 40, "prompt_step": None},
        {"epoch": 1, "tokens": 1000, "zero_variance": 0.25, "hard": 20 + seed, "prompt_step": None},
    ]
    if arm == "b":
        epochs[0]["prompt_step"] = {"templates": 3, "texts": [], "tokens": 100, "reason": ""}
        epochs[1] |= {"context_masked": 0.0312, "context_ratio_min": 0.0005, "templated": 0.4}
    versions = {"p2o": "0", "python": "3.11", "torch": "2", "transformers": "5"}
    return {
        **header,
        "status": "done",
        "evaluations": evaluations,
        "epochs": epochs,
        "tokens": 1000,
        "prompt_step_tokens": 100 if arm == "b" else 0,
        "seconds": 60.0,
        "versions": versions,
    }


def tried(arm: str, rate: float, accuracy: float) -> dict[str, Any]:
    job = make_job(STUDY, "p2o-tiny", arm, "selection", 9, rate)
    return {
        **header_of(job),
        "status": "done",
        "evaluations": [{"tokens": 0, "accuracy": accuracy}],
        "epochs": [],
    }


@pytest.fixture
def results(tmp_path: Path) -> Results:
    known = Results(tmp_path)
    for arm in "ab":
        known.add(tried(arm, 1e-4, 0.1))
        known.add(tried(arm, 2e-4, 0.3))
    for record in (
        made("a", 0, 0.0, 0.0, 0.2),
        made("a", 1, 0.0, 0.0, 0.4),
        made("b", 0, 0.0, 0.4, 0.8),
        made("b", 1, 0.0, 0.4, 0.6),
    ):
        known.add(record)
    return known


def test_tables_by_hand(results: Results) -> None:
    """Ends: a 0.2 and 0.4, b 0.8 and 0.6. Areas: a 0.05 and 0.1, b 0.4 and 0.35. b - a: ends 0.6, 0.2; areas 0.35,
    0.25. Two values: the interval is from the one to the other."""
    text = render(STUDY, results)
    assert "| Arm A | 2 | 0.0002 | 0.300 [0.200, 0.400] | 0.30 | 0.15 | 0.075 [0.050, 0.100] |" in text
    assert "| Arm B | 2 | 0.0002 | 0.700 [0.600, 0.800] | 0.70 | 0.35 | 0.375 [0.350, 0.400] |" in text
    assert "| Arm B − Arm A | +0.400 [+0.200, +0.600] | +0.300 [+0.250, +0.350] |" in text
    assert "| Arm A | 2.0 | 0.38 | 20 |  |  |  |  |  | 60 |" in text
    assert "| Arm B | 2.0 | 0.38 | 20 | 3.0 | 10% | 40% | 3.12% | 0.0005 | 60 |" in text
    assert "| Arm A | 0.100 | **0.300** |" in text
    assert "| Arm A | nothing | `run.method=grpo` |" in text
    assert "1,000 generated tokens a run" in text


def test_results_of_another_rate_do_not_count(results: Results) -> None:
    """Were 1e-4 the better rate, the final runs at 2e-4 would not be this study's."""
    results.add(tried("a", 1e-4, 0.9))
    assert choose(STUDY, results, "p2o-tiny", "a", results.failed).rate == 1e-4
    text = render(STUDY, results)
    assert "| Arm A | 2 |" not in text
    assert "| Arm B | 2 |" in text


def test_of_equal_rates_the_smaller_is_chosen(results: Results) -> None:
    results.add(tried("a", 1e-4, 0.3))
    assert choose(STUDY, results, "p2o-tiny", "a", results.failed).rate == 1e-4


def test_a_rate_is_chosen_when_all_runs_of_all_rates_are_done(tmp_path: Path) -> None:
    """Two seeds each; a rate with a run that failed and is not done yet is out, however good the other run was."""
    assert STUDY.selection is not None
    study = STUDY.model_copy(update={"selection": STUDY.selection.model_copy(update={"seeds": (8, 9)})})
    results, broken = Results(tmp_path), set[str]()

    def found() -> Any:
        return choose(study, results, "p2o-tiny", "a", lambda job: job.id in broken)

    def add(rate: float, seed: int, accuracy: float) -> None:
        job = make_job(study, "p2o-tiny", "a", "selection", seed, rate)
        record = tried("a", rate, accuracy)
        results.add({**record, **{key: value for key, value in header_of(job).items() if key != "phase"}})

    add(1e-4, 8, 0.2)
    add(2e-4, 8, 0.8)
    broken.add(make_job(study, "p2o-tiny", "a", "selection", 9, 2e-4).id)
    assert found().scores == {2e-4: -1.0}
    add(2e-4, 9, 0.4)
    first = found()
    assert (first.ready, first.rate, list(first.scores)) == (False, None, [2e-4])
    add(1e-4, 9, 0.4)
    second = found()
    assert (second.ready, second.rate) == (True, 2e-4)
    assert second.scores[2e-4] == pytest.approx(2 * second.scores[1e-4])


def test_one_world_and_one_arm_choose_for_others(tmp_path: Path) -> None:
    """Arm b takes what arm a has chosen in world w, everywhere; only that is run to choose."""
    selection = {"learning_rates": [1e-4, 2e-4], "seeds": [9], "world": "w"}
    arms = {"a": {"label": "A"}, "b": {"label": "B", "rate_of": "a"}}
    study = Study.model_validate(
        {"title": "t", "tokens": 1000, "seeds": [0], "selection": selection, "arms": arms}
        | {"worlds": {"w": {"leak": 0.1}}}
    )
    results = Results(tmp_path)
    planned = [job.id for job, _ in all_jobs(study, results, lambda job: False)]
    assert planned == [
        "w/a/selection-lr0.0001-seed9",
        "w/a/selection-lr0.0002-seed9",
        *(f"{world}/{arm}/final-seed0" for world in ("p2o-tiny", "w") for arm in "ab"),
    ]
    for rate in (1e-4, 2e-4):
        header = header_of(make_job(study, "w", "a", "selection", 9, rate))
        evaluations = [{"tokens": 0, "accuracy": 1000 * rate}]
        results.add({**header, "status": "done", "evaluations": evaluations, "epochs": []})
    ready = [
        job for job, ready in all_jobs(study, results, lambda job: False) if ready and job.phase == "final"
    ]
    assert [job.learning_rate for job in ready] == [2e-4] * 4


def test_a_family_that_not_all_seeds_evaluate_has_no_column(results: Results) -> None:
    """With problems of its own a seed may have none of a family."""
    record = made("b", 1, 0.0, 0.4, 0.6)
    for point in record["evaluations"]:
        del point["by_family"]["addition"]
    results.add(record)
    head = next(line for line in render(STUDY, results).splitlines() if line.startswith("| arm | seeds"))
    assert "| accuracy at the end | subtraction | area under the curve |" in head


def test_accuracy_under_a_template_has_a_column_of_its_own(results: Results) -> None:
    assert "under its template" not in render(STUDY, results)
    for seed, end in ((0, 0.9), (1, 0.7)):
        record = made("b", seed, 0.0, 0.4, 0.6)
        for point, value in zip(record["evaluations"], (0.0, 0.5, end), strict=True):
            point["guided"] = value
        results.add(record)
    text = render(STUDY, results)
    assert "| 0.075 [0.050, 0.100] |  |" in text, "of arm a nothing is known"
    assert "| 0.350 [0.350, 0.350] | 0.800 [0.700, 0.900] |" in text


def test_worlds_of_one_leak_are_told_apart() -> None:
    worlds = {"one": {"leak": 0.01}, "two": {"leak": 0.01, "seed": 1}, "other": {"leak": 0.003}}
    study = Study.model_validate({**STUDY.model_dump(exclude={"selection"}), "worlds": worlds})
    assert [world_title(study, world) for world in study.world_names] == [
        "shipped world, leak 0.0005",
        "leak 0.01, one",
        "leak 0.01, two",
        "leak 0.003",
    ]


def test_figures_by_world_by_hand(tmp_path: Path) -> None:
    """Only arm b has a run in world w, which ends at 0.8 with an area of 0.4."""
    study = Study.model_validate({**STUDY.model_dump(exclude={"selection"}), "worlds": {"w": {"leak": 0.01}}})
    results = Results(tmp_path)
    for world, arm, ends in (("p2o-tiny", "a", (0.0, 0.0, 0.2)), ("w", "b", (0.0, 0.4, 0.8))):
        record = made(arm, 0, *ends)
        results.add(record | header_of(make_job(study, world, arm, "final", 0, None)))
    text = render(study, results)
    head = "| arm | shipped world, leak 0.0005 | leak 0.01 |"
    assert f"Accuracy at the end by world:\n\n{head}\n| --- | ---: | ---: |\n| Arm A | 0.200 |  |" in text
    assert f"Area under the curve by world:\n\n{head}\n| --- | ---: | ---: |\n| Arm A | 0.050 |  |" in text
    assert "| Arm B |  | 0.400 |" in text


def timed(results: Results, **versions: str) -> None:
    """Runs at twice the pace for arm A (30 s) as for B (60 s: 120 at half a core), made as `versions` say."""
    for arm, pace, accuracies in (("a", 15.0, (0.0, 0.2, 0.4)), ("b", 30.0, (0.0, 0.6, 0.8))):
        results.add(tried(arm, 1e-4, 0.1))
        results.add(tried(arm, 2e-4, 0.3))
        record = made(arm, 0, *accuracies) | {"seconds": 2 * pace}
        record["evaluations"] = [e | {"seconds": pace * i} for i, e in enumerate(record["evaluations"])]
        record["versions"] |= versions
        if arm == "b":
            record["evaluations"] = [e | {"seconds": 2 * e["seconds"]} for e in record["evaluations"]]
            record |= {"seconds": 120.0, "cpu_s": 63.0, "wall_s": 126.0}
        results.add(record)


def test_accuracy_after_the_seconds_of_the_fastest_arm_by_hand(tmp_path: Path) -> None:
    """A is done after 30 s, at 0.4; B stands at 0.6 then, in the middle of its budget."""
    results = Results(tmp_path / "alike")
    (tmp_path / "alike").mkdir()
    timed(results, commit="123456789", cpu="AVX2")
    text = render(STUDY, results)
    head, _, first, second = [line for line in text.splitlines() if line.startswith("|")][:4]
    assert head.endswith("| area under the curve | accuracy after 30 s |")
    assert first.startswith("| Arm A |")
    assert first.endswith("| 0.400 |")
    assert second.endswith("| 0.600 |")
    assert "torch 2, transformers 5, Python 3.11, AVX2, commit 123456789." in text
    written = write_report("s", STUDY, results, tmp_path / "out")
    assert {path.name for path in written} == {"tables.md", "s-accuracy.svg", "s-hard.svg", "s-seconds.svg"}


@pytest.mark.parametrize("other", [{"commit": "987654321"}, {"cpu": "AVX512"}])
def test_clocks_are_not_compared_across_commits_and_processors(tmp_path: Path, other: dict[str, str]) -> None:
    results = Results(tmp_path)
    timed(results, commit="123456789", cpu="AVX2")
    record = results.records[made("b", 0, 0.0)["id"]]
    record["versions"] |= other
    assert "accuracy after" not in render(STUDY, results)


def test_a_two_way_table_by_hand(results: Results) -> None:
    study = STUDY.model_copy(deep=True)
    object.__setattr__(study.arms["a"], "cell", ("no template", "plain"))
    object.__setattr__(study.arms["b"], "cell", ("templates", "distilled"))
    text = render(study, results)
    assert "| area under the curve / accuracy at the end | plain | distilled |" in text
    assert "| no template | 0.075 / 0.300 |  |" in text
    assert "| templates |  | 0.375 / 0.700 |" in text


def test_failures_are_listed(results: Results) -> None:
    job = make_job(STUDY, "p2o-tiny", "b", "final", 1, 2e-4)
    results.add({**header_of(job), "status": "failed", "error": "out of memory"})
    text = render(STUDY, results)
    assert "- `p2o-tiny/b/final-seed1`: out of memory" in text
    assert "| Arm B | 1 |" in text


def test_a_failure_under_former_settings_is_none_of_the_study_as_it_stands(results: Results) -> None:
    """The arm was changed, or a rate was taken out, and nothing has run since."""
    job = make_job(STUDY, "p2o-tiny", "b", "final", 1, 2e-4)
    results.add({**header_of(job), "status": "failed", "error": "broken", "fingerprint": "0123456789ab"})
    job = make_job(STUDY, "p2o-tiny", "b", "selection", 9, 0.5)
    results.add({**header_of(job), "status": "failed", "error": "broken"})
    assert "broken" not in render(STUDY, results)


def test_a_torn_last_line_costs_one_result_and_no_more(results: Results) -> None:
    lines = results.path.read_text().splitlines(keepends=True)
    results.path.write_text("".join(lines[:-1]) + lines[-1][:50])
    read = Results(results.path.parent)
    assert len(read.records) == len(lines) - 1
    read.add(made("b", 1, 0.0, 0.4, 0.6))
    assert len(Results(results.path.parent).records) == len(lines)


def test_a_line_of_another_file_is_named(results: Results) -> None:
    with results.path.open("a") as file:
        file.write(with_check(json.dumps({"id": "a", "step": 3})))
    with pytest.raises(
        RunDirectoryError, match=r"results.jsonl, line \d+: not a result of p2o study; remove it"
    ):
        Results(results.path.parent)


def test_the_hard_set_is_drawn_at_the_ends_of_epochs() -> None:
    assert hard_curve(made("a", 1, 0.0, 0.0, 0.4)) == ([500.0, 1000.0], [40.0, 21.0])


def test_report_writes_tables_that_end_with_the_pictures(results: Results, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    written = write_report("s", STUDY, results, folder)
    assert {path.name for path in written} == {"tables.md", "s-accuracy.svg", "s-hard.svg"}
    text = (folder / "tables.md").read_text()
    assert text.startswith(f"# {STUDY.title}\n\n")
    assert text.endswith("|\n\n![s-accuracy](s-accuracy.svg)\n![s-hard](s-hard.svg)\n")
    first = (folder / "s-accuracy.svg").read_bytes()
    assert b"Arm A" in first or b"<path" in first
    write_report("s", STUDY, results, folder)
    assert (folder / "tables.md").read_text() == text, "again: the same page"
    assert (folder / "s-accuracy.svg").read_bytes() == first, "and the same picture"


def test_a_label_with_dollars_is_no_formula(results: Results, tmp_path: Path) -> None:
    label = r"$1 a step, \frac$"
    arms = {**STUDY.arms, "a": STUDY.arms["a"].model_copy(update={"label": label})}
    write_report("s", STUDY.model_copy(update={"arms": arms}), results, tmp_path / "out")
    assert label in (tmp_path / "out" / "s-accuracy.svg").read_text(), "a comment beside the outlines"


def test_a_label_that_the_font_lacks_is_drawn_without_a_word(results: Results, tmp_path: Path) -> None:
    """matplotlib warns of each character, which is an error here."""
    arms = {**STUDY.arms, "a": STUDY.arms["a"].model_copy(update={"label": "普通提示"})}
    write_report("s", STUDY.model_copy(update={"arms": arms}), results, tmp_path / "out")
    assert "普通提示" in (tmp_path / "out" / "s-accuracy.svg").read_text()


def test_without_matplotlib_the_tables_are_written(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="p2o-rl\\[study\\]"):
        write_report("s", STUDY, results, tmp_path / "out")
    assert "Arm A" in (tmp_path / "out" / "tables.md").read_text()


def test_without_results_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert [path.name for path in write_report("s", STUDY, Results(tmp_path), tmp_path)] == ["tables.md"]
    assert "No final run is done yet." in (tmp_path / "tables.md").read_text()


def test_records_are_json(results: Results) -> None:
    for line in results.path.read_text().splitlines():
        assert json.loads(line)["status"] == "done"


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    known = Results(tmp_path)
    for arm in "ab":
        known.add(tried(arm, 1e-4, 0.1))
        known.add(tried(arm, 2e-4, 0.3))
    known.add(made("a", 0, 0.0, 0.0, 0.2))
    assert "| Arm A | 1 | 0.0002 | 0.200 | 0.20 | 0.10 | 0.050 |" in render(STUDY, known)
