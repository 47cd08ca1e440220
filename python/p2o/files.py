"""Files that are never half-written: written under a temporary name, synced, renamed."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from p2o.errors import P2oError, RunDirectoryError, in_one_line
from p2o.locks import lock

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust (safetensors, tokenizers) tell of the system's errors: theirs are no `OSError`."""

_CHECKED = re.compile(rb'(.*), "(?:check": "([^"]*)|[^"]*": "[0-9a-f]{8})"\}', re.DOTALL)
"""A line and its checksum, the last field, of which one half may be damaged."""

_CHUNK = 2**22
"""Bytes of a file that are read at once for its checksum."""


def write_text(path: Path, text: str) -> None:
    """Writes a file in one step: afterwards it holds the old text or the new, never a part."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file in one step: afterwards it holds the old content or the new, never a part.

    A link stays, and what it leads to is written. A device or a pipe (`/dev/stdout`) gets the content as it is.
    """
    with naming(path):
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        target = behind_link(path)
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:  # a full disk, which should not hold a half-written file as well
            with suppress(OSError):
                temporary.unlink()
            error.filename = str(path)  # the one that a user knows
            del error.filename2
            raise
        sync(target.parent)


def behind_link(path: Path) -> Path:
    """Where a link leads, there or not; any other path as it is."""
    return path.resolve() if path.is_symlink() else path


@contextmanager
def naming_damaged(files: str, remedy: str = "") -> Iterator[None]:
    """Raises RunDirectoryError where records lack what is read from them: without checksums nothing else shows it."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(f"{files} is damaged ({in_one_line(error)}){remedy}") from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file into an `OSError` that knows none: the disk is full, say, while an open file is written.

    What a library in Rust raises then becomes an `OSError` as well.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    except P2oError:
        raise
    except Exception as error:
        if (found := _SYSTEM_ERROR.search(str(error))) is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


def why_unreadable(error: OSError | ValueError | RecursionError) -> str:
    """Why a text file could not be read, or is not TOML or JSON, in a few words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b"\n") + 1
        return f"line {line} is not UTF-8 text" if line > 1 else "it is not UTF-8 text"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def read_toml(path: Path, error: type[P2oError]) -> dict[str, Any]:
    """The tables of a TOML file that a user or a run owns; `error` is what is raised, in one line that names it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as failed:
        raise error(f"{path}: cannot be read ({why_unreadable(failed)})") from None
    except (ValueError, RecursionError) as failed:
        # tomllib has other errors for long numbers and deep tables.
        raise error(f"{path}: not valid TOML ({why_unreadable(failed)})") from None


def read_json(path: Path, error: type[P2oError], remedy: str) -> dict[str, Any]:
    """The JSON object in a file that a run owns; what is raised names the file and the remedy."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as failed:
        raise error(f"{path} is missing or damaged: {why_unreadable(failed)}; {remedy}") from None
    if not isinstance(found, dict):
        raise error(f"{path} is missing or damaged: not a JSON object; {remedy}")
    return found


@contextmanager
def new_directory(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """A temporary directory to fill, which becomes `path` when the block ends without an error.

    What was at `path` is moved aside first and removed last; it comes back if the new one cannot be renamed. A link
    stays, and the directory is where it leads.
    `unique` puts the process id into the temporary names, for directories that several processes may write.
    """
    path = behind_link(path)
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
    if os.name == "nt":  # opens no folders
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Makes a file's content, or the names in a directory, survive a crash of the machine."""
    if os.name == "nt":  # syncs nothing that was opened for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_line(record: Mapping[str, Any]) -> str:
    """A record as a line of a JSONL file, without its checksum."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def with_check(line: str) -> str:
    """A line of JSON, an object with a field, with a last one `check`: the CRC-32 of the line without it."""
    text = line.rstrip("\n")
    return f'{text[:-1]}, "check": "{zlib.crc32(text.encode()):08x}"}}\n'


def without_check(line: bytes) -> bytes | None:
    """A line as it was before `with_check`; None if it has no checksum.

    Raises:
        ValueError: if it does not follow its checksum.
    """
    found = _CHECKED.fullmatch(line)
    if found is None:
        return None
    text = found[1] + b"}"
    if found[2] != f"{zlib.crc32(text):08x}".encode():
        raise ValueError("damaged, for it does not follow its checksum")
    return text


def append_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Appends records, one JSON object a line, each with its checksum."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.writelines(with_check(json_line(record)) for record in records)


def read_jsonl(path: Path, most: int | None = None) -> list[dict[str, Any]]:
    """The first records of a file of ours, all of them or `most`; none if there is no such file.

    A last line that a kill cut off is left out. Files of earlier versions of p2o have no checksums.

    Raises:
        RunDirectoryError: naming the line, if another one is damaged.
    """
    records: list[dict[str, Any]] = []
    # Bytes are split at newlines only: a text may hold U+2028, and a cut line half a character.
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    checked = False
    for number, line in enumerate(lines[:-1][:most], start=1):  # the last one is empty, or cut off
        try:
            text = without_check(line)
            checked = checked or text is not None
            record = json.loads(line if text is None else text)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or (checked and text is None):
            raise RunDirectoryError(
                f"{path}, line {number}: damaged, for it is no record or does not follow its checksum; put the file "
                "back as it was, or remove the line"
            )
        records.append(record)
    return records


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes a whole file of records, each with its checksum, in one step."""
    write_text(path, "".join(with_check(json_line(record)) for record in records))


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
