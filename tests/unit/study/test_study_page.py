"""The figures of the pages are those of the written tables, and these are those of the recorded runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2o.study.plan import load_study
from p2o.study.results import Results
from p2o.study.tables import render

DOCS = Path(__file__).parents[3] / "docs"

SUMMARIES = [
    ("study.md", "Against GRPO", "main", 1),
    ("study.md", "One rule at a time", "ablations", 1),
    ("study.md", "How often a proposal helps", "proposals", 1),
    ("study.md", "The leak", "main", 2),
    ("choose.md", "The methods side by side", "rivals", 2),
]
"""A page and a heading; the study that the first tables under it are taken from, and how many there are."""

INTERVAL = re.compile(r"[+-]?\d\.\d{3} \[[^]]+\]")


def tables_under(page: str, heading: str) -> list[list[list[str]]]:
    """The tables under a heading: rows of cells, the head first."""
    section = (DOCS / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    cells = [
        [
            [cell.strip().replace("\\", "") for cell in line.strip("|\n").split("|")]
            for line in table.splitlines()
        ]
        for table in found
    ]
    return [[head, *rows] for head, _, *rows in cells]


@pytest.mark.parametrize(("page", "heading", "study", "count"), SUMMARIES)
def test_each_figure_of_the_page_stands_in_its_arms_row(
    page: str, heading: str, study: str, count: int
) -> None:
    lines = (DOCS / "study" / study / "tables.md").read_text().splitlines()
    for head, *rows in tables_under(page, heading)[:count]:
        checked = 0
        for label, *cells in rows:
            for column, cell in zip(head[1:], cells, strict=True):
                if INTERVAL.fullmatch(cell):
                    arm = f"{column}, {label}" if study == "proposals" else label
                    assert any(row.startswith(f"| {arm} ") and f" {cell} " in row for row in lines), (
                        arm,
                        cell,
                    )
                    checked += 1
        assert checked >= 6


@pytest.mark.parametrize("study", ["main", "ablations", "proposals", "pairs", "rivals", "smollm2"])
def test_the_tables_are_those_of_the_recorded_runs(study: str) -> None:
    tables = (DOCS / "study" / study / "tables.md").read_text()
    made = load_study(study)
    assert tables.startswith(f"# {made.title}\n\n{render(made, Results(DOCS / 'study' / study))}")
