"""The table of rules in docs/verifier.md says what the verifier does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import p2o
from p2o.verifier import VerifyOptions

PAGE = Path(__file__).parents[2] / "docs" / "verifier.md"
PROFILES: list[VerifyOptions] = [{}, {"strict": True}, {"compat": "math-verify"}]


def rules() -> Iterator[tuple[str, str, VerifyOptions, bool]]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = line.strip().strip("|").split(" | ")
        if len(cells) != 6 or not any(mark in line for mark in "✓–"):
            continue
        gold = re.search(r"`([^`]+)`", cells[1])
        # An explanation in parentheses and the rule the other way round are not answers.
        answers = re.findall(r"`([^`]+)`", re.split(r" \(base|; and|; `", cells[2])[0])
        if gold is None or not answers:
            continue
        for answer in answers:
            for mark, options in zip(cells[3:], PROFILES, strict=True):
                if mark.strip() in "✓–":
                    yield gold[1], answer, options, mark.strip() == "✓"


RULES = list(rules())


def test_the_table_is_found() -> None:
    assert len(RULES) > 150
    assert {correct for *_, correct in RULES} == {True, False}


@pytest.mark.parametrize(("gold", "answer", "options", "correct"), RULES)
def test_rule(gold: str, answer: str, options: VerifyOptions, correct: bool) -> None:
    assert p2o.verify(rf"\boxed{{{answer}}}", gold, **options).correct is correct


def test_every_licence_stands_in_the_table_with_its_example() -> None:
    marks = {True: "✓", False: "–"}
    rows = [
        f"| `{licence.name}` | {licence.meaning} | `{licence.gold}` | `{licence.answer}` | "
        + " | ".join(marks[on] for on in (licence.default, licence.strict, licence.math_verify))
        + " |"
        for licence in p2o.licences()
    ]
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(rows) in page, "docs/verifier.md should have:\n" + "\n".join(rows)
