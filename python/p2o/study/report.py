"""The report of a study: `tables.md` and plots in its folder, and the tables between the markers of a page."""

from __future__ import annotations

import os
import re
from pathlib import Path

from p2o.errors import DataError
from p2o.files import why_unreadable, write_text
from p2o.study.plan import Study
from p2o.study.plots import write_plots
from p2o.study.results import Results
from p2o.study.tables import final_records, render


def write_report(
    name: str, study: Study, results: Results, folder: Path, *, docs: Path | None = None
) -> list[Path]:
    """Writes tables and plots and returns their paths; with `docs`, puts them into that page too.

    Raises:
        DataError: if the page has no markers for this study.
        MissingDependencyError: if matplotlib is not installed; the tables are still written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = render(study, results)
    written = [folder / "tables.md"]
    write_text(written[0], f"# {study.title}\n\n{tables}")
    cells = final_records(study, results)
    plots = write_plots(study, cells, folder, name) if cells else []
    if docs is not None:
        pictures = "\n".join(f"![{plot.stem}]({os.path.relpath(plot, docs.parent)})" for plot in plots)
        try:
            text = docs.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{docs}: cannot be read ({why_unreadable(error)})") from None
        write_text(docs, insert(text, name, f"{tables}\n{pictures}\n", str(docs)))
        written.append(docs)
    return [*written, *plots]


def insert(page: str, name: str, content: str, where: str = "page") -> str:
    """The page with `content` between `<!-- study NAME -->` and `<!-- end -->`; the prose around it stays.

    Raises:
        DataError: if it has no such markers.
    """
    begin = f"<!-- study {name} -->"
    pattern = re.compile(rf"{re.escape(begin)}\n.*?<!-- end -->", re.DOTALL)
    if not pattern.search(page):
        raise DataError(f"{where}: no lines {begin!r} and '<!-- end -->' to put the tables between")
    return pattern.sub(lambda _: f"{begin}\n{content}\n<!-- end -->", page, count=1)
