"""All settings of a recipe as TOML, each with what it does: a reference, and a start for your own recipe."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import tomli_w
from pydantic import BaseModel

WIDTH = 100


def annotated(settings: BaseModel, path: str = "") -> Iterator[str]:
    """The lines. Unset settings are comments; sections come after the settings of the section they are in."""
    values = settings.model_dump(mode="json")
    sections: list[tuple[str, str, BaseModel]] = []
    for name, field in type(settings).model_fields.items():
        value, description = getattr(settings, name), " ".join((field.description or "").split())
        if isinstance(value, BaseModel):
            sections.append((f"{path}{name}", description, value))
            continue
        yield from _comment(description)
        yield f"# {name} = (unset)" if value is None else f"{name} = {_inline(values[name])}"
    for section, description, value in sections:
        yield ""
        yield from _comment(description)
        yield f"[{section}]"
        yield from annotated(value, f"{section}.")


def _inline(value: Any) -> str:
    """A value on one line; `tomli_w` makes tables and tall arrays."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_inline(str(key))} = {_inline(item)}' for key, item in value.items())}}}"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
        break_long_words=False,
    )
