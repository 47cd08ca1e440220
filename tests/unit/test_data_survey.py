"""What `p2o data` says of a file, worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p2o.cli.main import main
from p2o.data import JsonlData, load_data
from p2o.data_survey import kind_of, seen, survey
from p2o.errors import DataError
from p2o.records import file_records
from p2o.types import Problem


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def asked(text: str, answer: Any) -> dict[str, Any]:
    return {"question": text, "answer": answer}


FILE = (
    asked("1+1=?", "2"),
    asked("1+1=?", 2.0),
    asked("2+2=?", "4"),
    asked("2+2=?", "5"),
    asked("a half?", "\\frac{1}{2}"),
    asked("broken?", "\\frac{1}{"),
    asked("missing?", None),
)


def test_a_file_by_hand(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", *FILE)
    found = survey(file_records(path), JsonlData(train=path))
    assert (found.records, found.merged, len(found.problems)) == (7, 1, 3)
    assert [line.split(":")[0] for line in found.unreadable] == [f"{path}, line 6", f"{path}, line 7"]
    assert len(found.conflicts) == 1
    assert f"{path}, line 4: the same problem as line 3 with another answer" in found.conflicts[0]
    assert found.golds == {"integer": 2, "fraction": 1}
    assert found.lengths == [5, 5, 7]
    assert found.fields.startswith("the problem in the field 'question'")


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("-12", "integer"),
        ("1,234,567", "integer"),
        ("$ 7 $", "integer"),
        ("0.5", "decimal"),
        (".5", "decimal"),
        ("3/4", "fraction"),
        ("\\dfrac{3}{4}", "fraction"),
        ("50\\%", "percentage or unit"),
        ("12 cm", "percentage or unit"),
        ("(1, 2)", "several values"),
        ("x = 1 or x = 2", "several values"),
        ("Tuesday", "words"),
        ("x^2 + 1", "expression"),
        ("\\sqrt{2}", "expression"),
    ],
)
def test_kinds_of_golds(gold: str, kind: str) -> None:
    assert kind_of(gold) == kind


def problem(name: str, text: str) -> Problem:
    return Problem(name, ({"role": "user", "content": text},), "1")


def test_what_was_seen_in_training() -> None:
    """Ten words are three sequences of eight: all of `a` is known, two of three of `b`, one of three of `c`."""
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    train = [problem("t", " ".join(words)), problem("short", "How many?")]
    evaluation = [
        problem("c", " ".join([*words[:8], "x", "y"])),
        problem("b", " ".join([*words[:9], "x"])),
        problem("a", "One, two: three four five six seven eight nine TEN."),
        problem("s", "how many"),
        problem("none", "something else"),
    ]
    assert [(one.id, share) for one, share in seen(train, evaluation)] == [
        ("a", 1.0),
        ("s", 1.0),
        ("b", pytest.approx(2 / 3)),
    ]


def test_the_middle_of_the_lengths_is_the_least_that_half_of_them_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "d.jsonl", asked("1?", "1"), asked("What is twenty and five?", "25"))
    assert main(["data", str(path)]) == 0
    assert "characters of a problem: 2 to 24, half of them at most 2\n" in capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = write(tmp_path / "d.jsonl", *FILE), write(tmp_path / "e.jsonl", FILE[0], asked("9?", "9"))
    assert main(["data", str(path), "--evaluation", str(other)]) == 1
    printed = capsys.readouterr().out
    assert f"{path}: 7 read, 1 merged as duplicates, 3 problems\n" in printed
    assert "golds: 2 integer, 1 fraction\n" in printed
    assert "characters of a problem: 5 to 7, half of them at most 5\n" in printed
    assert "golds that cannot be used (data.on_bad_gold): 2\n" in printed
    assert "golds that contradict earlier ones (data.on_conflict): 1\n" in printed
    assert "evaluation problems of which half or more is in training problems: 1 of 2\n" in printed
    good = write(tmp_path / "g.jsonl", *({"q": f"{n}?", "a": n} for n in range(3)))
    assert main(["data", str(good), "--set=data.problem_key=q", "--set=data.answer_key=a"]) == 0
    for setting, message in (
        ("rollout.n=3", "only settings of [data]"),
        ("data.kye=3", "unknown setting data.kye"),
    ):
        assert main(["data", str(good), f"--set={setting}"]) == 2
        assert message in capsys.readouterr().err
    lost = tmp_path / "lost.jsonl"
    lost.write_text('{"problem": "3 \\times 2 = ?", "answer": 6}\n{"problem": "a\\tb", "answer": 6}\n')
    assert main(["data", str(lost)]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "problems that a backslash of LaTeX may be missing from (double it in JSON): 1",
        f"  {lost}, line 1: '\\t' in '3 \\times 2 = ?'",
    ]
    blank = write(tmp_path / "blank.jsonl")
    assert (
        main(
            [
                "data",
                str(good),
                "--set=data.problem_key=q",
                "--set=data.answer_key=a",
                f"--evaluation={blank}",
            ]
        )
        == 2
    )
    assert capsys.readouterr().err == f"error: {blank}: holds no problems\n"


def test_contradictions_are_refused_or_settled(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", *FILE[:4], asked("3+3=?", "6"))
    with pytest.raises(DataError, match=r'set data\.on_conflict = "first" or "skip"'):
        load_data(JsonlData(train=path, evaluation_size=1))

    def golds(rule: Any) -> tuple[list[str], list[str]]:
        said: list[str] = []
        train, evaluation = load_data(
            JsonlData(train=path, evaluation_size=1, on_conflict=rule), say=said.append
        )
        return sorted(p.gold for p in (*train, *evaluation)), said

    first, said = golds("first")
    assert first == ["2", "4", "6"]
    assert said[0].startswith(f"{path}: 5 read, 1 merged as duplicates, 1 contradict earlier ones")
    assert golds("skip")[0] == ["2", "6"]
