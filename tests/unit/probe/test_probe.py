"""`p2o probe`: what its figures mean, what luck does to them, and that a kill costs nothing but time."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from p2o.cli.main import main
from p2o.errors import RunDirectoryError
from p2o.intervals import Interval
from p2o.probe import statistics
from p2o.probe.journal import Outcome, ProbeJournal
from p2o.probe.plot import write_picture
from p2o.probe.run import Probe, Rollouts, choose_problems, probe, to_dict
from p2o.probe.statistics import ProbeResult, summarise, templates_for
from p2o.rollout.collect import RolloutRequest
from p2o.rollout.sampler import SamplingParams, requests_at_once
from p2o.templates import PLAIN, make_template
from p2o.track.console import Console
from p2o.types import Message, Problem, Rollout, Template

ONE, TWO = make_template("Think of one."), make_template("Think of two.")


def row(pattern: str) -> list[bool]:
    return [mark == "1" for mark in pattern]


def worked_example(fresh_two: str = "10") -> ProbeResult:
    """Four problems, two rollouts each. `a` and `b` choose, `c` and `d` are held out."""
    sampled = {
        PLAIN.id: {"a": row("00"), "b": row("10"), "c": row("00"), "d": row("00")},
        ONE.id: {"a": row("11"), "b": row("10"), "c": row("00"), "d": row("10")},
        TWO.id: {"a": row("01"), "b": row("00"), "c": row("11"), "d": row("01")},
    }
    fresh = {
        PLAIN.id: {"a": row("00"), "c": row("01"), "d": row("00")},
        ONE.id: {"a": row("11"), "d": row("00")},
        TWO.id: {"c": row("11"), "d": row(fresh_two)},
    }
    return summarise(sampled, fresh, [ONE, TWO], ["a", "b"])


def test_a_probe_worked_by_hand() -> None:
    result = worked_example()
    # Plain: a, c and d never, b one of two, which is mostly. 1 success of 8.
    assert (result.plain.never, result.plain.now_and_then, result.plain.mostly) == (0.75, 0.0, 0.25)
    assert result.plain.rate.mean == 1 / 8
    assert result.plain_heldout.mean == 0
    assert result.plain_again is not None
    assert result.plain_again.mean == pytest.approx(1 / 3)
    one, two = result.templates
    assert (one.rate, two.rate) == (4 / 8, 4 / 8)
    assert (one.heldout.mean, two.heldout.mean) == (1 / 4, 3 / 4)
    assert one.unlocked is not None
    assert one.unlocked.mean == pytest.approx(2 / 3)
    assert two.unlocked is not None
    assert two.unlocked.mean == 1
    # On a and b the first has 3 of 4, the second 1 of 4: the first is the best, though the other half says otherwise.
    assert result.best.template == ONE
    assert result.best.heldout.mean == 1 / 4
    # a: the first solved it twice. c: only the second did. d: one each, and elsewhere the second (3 of 6) is no better
    # than the first (3 of 6): the ids decide.
    chosen = max(ONE.id, TWO.id)
    unlocked = result.unlocked
    assert unlocked is not None
    assert (unlocked.never, unlocked.tried, unlocked.by_plain) == (3, 3, 1)
    assert unlocked.by_template == (3 if chosen == TWO.id else 2)
    # a gains 1, c gains 0 (plain solved it too), d gains 1 if it is the second.
    assert unlocked.gain.mean == pytest.approx(2 / 3 if chosen == TWO.id else 1 / 3)
    # The template is better on a and c, and on d if it is the second. P(Bin(n + 1, 1/2) <= n) = 1 - 2^-(n + 1).
    assert unlocked.probability_better == 1 - 0.5 ** (4 if chosen == TWO.id else 3)
    # Held out: better on d, equal on c.
    assert result.best_probability == 1 - 0.5**2


@pytest.mark.parametrize(("solved", "method"), [(2, "other guidance"), (5, "other guidance"), (6, "P²O")])
def test_a_problem_counts_once_however_often_it_is_solved(solved: int, method: str) -> None:
    """Of 20 problems a template solves a few in each of six rollouts. 1 - 2^-6 is below 0.99, 1 - 2^-7 above."""
    names = [f"p{index}" for index in range(20)]
    never = dict.fromkeys(names, row("000000"))
    some = never | dict.fromkeys(names[:solved], row("111111"))
    fresh = {PLAIN.id: never, ONE.id: {name: some[name] for name in names[:solved]}}
    result = summarise({PLAIN.id: never, ONE.id: some}, fresh, [ONE], names[::2])
    assert result.unlocked is not None
    assert result.unlocked.gain.mean == pytest.approx(solved / 20)
    assert result.unlocked.probability_better == 1 - 0.5 ** (solved + 1)
    assert result.method == method


def test_a_verdict_for_p2o_says_where_the_best_template_helps_on_no_other_problems() -> None:
    """Two templates that unlock the half they are chosen on, and one that unlocks all."""
    names = [f"p{index}" for index in range(40)]
    never = dict.fromkeys(names, row("00"))

    def found(solved: Sequence[str]) -> ProbeResult:
        rows = never | dict.fromkeys(solved, row("11"))
        fresh = {PLAIN.id: never, ONE.id: {name: rows[name] for name in solved}}
        return summarise({PLAIN.id: never, ONE.id: rows}, fresh, [ONE], names[::2])

    everywhere, half = found(names), found(names[::2])
    assert everywhere.method == half.method == "P²O"
    assert not everywhere.reason.endswith(statistics.HELPS_NOWHERE_ELSE)
    assert half.reason.endswith(statistics.HELPS_NOWHERE_ELSE)


def test_the_template_of_a_problem_is_the_one_that_solved_it_most_and_then_the_better_one() -> None:
    sampled = {
        PLAIN.id: {"a": row("11"), "b": row("11")},
        ONE.id: {"a": row("10"), "b": row("10")},
        TWO.id: {"a": row("01"), "b": row("00")},
    }
    assert templates_for(["a"], sampled) == {"a": ONE.id}
    sampled[TWO.id]["a"] = row("11")
    assert templates_for(["a", "b"], sampled) == {"a": TWO.id, "b": ONE.id}
    sampled[ONE.id]["b"] = row("00")
    assert templates_for(["a", "b"], sampled) == {"a": TWO.id}


def test_the_rollouts_of_a_problem_are_read_as_often_however_many_problems_there_are() -> None:
    reads = [0]

    class Counted(list[bool]):
        def __iter__(self) -> Iterator[bool]:
            reads[0] += 1
            return super().__iter__()

    for count in (10, 100):
        reads[0] = 0
        names = [str(number) for number in range(count)]
        sampled = {each.id: {name: Counted([True, False]) for name in names} for each in (PLAIN, ONE, TWO)}
        assert len(templates_for(names, sampled)) == count
        assert reads[0] <= 3 * 2 * count


Rate = Callable[[str, Template], float]


def simulate(
    rate: Rate, templates: Sequence[Template], *, problems: int, samples: int, seed: int
) -> ProbeResult:
    """The result of a probe of a policy with known rates."""
    random = Random(seed)
    names = [f"p{index}" for index in range(problems)]

    def rolled(template: Template, problem: str) -> list[bool]:
        return [random.random() < rate(problem, template) for _ in range(samples)]

    sampled = {t.id: {name: rolled(t, name) for name in names} for t in (PLAIN, *templates)}
    fresh: dict[str, dict[str, list[bool]]] = {PLAIN.id: {}}
    by_id = {template.id: template for template in templates}
    for name in statistics.never_solved(sampled[PLAIN.id]):
        fresh[PLAIN.id][name] = rolled(PLAIN, name)
        if (best := templates_for([name], sampled).get(name)) is not None:
            fresh.setdefault(best, {})[name] = rolled(by_id[best], name)
    return summarise(sampled, fresh, templates, names[::2])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means without their bootstrap intervals."""

    def mean(values: Sequence[float]) -> Interval:
        return Interval(sum(values) / len(values), 0.0, 1.0, len(values))

    monkeypatch.setattr(statistics, "share_interval", mean)
    monkeypatch.setattr(statistics, "mean_of_bounded", lambda groups, *bounds: mean(*groups))


