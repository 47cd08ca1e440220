"""The figures of an evaluation, and two of them compared, worked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from p2o.errors import RunDirectoryError
from p2o.evaluation.benchmarks import Benchmark
from p2o.evaluation.compare import Difference, compare
from p2o.evaluation.journal import Completion
from p2o.evaluation.markdown import aligned, literal
from p2o.evaluation.result import SuiteResult, figures, judge
from p2o.report.model_card import in_one_cell
from p2o.types import Problem


def problem(name: str, gold: str, family: str | None = None) -> Problem:
    meta = {} if family is None else {"family": family}
    return Problem(name, ({"role": "user", "content": name},), gold, meta)


def completions(*rows: tuple[Problem, Sequence[str | None]]) -> list[Completion]:
    """What gave these answers; where there is none the text ran into the token limit."""
    return [
        Completion(
            asked.id,
            index,
            float(answer is not None and float(answer) == float(asked.gold)),
            answer,
            10,
            "length" if answer is None else "stop",
            "",
        )
        for asked, answers in rows
        for index, answer in enumerate(answers)
    ]


A, B, C = problem("m/a", "2", "x"), problem("m/b", "0.5", "x"), problem("m/c", "3", "y|z")
MADE = completions((A, ["2", "2.0", "7", None]), (B, ["4", "4.0", "0.5", "9"]), (C, [None] * 4))
FOUND = judge(Benchmark("m", [A, B, C], "m.jsonl"), MADE, 1.0, {})


def test_figures_by_hand() -> None:
    assert (FOUND.successes_P, FOUND.votes_P) == ([2, 1, 0], [1.0, 0.0, 0.0])
    assert (FOUND.cut, FOUND.unanswered, FOUND.evaluation.tokens) == (5 / 12, 5 / 12, 120)
    means = {name: one.mean for name, one in figures([FOUND]).items()}
    # pass@2 of 4: 1 - C(2,2)/C(4,2) = 5/6 with two correct, 1 - C(3,2)/C(4,2) = 1/2 with one.
    assert means == {
        "avg@4": pytest.approx(3 / 12),
        "maj@4": pytest.approx(1 / 3),
        "pass@2": pytest.approx((5 / 6 + 1 / 2) / 3),
        "pass@4": pytest.approx(2 / 3),
    }


def test_the_mean_over_benchmarks_is_unweighted() -> None:
    other = judge(Benchmark("n", [A], "n.jsonl"), completions((A, ["2"] * 4)), 1.0, {})
    suite = SuiteResult({"model": "M", "samples": 4}, [FOUND, other])
    values = suite.to_dict()
    assert values["accuracy"] == pytest.approx((3 / 12 + 1) / 2)
    assert (values["problems"], values["tokens"], values["model"]) == (4, 160, "M")
    assert values["figures"]["maj@4"]["mean"] == pytest.approx((1 / 3 + 1) / 2)
    assert list(values["benchmarks"]) == ["m", "n"]
    assert values["benchmarks"]["m"]["by_family"] == {"x": 3 / 8, "y|z": 0.0}
    # One problem that is solved by all four: exact, as before; its pass@2 as well.
    assert values["benchmarks"]["n"]["figures"]["pass@2"]["interval"] == [pytest.approx(0.025), 1.0]
    page = suite.markdown()
    assert "| mean      |  4 | 0.625 [" in page
    assert "\n160 tokens generated\n" in page
    assert "| y\\|z         |  1 | 0.000 [0.000, 0.975] |" in page
    assert "\n- m: m.jsonl, problems " in page


def test_one_completion_is_an_accuracy_and_nothing_else() -> None:
    one = judge(Benchmark("m", [A, B], "m.jsonl"), completions((A, ["2"]), (B, ["4"])), 1.0, {})
    assert {name: found.mean for name, found in figures([one]).items()} == {"avg@1": 0.5}


def test_rewards_of_ones_own_have_no_vote_and_succeed_from_a_threshold() -> None:
    made = [Completion("m/a", i, reward, None, 1, "stop", "") for i, reward in enumerate((0.25, 0.75))]
    found = judge(Benchmark("m", [A], "m.jsonl"), made, 0.5, None)
    assert {name: one.mean for name, one in figures([found]).items()} == {"avg@2": 0.5, "pass@2": 1.0}
    assert found.unanswered is None


@pytest.mark.parametrize("shown", [literal, in_one_cell])
@pytest.mark.parametrize(
    "text",
    [
        r"__init__ _a_ a_b_c _ *x* **y** \*z\*",
        "~~gone~~ ~x~",
        "&amp; &#35; &x a&b;c",
        "[a](b) <b> `c` |d| ![e](f)",
    ],
)
def test_a_page_shows_texts_as_they_are(shown: Callable[[str], str], text: str) -> None:
    """As CommonMark with tables and struck out text reads them: nothing but text is left."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    cells = [token for token in page.parse(f"| {shown(text)} |\n| --- |\n") if token.type == "inline"]
    (parts,) = [cell.children or [] for cell in cells]
    assert {part.type for part in parts} <= {"text", "text_special"}
    assert "".join(part.content for part in parts) == text


