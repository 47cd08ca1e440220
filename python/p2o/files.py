"""Files that are never half-written: written under a temporary name, synced, renamed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_CHUNK = 2**22
"""Bytes of a file that are read at once for its checksum."""


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step: afterwards it holds the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with naming(path):
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:  # a full disk, which should not hold a half-written file as well
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file into an `OSError` that knows none: the disk is full, say, while an open file is written."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a text file could not be read, in a few words."""
    return getattr(error, "strerror", None) or "it is not UTF-8 text"


@contextmanager
def new_directory(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """A temporary directory to fill, which becomes `path` when the block ends without an error.

    What was at `path` is moved aside first and removed last; it comes back if the new one cannot be renamed.
    `unique` puts the process id into the temporary names, for directories that several processes may write.
    """
    tag = f".{os.getpid()}" if unique else ""
    temporary = path.with_name(f".{path.name}{tag}.tmp")
    aside = path.with_name(f".{path.name}{tag}.old")
    if aside.exists() and not path.exists():
        aside.rename(path)  # a kill came between the two renames
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for entry in [*temporary.rglob("*"), temporary]:
            if entry.is_file():
                # safetensors makes files that only their owner may read; a directory of ours goes by the umask.
                entry.chmod(temporary.stat().st_mode & 0o666)
            sync(entry)
        if path.exists():
            path.rename(aside)
        temporary.rename(path)
        sync(path.parent)
    finally:
        if aside.exists() and not path.exists():
            aside.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lets one process of a machine at a time make something in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Makes a file's content, or the names in a directory, survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_line(record: Mapping[str, Any]) -> str:
    """A record as a line of a JSONL file."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def append_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Appends records, one JSON object a line."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.writelines(map(json_line, records))


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
    write_text(path, "".join(map(json_line, records)))


def checksum(path: Path) -> str:
    """CRC-32 of a file, in eight hexadecimal digits."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def checksums(folder: Path) -> dict[str, str]:
    """The checksum of every file below a folder, by its name there; several files at a time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(8) as pool:
        return {
            str(path.relative_to(folder)): check
            for path, check in zip(files, pool.map(checksum, files), strict=True)
        }