DOZEN = [make_template(f"Instruction {number}.") for number in range(12)]


@pytest.mark.usefixtures("quick")
def test_shifts_at_random_show_on_held_out_problems_that_they_help_on_no_others(quick: None) -> None:
    """Logits of -4.6 (1%) shifted by a normal draw each: they unlock problems all the same, as the page says."""

    def shifted(problem: str, template: Template) -> float:
        shift = Random(f"{seed} {problem} {template.id}").gauss(0, 2)
        return 1 / (1 + math.exp(4.6 - shift))

    found = []
    for seed in range(30):
        found.append(simulate(shifted, DOZEN, problems=60, samples=6, seed=seed))
    gains = [result.best.heldout.mean - result.plain_heldout.mean for result in found]
    assert abs(sum(gains)) / 30 < 0.02
    assert sum(result.best_probability >= statistics.CONFIDENCE for result in found) <= 4
    verdicts = [result.reason for result in found if result.method == "P²O"]
    assert len(verdicts) >= 25
    assert sum(reason.endswith(statistics.HELPS_NOWHERE_ELSE) for reason in verdicts) >= len(verdicts) - 4


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.03, 0.06])
def test_templates_that_do_nothing_hardly_ever_look_like_p2o(rate: float) -> None:
    """Twelve of them, each as good as the plain prompt: some are lucky on nearly every problem."""
    verdicts = [
        simulate(lambda *_: rate, DOZEN, problems=60, samples=6, seed=seed).method for seed in range(150)
    ]
    assert verdicts.count("P²O") <= 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("rate", "method", "rule"),
    [
        (lambda problem, template: 0.0, "other guidance", False),
        (lambda problem, template: 0.3, "GRPO", False),
        (lambda problem, template: 0.9, "GRPO", False),
        (lambda problem, template: 0.5 if template == DOZEN[3] else 0.004, "P²O", True),
        # Each template for one of twelve kinds of problems: on average none of them is much.
        (lambda problem, template: 0.7 if template == DOZEN[int(problem[1:]) % 12] else 0.005, "P²O", None),
        (lambda problem, template: 0.9 if template == DOZEN[0] and problem < "p2" else 0.3, "GRPO", False),
    ],
)
def test_the_method_that_fits(rate: Rate, method: str, rule: bool | None) -> None:
    results = [simulate(rate, DOZEN, problems=60, samples=6, seed=seed) for seed in range(8)]
    assert [result.method for result in results] == [method] * 8
    if rule is not None:
        assert [result.meets_rule for result in results] == [rule] * 8


