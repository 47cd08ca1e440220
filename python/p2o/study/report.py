"""The report of a study: `tables.md` and its pictures in the study's folder."""

from __future__ import annotations

from pathlib import Path

from p2o.files import write_text
from p2o.study.plan import Study
from p2o.study.plots import write_plots
from p2o.study.results import Results
from p2o.study.tables import final_records, render


def write_report(name: str, study: Study, results: Results, folder: Path) -> list[Path]:
    """Writes the tables and the pictures that they end with; returns their paths.

    Raises:
        MissingDependencyError: if matplotlib is not installed; the tables are still written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "tables.md"
    tables = f"# {study.title}\n\n{render(study, results)}"
    write_text(page, tables)
    cells = final_records(study, results)
    plots = write_plots(study, cells, folder, name) if cells else []
    if plots:
        write_text(page, "\n".join([tables, *(f"![{plot.stem}]({plot.name})" for plot in plots), ""]))
    return [page, *plots]
