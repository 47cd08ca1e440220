"""The figures of docs/study.md are those of the written tables, and these are those of the recorded runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2o.study.plan import load_study
from p2o.study.results import Results
from p2o.study.tables import render

DOCS = Path(__file__).parents[3] / "docs"

SUMMARIES = {
    "Against GRPO": "main",
    "One rule at a time": "ablations",
    "How often a proposal helps": "proposals",
    "The leak": "leak",
}
"""Heading of docs/study.md -> the study that the first table under it is taken from."""

INTERVAL = re.compile(r"[+-]?\d\.\d{3} \[[^]]+\]")


def first_table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, its head first."""
    section = (DOCS / "study.md").read_text().split(f"\n## {heading}\n")[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()
    )
    return [head, *rows]


@pytest.mark.parametrize(("heading", "study"), SUMMARIES.items())
def test_each_figure_of_the_page_stands_in_its_arms_row(heading: str, study: str) -> None:
    lines = (DOCS / "study" / study / "tables.md").read_text().splitlines()
    head, *rows = first_table(heading)
    checked = 0
    for label, *cells in rows:
        for column, cell in zip(head[1:], cells, strict=True):
            if INTERVAL.fullmatch(cell):
                named = f"{column}, {label}" if study == "proposals" else label
                assert any(line.startswith(f"| {named} ") and f" {cell} " in line for line in lines), (
                    named,
                    cell,
                )
                checked += 1
    assert checked >= 12


@pytest.mark.parametrize("study", ["main", "ablations", "proposals", "leak", "pairs", "rivals", "smollm2"])
def test_the_tables_are_those_of_the_recorded_runs(study: str) -> None:
    tables = (DOCS / "study" / study / "tables.md").read_text()
    made = load_study(study)
    assert tables.startswith(f"# {made.title}\n\n{render(made, Results(DOCS / 'study' / study))}")