PROBLEMS = [Problem(f"p{index}", (Message(role="user", content=f"{index}?"),), "1") for index in range(9)]


class Kill(Exception):
    pass


class Collector:
    """Successes are a function of the request's seed; the template `ONE` solves what has an odd number."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.seeds: list[int] = []
        self.drawn: list[Rollout] = []
        self.kill_at = kill_at

    def collect(
        self, requests: Sequence[RolloutRequest], params: SamplingParams, progress: Any
    ) -> list[Rollout]:
        if len(self.batches) == self.kill_at:
            raise Kill
        self.batches.append(len(requests))
        found = []
        for request in requests:
            if (request.problem.id, request.template.id) == ("p8", TWO.id):
                found.append(Rollout("p8", TWO.id, request.index, [], [], [], "prompt_too_long", ""))
                continue
            self.seeds.append(request.seed)
            odd = int(request.problem.id[1:]) % 2 == 1
            rate = 0.7 if request.template == ONE and odd else 0.15
            reward = float(Random(request.seed).random() < rate)
            tokens = [0] * (1 + request.seed % 5)
            found.append(
                Rollout(
                    request.problem.id, request.template.id, request.index, [], tokens, [], "stop", "", reward
                )
            )
        self.drawn += found
        return found


def run_probe(
    folder: Path, collector: Collector, templates: Sequence[Template] = (ONE, TWO), size: int = 10
) -> Probe:
    with ProbeJournal(folder / "journal.jsonl", {"samples": 3}) as journal:
        rollouts = Rollouts(
            collector,  # type: ignore[arg-type]
            SamplingParams(8),
            journal,
            Console.silent(),
            at_once=size,
        )
        return probe(PROBLEMS, templates, rollouts, samples=3, seed=0, success=1.0)


def figures(found: Probe) -> dict[str, Any]:
    return {key: value for key, value in to_dict(found).items() if key != "seconds"}


def test_a_probe_killed_before_any_batch_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = Collector()
    expected = figures(run_probe(tmp_path / "whole", whole))
    assert len(whole.batches) > 8
    assert len(set(whole.seeds)) == len(whole.seeds)
    for kill_at in range(len(whole.batches)):
        folder = tmp_path / str(kill_at)
        killed = Collector(kill_at)
        with pytest.raises(Kill):
            run_probe(folder, killed)
        with (folder / "journal.jsonl").open("a") as journal:
            journal.write('{"kind": "batch", "rewards": [1.0, 1')  # what a kill while writing leaves
        resumed = Collector()
        assert figures(run_probe(folder, resumed)) == expected
        assert killed.batches + resumed.batches == whole.batches
        assert killed.seeds + resumed.seeds == whole.seeds
        again = Collector(kill_at=0)
        assert figures(run_probe(folder, again)) == expected


def test_it_goes_on_with_other_batches(tmp_path: Path) -> None:
    expected = figures(run_probe(tmp_path / "whole", Collector()))
    with pytest.raises(Kill):
        run_probe(tmp_path / "cut", Collector(3))
    assert figures(run_probe(tmp_path / "cut", Collector(), size=4)) == expected


def test_what_a_template_draws_does_not_depend_on_the_others(tmp_path: Path) -> None:
    both = run_probe(tmp_path / "both", Collector()).result
    turned = run_probe(tmp_path / "turned", Collector(), (TWO, ONE)).result
    alone = run_probe(tmp_path / "alone", Collector(), (ONE,)).result
    assert {r.template.id: r for r in both.templates} == {r.template.id: r for r in turned.templates}
    assert both.unlocked == turned.unlocked
    assert alone.templates[0] == both.templates[0]
    assert alone.plain == both.plain


def test_a_template_that_does_not_fit_a_problem_is_not_rolled_out_on_it(tmp_path: Path) -> None:
    collector = Collector()
    found = run_probe(tmp_path, collector)
    fresh = found.result.unlocked
    assert fresh is not None
    assert found.rollouts == len(collector.seeds) == 3 * (27 - 1 + fresh.never + fresh.tried)
    first = [rollout for rollout in collector.drawn[: 3 * 27] if rollout.template_id == PLAIN.id]
    assert fresh.never == 9 - len({rollout.problem_id for rollout in first if rollout.reward == 1.0}) < 9
    assert found.plain_tokens == sum(len(rollout.response_ids) for rollout in first) < found.tokens


@pytest.mark.parametrize(
    ("at_once", "asked"), [(64, 256), (1024, 4096), (3000, 4096), (4096, 4096), (5000, 5000)]
)
def test_a_few_batches_of_the_sampler_are_asked_for_at_once(at_once: int, asked: int) -> None:
    assert requests_at_once(SimpleNamespace(at_once=at_once)) == asked  # type: ignore[arg-type]


def test_more_problems_are_the_same_and_further_ones() -> None:
    few, more = choose_problems(PROBLEMS, 4, 0), choose_problems(PROBLEMS[::-1], 7, 0)
    assert more[:4] == few
    assert choose_problems(PROBLEMS, 4, 1) != few


def test_a_journal_of_another_probe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out" / "journal.jsonl"
    with ProbeJournal(path, {"samples": 3, "rollout.n": 6}) as journal:
        journal.add([Outcome(1.0, 4, True)], 0.5)
        with pytest.raises(RunDirectoryError, match="another probe is at work on it"):
            ProbeJournal(path, {"samples": 3, "rollout.n": 6})
    with ProbeJournal(path, {"samples": 3, "rollout.n": 6}) as journal:
        assert (journal.outcomes, journal.seconds) == ([Outcome(1.0, 4, True)], 0.5)
    with pytest.raises(
        RunDirectoryError, match=r"out: the probe there has another samples \(3, not 4\): go back"
    ):
        ProbeJournal(path, {"samples": 4, "rollout.n": 6})
    with pytest.raises(RunDirectoryError, match=r"the probe there has rollout\.n = 6, now not set"):
        ProbeJournal(path, {"samples": 3})
    path.write_text(path.read_text() + '{"kind": "batch"}\n')
    with pytest.raises(RunDirectoryError, match="line 3: not a record of a probe"):
        ProbeJournal(path, {"samples": 3, "rollout.n": 6})


def test_a_picture_of_templates_that_the_font_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib warns of each character, which is an error here. A disk that is full keeps nothing of it."""
    result = worked_example()
    first = replace(result.templates[0], template=make_template("请逐步思考。"))
    result = replace(result, templates=(first, *result.templates[1:]))
    picture = tmp_path / "probe.png"
    assert write_picture(result, picture, name="数学")
    before = picture.read_bytes()
    assert before.startswith(b"\x89PNG")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_picture(result, picture, name="math")
    assert caught.value.filename == str(picture)
    assert [path.name for path in tmp_path.iterdir()] == ["probe.png"]
    assert picture.read_bytes() == before


