"""Records: those of a file of JSON or CSV, or the rows of a dataset that the library `datasets` reads."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import logging
import lzma
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from p2o.errors import DataError, MissingDependencyError
from p2o.hub import hub_answers, only_downloaded

Record = tuple[str, dict[str, Any]]
"""Where a record is found, for messages, and its fields."""

BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}
"""Builders of `datasets` by the suffix of a file."""


def _zstd(content: bytes) -> bytes:
    import pyarrow  # comes with datasets

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(content), "zstd") as stream:
        decompressed: bytes = stream.read()
    return decompressed


COMPRESSED: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": _zstd,
}
"""What decompresses a file, by the last of its suffixes."""

NOT_READ = {".xls", ".xlsx", ".ods", ".zip", ".pkl"}
"""Suffixes of files that would be taken for damaged JSON Lines."""


def jsonl_records(path: Path) -> Iterator[Record]:
    """The objects of a JSONL file, in order; empty lines are left out.

    Raises:
        DataError: the file is missing, or a line is malformed (named by its number).
    """
    return objects(parse_lines(read_bytes(path), str(path)))


def file_records(path: Path) -> Iterator[Record]:
    """The records of a file, by its suffix: rows of Parquet, Arrow, CSV, TSV; else JSON objects in lines or an array.

    What is no Parquet or Arrow may be compressed: `train.jsonl.gz`.

    Raises:
        DataError: the file is missing or malformed; the line or row is named.
        MissingDependencyError: if Parquet or Arrow needs the package datasets.
    """
    if path.is_dir():
        raise DataError(
            f'{path}: is a folder; name a file, or several by a pattern: data.kind = "dataset", data.train = '
            f'"{path}/*.jsonl" (or .parquet, ...)'
        )
    match content_suffix(path):
        case ".parquet" | ".arrow":
            return dataset_records(str(path), None, None, usual_split="train")
        case ".csv" | ".tsv":
            return csv_records(path)
        case suffix if suffix in NOT_READ:
            raise _not_read(str(path), suffix)
    return objects(array_items(path))


def _not_read(source: str, suffix: str) -> DataError:
    return DataError(f"{source}: {suffix or 'this'} is not read; save it as JSON Lines, JSON, CSV or Parquet")


def csv_records(path: Path) -> Iterator[Record]:
    """The rows of a CSV file whose first line names the fields; every value is text, and an empty one is missing.

    Values are separated by commas, semicolons or tabs: by what the first line has most of.

    Raises:
        DataError: the file is missing, is no text, names a field twice, or a row has more values than there are
            fields.
    """
    text = _decode(read_bytes(path).removeprefix(codecs.BOM_UTF8), str(path))
    try:
        separator = max(",;\t", key=text.partition("\n")[0].count)
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
        with _fields_of_any_length():
            read = [(f"{path}, line {rows.line_num}", row) for row in rows]
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from None
    for name, times in Counter(rows.fieldnames or ()).items():
        if name and times > 1:
            raise DataError(f"{path}: the first line names the field {name!r} {times} times; rename one")
    for where, row in read:
        if None in row:
            raise DataError(f"{where}: more values than the first line names fields")
        yield where, {name: value or None for name, value in row.items()}


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lifts the limit of `csv`, 131,072 characters a field, which it keeps for the whole process."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def array_items(path: Path) -> Iterator[tuple[str, Any]]:
    """The items of a JSON file: of the array that it is, else line by line."""
    content = read_bytes(path)
    if not content.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        yield from parse_lines(content, str(path))
        return
    items = _parse(_decode(content.removeprefix(codecs.BOM_UTF8), str(path)), str(path))
    for number, item in enumerate(items, start=1):
        yield f"{path}, item {number}", item


def given_records(text: str, name: str) -> Iterator[Record]:
    """The records of an argument `name`, of which `text` has one in each line; their place is `name[0]`, ..."""
    for index, (_, value) in enumerate(parse_lines(text.encode(), name)):
        yield f"{name}[{index}]", value


def objects(lines: Iterable[tuple[str, Any]]) -> Iterator[Record]:
    """The values of JSONL, which must be objects. Raises DataError for another one."""
    for where, value in lines:
        if not isinstance(value, dict):
            raise DataError(f"{where}: a JSON object is expected, got {type(value).__name__}")
        yield where, value


def content_suffix(path: Path) -> str:
    """The suffix that says what a file holds: `.csv` of `train.csv.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed.

    Raises:
        DataError: it is missing or cannot be read.
        MissingDependencyError: if `.zst` needs the package pyarrow.
    """
    decompress = COMPRESSED.get(path.suffix.lower(), bytes)
    try:
        return decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except ImportError:
        raise MissingDependencyError(
            f'{path} needs the package pyarrow: pip install "p2o-rl[data]"'
        ) from None
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason})") from None


def parse_lines(content: bytes, name: str) -> Iterator[tuple[str, Any]]:
    """The values of JSONL, objects or not, in order; empty lines are left out. `name` says where it was read.

    Raises:
        DataError: a line is malformed (named by its number).
    """
    # Only the newline ends a line: JSON strings may hold the other separators that str.splitlines knows.
    for number, raw in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        where = f"{name}, line {number}"
        line = _decode(raw, where)
        if line.strip():
            yield where, _parse(line, where)


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: cannot be read as UTF-8 text ({error.reason}); save it as UTF-8") from None


def _parse(line: str, where: str) -> Any:
    try:
        value = json.loads(line)
        if "\\u" in line:
            # Half of a surrogate pair is valid JSON, but no text: nothing could encode it.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line_number = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError(
            f"{where}: not valid JSON ({error.msg} at {line_number}column {error.colno})"
        ) from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: a text holds half of a surrogate pair (\\ud800 to \\udfff)") from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply") from None
    except ValueError:
        limit = sys.get_int_max_str_digits()
        raise DataError(f"{where}: an integer has over {limit} digits; write it as text") from None
    return value


def dataset_records(
    source: str, subset: str | None, split: str | None, *, usual_split: str
) -> Iterator[Record]:
    """The rows of a split of a dataset, in order; arguments and errors as of `load_split`."""
    rows, name = load_split(source, subset, split, usual_split=usual_split)
    yield from dataset_rows(rows, source, name)


def load_split(
    source: str, subset: str | None, split: str | None, *, usual_split: str, revision: str | None = None
) -> tuple[Any, str]:
    """A split of a dataset, as the library `datasets` has it, and its name.

    Args:
        source: a file (Parquet, CSV, JSON, Arrow; a pattern with `*` for several), a folder that `save_to_disk` wrote,
            or a dataset of the Hugging Face hub.
        subset: its configuration, if it has several.
        split: its split; unset, the only one, or else `usual_split`.
        revision: commit, tag or branch of a dataset of the hub; unset, its newest commit.

    Raises:
        MissingDependencyError: if the package datasets is not installed.
        DataError: one line, if the dataset cannot be read or has no such split.
    """
    try:
        import datasets
    except ImportError:
        raise MissingDependencyError(
            f'{source} needs the package datasets: pip install "p2o-rl[data]"'
        ) from None
    suffix = content_suffix(Path(source))
    builder = BUILDERS.get(suffix)
    if builder is None and (suffix in NOT_READ or "*" in source):
        raise _not_read(source, suffix)
    try:
        if builder is not None:
            with _without_bars(datasets), _without_logs():
                found = datasets.load_dataset(builder, data_files=source)
        elif any((Path(source) / name).exists() for name in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(source)
        else:
            with _without_logs(), nullcontext() if hub_answers() else only_downloaded():
                found = datasets.load_dataset(source, subset, revision=revision)
    except Exception as error:  # from the file system, the hub, Arrow and each builder
        if "corresponds to no data" in str(error):
            raise DataError(f"{source}: holds no rows") from None
        if "zstd not supported" in str(error):
            raise MissingDependencyError(
                f"{source}: datasets reads .zst with the package zstandard: pip install zstandard"
            ) from None
        if builder is not None and isinstance(error, FileNotFoundError | StopIteration):
            raise DataError(f"{source}: no such file") from None
        cause = error.__cause__ or error  # "an error occurred while generating the dataset" says nothing
        reason = " ".join(str(cause).split())[:300].rstrip(".")
        if "OfflineModeIsEnabled" in reason:
            reason = "the hub cannot be reached, and it was not downloaded before"
        remedy = (
            "a file is missing, damaged, or not what its suffix says"
            if builder is not None or Path(source).exists()
            else "check the name and the connection"
        )
        raise DataError(f"{source}: cannot be read ({reason}); {remedy}") from None
    splits = found if isinstance(found, dict) else {"train": found}
    if split is None and len(splits) > 1:
        split = usual_split
    if split is not None and split not in splits:
        raise DataError(f"{source}: no split {split!r} (found: {', '.join(splits)}); set data.splits")
    name = split or next(iter(splits))
    return splits[name], name


@contextmanager
def _without_bars(datasets: Any) -> Iterator[None]:
    """Reads a file without the bars that are meant for downloads."""
    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


@contextmanager
def _without_logs() -> Iterator[None]:
    """Reads without the lines that are logged on the way to an error, which says the same."""
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def dataset_rows(rows: Iterable[dict[str, Any]], source: str, split: str) -> Iterator[Record]:
    """The rows of a split as records."""
    for index, row in enumerate(rows):
        yield f"{source}, row {index} of {split}", {key: _plain(value) for key, value in row.items()}


def hub_commit(rows: Any) -> str | None:
    """The commit of the hub that a split was loaded from: `datasets` names the folder of its cache by it."""
    folders = [Path(file["filename"]).parent.name for file in rows.cache_files]
    return next((name for name in folders if re.fullmatch(r"[0-9a-f]{40}", name)), None)


def _plain(value: Any) -> Any:
    """The value in JSON's types. What JSON has no form for (dates, bytes) becomes text: they are hashed and logged."""
    if isinstance(value, dict):
        return {str(key): _plain(field) for key, field in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)
