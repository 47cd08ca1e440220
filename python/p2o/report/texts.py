"""Texts of models and users as a page shows them."""

from __future__ import annotations

from datetime import datetime
from html import escape as escape_markup
from typing import Any

_CONTROL = dict.fromkeys(
    [*({*range(32)} - {9, 10}), *range(127, 160), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)],
    "\N{REPLACEMENT CHARACTER}",
)
"""Characters that HTML does not allow, and that a pager would hand to the terminal."""


def displayable(value: Any) -> Any:
    """A text without control characters. What is no text, or is marked up already, stays."""
    return value.translate(_CONTROL) if type(value) is str else value


def escape(text: str) -> str:
    """A text as HTML shows it."""
    return escape_markup(displayable(text))


def cut(text: str, most: int) -> str:
    """A text, or its ends where it is longer than `most` characters: the answer stands at the end of a completion."""
    if len(text) <= most:
        return text
    head = most // 3
    return f"{text[:head]}\n[... {len(text) - most:,} characters ...]\n{text[head - most :]}"


def minute(moment: str) -> str:
    """A moment of `about.json` to the minute."""
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M %Z}"