def test_text_of_files_is_no_markup() -> None:
    assert literal("a|b\n\x1b[31m*x*") == "a\\|b⏎\ufffd\\[31m\\*x\\*"
    assert aligned([["n", "x"], ["long", "1"]]) == ["| n    |  x |", "| ---- | -: |", "| long |  1 |"]


def written(folder: Path, *results: Any, samples: int = 4) -> Path:
    folder.mkdir()
    suite = SuiteResult({"model": "M", "samples": samples}, list(results))
    (folder / "result.json").write_text(json.dumps({**suite.to_dict(), "by_problem": suite.by_problem()}))
    return folder


def of(*answers: Sequence[str | None], name: str = "m", problems: Sequence[Problem] = (A, B, C)) -> Any:
    rows = list(zip(problems, answers, strict=True))
    return judge(Benchmark(name, list(problems), ""), completions(*rows), 1.0, {})


def test_two_evaluations_compared_problem_by_problem(tmp_path: Path) -> None:
    first = written(
        tmp_path / "first",
        of(["2", "7"], ["4", "4"], ["3", "3"]),
        of(["2", "2"], name="n", problems=[A]),
        of(["2", "2"], name="alone", problems=[A]),
        samples=2,
    )
    second = written(
        tmp_path / "second",
        of(["2", "2"], ["0.5", "4"], ["8", "8"]),
        of(["2", "2"], name="n", problems=[A]),
        samples=2,
    )
    found = compare(first, second)
    one = found.benchmarks["m"]
    assert one.differences_P == [0.5, 0.5, -1.0]
    assert (one.accuracy, one.only_a, one.only_b) == ((0.5, 0.5), ["m/c"], ["m/b"])
    # Of 27 resamples one is three times -1 and eight are 0.5 throughout: 3.7% and 29.6%.
    assert (one.interval.mean, one.interval.low, one.interval.high) == (0.0, -1.0, 0.5)
    # The other benchmark's one problem says little: it reaches 0.975 further, of which half counts here.
    assert (found.mean.mean, found.mean.low, found.mean.high) == pytest.approx((0.0, -0.9875, 0.7375))
    assert found.left_out == ["alone"]
    page = found.markdown()
    assert "| m         | 0.500 | 0.500 | +0.000 [-1.000, +0.500] |      1 |      1 |" in page
    assert "| mean      | 0.750 | 0.750 | +0.000 [-0.988, +0.738] |      1 |      1 |" in page
    assert "m, only A: m/c\n\nm, only B: m/b\n" in page
    assert "Only one of them has alone." in page
    assert json.loads(json.dumps(found.to_dict()))["benchmarks"]["m"]["only_b"] == ["m/b"]


def test_a_difference_stays_within_what_it_can_be() -> None:
    for lost in (-1.0, 1.0):
        found = Difference((0.5, 0.5), [lost] * 4, [], []).interval
        assert (min(found.low, -1.0), max(found.high, 1.0)) == (-1.0, 1.0)
        # Of a share whose chance is that of the interval's end, four in four are seen one time in forty.
        assert found.high - found.low == pytest.approx(1 - 0.025**0.25)


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    first = written(tmp_path / "first", of(["2"] * 4, ["4"] * 4, ["3"] * 4))
    other_gold = problem("m/a", "5", "x")
    second = written(tmp_path / "second", of(["2"] * 4, ["4"] * 4, ["3"] * 4, problems=[other_gold, B, C]))
    third = written(tmp_path / "third", of(["2"] * 4, name="n", problems=[A]))
    with pytest.raises(RunDirectoryError, match="have other problems under the name m, or other golds"):
        compare(first, second)
    with pytest.raises(RunDirectoryError, match="have no benchmark in common"):
        compare(first, third)
    with pytest.raises(RunDirectoryError, match=r"result.json is missing or damaged.*p2o eval ... --output "):
        compare(first, tmp_path)
    (tmp_path / "result.json").write_text('{"schema": 1}')
    with pytest.raises(RunDirectoryError, match=r"result.json is no result of p2o eval$"):
        compare(tmp_path, first)
    whole = json.loads((first / "result.json").read_text())
    for damaged in (
        {"benchmarks": 3},
        {"benchmarks": {"m": {}}},
        {"by_problem": {}},
        {"by_problem": {"m": {"id": ["m/a"], "accuracy": ["1"], "successes": [1]}}},
    ):
        (tmp_path / "result.json").write_text(json.dumps(whole | damaged))
        with pytest.raises(RunDirectoryError, match=r"result.json is damaged \(.*\): remove it"):
            compare(tmp_path, first)
