"""Files that are never half-written: written under a temporary name, synced, renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step: afterwards it holds the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory to fill, which becomes `path` when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    for file in temporary.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    aside = path.with_name(f".{path.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if path.exists():
        path.rename(aside)
    temporary.rename(path)
    sync_directory(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def sync_directory(path: Path) -> None:
    """Makes the renames in a directory survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Appends records, one JSON object a line."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Records of a file of ours; a last line cut off by a kill is left out."""
    records: list[dict[str, Any]] = []
    # Bytes are split at newlines only: a text may hold U+2028, and a cut line half a character.
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes a whole file of records in one step."""
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