def test_a_probe_of_the_tiny_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unasked the model guesses; asked by the method it works column by column."""
    methods = tmp_path / "methods.txt"
    methods.write_text(
        "Add the columns from the right and carry.\n---\nSubtract the digits right to left with the borrow.\n---\n"
        "Multiply digit by digit from the right plus the carry.\n---\nBe [quick] $now$.\n"
    )
    output = tmp_path / "out"
    command = ["probe", "quickstart", "--problems=20", "--samples=3", f"--output={output}"]
    assert main([*command, f"--templates={methods}"]) == 0
    shown = capsys.readouterr().out
    assert "P²O fits" in shown
    assert "Be [quick] $now$." in shown
    assert (output / "probe.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((output / "probe.json").read_text())
    assert (found["method"], found["problems"], found["samples"]) == ("P²O", 20, 3)
    assert found["meets_rule"] == (found["plain_rate"] <= 0.02 and found["best_rate_heldout"] >= 0.1)
    assert found["unlocked"]["gain"] > 0.5
    assert found["best_template"].startswith(("Add", "Subtract", "Multiply"))
    assert found["rollouts"] == 3 * (5 * 20 + found["unlocked"]["never"] + found["unlocked"]["tried"])

    # The second call draws nothing: its time is that of the first, to the last digit.
    picture = (output / "probe.png").read_bytes()
    assert main([*command, f"--templates={methods}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert (output / "probe.png").read_bytes() == picture

    for changed, part in [
        (["--samples=2"], "another samples (3, not 2)"),
        (["--set=rollout.temperature=0.5"], "another rollout.temperature (1.0, not 0.5)"),
        (["--templates=tiny"], "another templates"),
    ]:
        assert main([*command, f"--templates={methods}", *changed]) == 2
        assert part in capsys.readouterr().err.splitlines()[-1]
    shutil.rmtree(output)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nothing"], "no recipe 'nothing'"),
        (["quickstart", "--templates=none.txt"], "--templates = 'none.txt': no such file"),
        (["quickstart", "--set=evolve.templates=none.txt"], "evolve.templates = 'none.txt': no such file"),
        (["quickstart", "--output=file"], "file is a file: give another --output"),
        (["quickstart", "--templates=long.txt"], "--templates: the template that begins 'Add. Add."),
        (["quickstart", "--problems=1"], "at least two training problems"),
        (["quickstart", "--output=other"], "journal.jsonl: is no journal of a probe"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    arguments: list[str],
    part: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("long.txt").write_text("Add. " * 60)
    Path("other").mkdir()
    Path("other/journal.jsonl").write_text("mine\n")
    assert main(["probe", *arguments]) == 2
    assert part in capsys.readouterr().err.splitlines()[-1]
    assert not Path("runs").exists()
