"""The tables of docs/verifier.md say what the verifier does; rust/p2o-core/tests/verify_docs.rs has those of
docs/equal-answers.md."""

from __future__ import annotations

import re
from pathlib import Path

import p2o

PAGE = Path(__file__).parents[2] / "docs" / "verifier.md"


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


def rows(head: str) -> list[list[str]]:
    """The rows of the table of the page that begins with a line."""
    table = PAGE.read_text(encoding="utf-8").split(f"{head}\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[1:]]


def test_the_words_around_a_place_decide_whether_it_is_an_answer() -> None:
    """Of what is none, no number that stands in the text is paid."""
    table = rows("| | text | answer |")
    assert len(table) > 40
    for _, quoted, answer in table:
        text = quoted.strip("`")
        if answer == "none":
            numbers = re.findall(r"\d+", text) or ["7"]
            paid = [gold for gold in numbers if p2o.verify(text, gold).correct]
            assert not paid, (text, paid)
        else:
            assert p2o.verify(text, answer.strip("`")).correct, text


def test_the_page_shows_which_answers_are_equal() -> None:
    table = rows("| gold | answer | equal |")
    assert {mark for _, _, mark in table} == {"✓", "–"}
    for gold, answers, mark in table:
        for answer in answers.split("`")[1::2]:
            verdict = p2o.verify(f"\\boxed{{{answer}}}", gold.strip("`"))
            assert verdict.correct == (mark == "✓"), (gold, answer)
