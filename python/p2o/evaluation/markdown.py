"""Markdown tables of figures."""

from __future__ import annotations

import re
from collections.abc import Sequence

from p2o.errors import harmless
from p2o.intervals import Interval

_MARKUP = re.compile(r"[\\`*\[<|~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
"""What may be markup; underscores within a word are none."""


def with_interval(found: Interval, form: str = ".3f") -> str:
    """A mean and its interval."""
    return f"{found.mean:{form}} [{found.low:{form}}, {found.high:{form}}]"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose first row is its head: the first column to the left, the others to the right."""
    widths = [max(2, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [
        f"| {first.ljust(widths[0])} |"
        + "".join(f" {cell.rjust(width)} |" for cell, width in zip(rest, widths[1:], strict=True))
        for first, *rest in [rows[0], rule, *rows[1:]]
    ]


def literal(text: str) -> str:
    """Text of a file as it is shown: no markup, no end of the cell or the line."""
    return _MARKUP.sub(r"\\\g<0>", harmless(text))
