"""Templates that a user already has: a file of them, or a shipped set by its name (`general`, `tiny`).

A text file holds one template a block; blocks are separated by a line of three or more hyphens, so a template may hold
blank lines. A file named `.jsonl` holds one a line, and `.json` a list: `{"template": "..."}` or the bare JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from p2o.errors import ConfigError, DataError
from p2o.files import why_unreadable
from p2o.records import array_items
from p2o.shipped import shipped
from p2o.templates import PLAIN, distinct_templates, make_template
from p2o.types import Template

GENERAL = "general"
"""The shipped dozen of general instructions."""

_SEPARATOR = re.compile(r"-{3,}\s*")


def shipped_sets() -> list[str]:
    """Names of the shipped sets."""
    return list(shipped("instructions", ".txt"))


def read_templates(source: str, setting: str) -> tuple[Template, ...]:
    """The templates of a file or of a shipped set, in order; equal ones (up to white space) are merged.

    Args:
        source: a shipped name, or a path.
        setting: the setting or argument that names it, for messages.

    Raises:
        ConfigError: one line naming the setting, the file and the line, if there is no such file, it cannot be read, or
            it holds no template.
    """
    path = shipped("instructions", ".txt").get(source, Path(source))
    try:
        if path.suffix.lower() in (".jsonl", ".json"):
            found = list(_json_templates(path))
        else:
            found = list(_blocks(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise ConfigError(
            f"{setting} = {source!r}: no such file; give a file, or a shipped set ({', '.join(shipped_sets())})"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting} = {source!r} cannot be read ({why_unreadable(error)})") from None
    except DataError as error:
        raise ConfigError(f"{setting}: {error}") from None
    if not found:
        raise ConfigError(
            f"{setting} = {source!r} holds no template: write one a block, and a line --- between blocks"
        )
    return tuple(distinct_templates(found))


def _blocks(text: str) -> Iterator[str]:
    """The blocks of a text that are not blank."""
    lines: list[str] = []
    for line in [*text.split("\n"), "---"]:
        if not _SEPARATOR.fullmatch(line):
            lines.append(line)
            continue
        if block := "\n".join(lines).strip():
            yield block
        lines = []


def _json_templates(path: Path) -> Iterator[str]:
    """The templates of a JSON file, an array or line by line.

    Raises:
        DataError: naming the line or the item.
    """
    for where, value in array_items(path):
        text = value.get("template") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise DataError(f'{where}: no template; write {{"template": "..."}} or a JSON text')
        if make_template(text) == PLAIN:
            raise DataError(f"{where}: an empty template is the plain prompt; leave it out")
        yield text
