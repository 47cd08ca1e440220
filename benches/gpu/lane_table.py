"""The results as tables: on the console, and as Markdown between the markers of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lane_results import Record
from lane_steps import Step

BEGIN, END = "<!-- lane:begin -->", "<!-- lane:end -->"


def shown(value: Any) -> str:
    """A figure as it is printed: thousands separated, three or four digits that matter."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def one_line(record: Record) -> str:
    """A record in a line, for whoever watches."""
    figures = ", ".join(f"{name} {shown(value)}" for name, value in record.get("values", {}).items())
    error = record.get("error", "").split("\n")[-1]
    said = figures or error
    seconds = f" ({shown(record['seconds'])} s)" if "seconds" in record else ""
    return (
        f"{record['step']}/{record['case'] or '-'}: {record['status']}{seconds}{f'; {said}' if said else ''}"[
            :400
        ]
    )


def columns(records: Sequence[Record]) -> list[str]:
    """Names of the figures of these records, in the order in which they first appear."""
    return list(dict.fromkeys(name for record in records for name in record.get("values", {})))


def rows(records: Sequence[Record]) -> list[list[str]]:
    """Case and figures of the records that have figures."""
    names = columns(records)
    return [
        [
            record["case"] + ("" if record["status"] == "ok" else f" ({record['status']})"),
            *(shown(record["values"].get(name)) for name in names),
        ]
        for record in records
        if "values" in record
    ]


def failures(records: Sequence[Record]) -> list[str]:
    """A line for each case without figures."""
    return [
        f"{record['case'] or 'the whole step'}: {record['status']}: {' | '.join(record['error'].splitlines())}"
        for record in records
        if "values" not in record and "error" in record
    ]


def machine_line(records: Sequence[Record]) -> str:
    """Card, versions and date of the records; several where they differ."""
    seen = dict.fromkeys(
        ", ".join(
            name if key == "card" else f"{key} {name}" for key, name in record.get("machine", {}).items()
        )
        + f"; {record['at'].split()[0]}"
        for record in records
        if record["status"] == "ok"
    )
    return " / ".join(seen)


def by_step(records: Sequence[Record], steps: Sequence[Step]) -> list[tuple[Step, list[Record]]]:
    """The records of each step that has some."""
    groups = [(step, [record for record in records if record["step"] == step.name]) for step in steps]
    return [(step, group) for step, group in groups if group]


def print_tables(records: Sequence[Record], steps: Sequence[Step]) -> None:
    """Prints a table for each step; plain text where rich is missing."""
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.padding import Padding
        from rich.table import Table
    except ImportError:
        print("\n" + plain(records, steps))
        return
    console = Console()
    for step, group in by_step(records, steps):
        console.print()
        found, head = rows(group), ["case", *columns(group)]
        if found and needed_width(head, found) <= console.width:
            table = Table(title=step.name, title_justify="left")
            for index, name in enumerate(head):
                table.add_column(escape(name), justify="right" if index else "left")
            for row in found:
                table.add_row(*map(escape, row))
            console.print(table)
        else:  # too wide: a case and its figures in running text
            console.print(step.name, style="italic")
            for row in found:
                figures = [f"{name} {cell}" for name, cell in zip(head[1:], row[1:], strict=True) if cell]
                text = Padding(escape(f"{row[0]}: {', '.join(figures)}"), (0, 0, 0, 2))
                console.print(text, highlight=False)
        for line in failures(group):
            console.print(Padding(escape(line), (0, 0, 0, 2)), highlight=False)
    console.print(f"\n{machine_line(records)}", markup=False, highlight=False)


def needed_width(head: Sequence[str], found: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that a table takes whose headings break between words and whose cells do not break."""
    words = [max(map(len, name.split())) for name in head]
    cells = [max(len(row[column]) for row in found) for column in range(len(head))]
    return 1 + sum(3 + max(pair) for pair in zip(words, cells, strict=True))


def plain(records: Sequence[Record], steps: Sequence[Step]) -> str:
    """The tables in plain text."""
    lines = []
    for step, group in by_step(records, steps):
        lines.append(step.name)
        if found := rows(group):
            cells = [["case", *columns(group)], *found]
            widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
            for row in cells:
                first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
                lines.append("  " + "  ".join([first.strip().ljust(widths[0]), *others]).rstrip())
        lines += [f"  {line}" for line in failures(group)]
        lines.append("")
    return "\n".join([*lines, machine_line(records)])


def markdown(records: Sequence[Record], steps: Sequence[Step]) -> str:
    """The tables as Markdown, with what each step measures."""
    lines = [f"{machine_line(records)}.", ""]
    for step, group in by_step(records, steps):
        lines += [f"### {step.name}", step.what, ""]
        if found := rows(group):
            head = ["case", *columns(group)]
            lines += [_markdown_row(head), "|---|" + "---:|" * (len(head) - 1)]
            lines += [*map(_markdown_row, found), ""]
        lines += [f"- {line}" for line in map(_inert, failures(group))]
        lines += [""] if failures(group) else []
    return "\n".join(lines).rstrip()


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_inert, cells))} |"


def _inert(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_<|[":
        text = text.replace(sign, f"\\{sign}")
    return text


def write_between_markers(path: Path, records: Sequence[Record], steps: Sequence[Step]) -> None:
    """Puts the tables between the markers of a page, in one step.

    Raises:
        ValueError: if the page has no markers.
    """
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, foot = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no markers {BEGIN} and {END}")
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(f"{head}{BEGIN}\n{markdown(records, steps)}\n{END}{foot}", encoding="utf-8")
    temporary.replace(path)
