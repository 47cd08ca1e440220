"""Journals: what an interrupted piece of work has already been told, one JSON record a line.

The work is a function of its settings, which stand in the first line, and of the answers in the others. A resumed one
runs from the start with the recorded answers and asks only for the missing ones. A last line that a kill tore off is
dropped. Every record ends in a checksum of its line, so that a damaged one is refused and not taken for an answer.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Self, TextIO

from p2o.errors import RunDirectoryError, brief
from p2o.files import naming, with_check, without_check
from p2o.locks import lock

_HEADER = b'{"kind": "header"'
"""How a journal begins. What begins otherwise is no file of ours, and no last line of it is cut off."""


class JournalFile(ABC):
    """A journal, read back and appended to. Without a path it keeps nothing.

    Raises:
        RunDirectoryError: if the file cannot be written, another process writes it, it belongs to work with other
            settings or is no journal, or a line before the last is damaged.
    """

    work: ClassVar[str]
    """What is journaled, in a word or two."""

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.path = path
        self._file: TextIO | None = None
        self._writing = Lock()
        """Replies may come in beside rollouts."""
        if path is None:
            return
        self._file = self._open(path)
        try:
            records, length = self._read(path)
            if records:
                self.check_header(records[0], json.loads(json.dumps({"kind": "header", **header})))
            for number, record in enumerate(records[1:], start=2):
                try:
                    self.load(record)
                except (KeyError, TypeError, ValueError) as error:
                    raise RunDirectoryError(
                        f"{path}, line {number}: not a record of {self._one}; delete the file to start again"
                    ) from error
            os.truncate(path, length)
            if not records:
                self.append({"kind": "header", **header})
                self.sync()
        except BaseException:
            self._close()
            raise

    @property
    def _one(self) -> str:
        return f"{'an' if self.work[0] in 'aeiou' else 'a'} {self.work}"

    @abstractmethod
    def load(self, record: dict[str, Any]) -> None:
        """Takes in a record after the header; KeyError, TypeError or ValueError if it is none."""

    def check_header(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Refuses a header with other settings than those wanted now.

        Raises:
            RunDirectoryError: naming one setting that differs.
        """
        assert self.path is not None
        about = f"{self.path.parent}: the {self.work} there has"
        remedy = "go back to it, or give another --output"
        for key, value in wanted.items():
            if found.get(key) != value:
                raise RunDirectoryError(
                    f"{about} another {key} ({brief(found.get(key))}, not {brief(value)}): {remedy}"
                )
        for key in found.keys() - wanted.keys():
            raise RunDirectoryError(f"{about} {key} = {brief(found[key])}, now not set: {remedy}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def append(self, record: Mapping[str, Any]) -> None:
        """Appends a record. A kill of the process loses at most the line being written."""
        if self._file is not None and self.path is not None:
            with naming(self.path), self._writing:
                self._file.write(with_check(json.dumps(record)))
                self._file.flush()

    def sync(self) -> None:
        """Brings what was appended to the disk."""
        if self._file is not None and self.path is not None:
            with naming(self.path):
                self._file.flush()
                os.fsync(self._file.fileno())

    def _close(self) -> None:
        if self._file is not None and self.path is not None:
            with naming(self.path), self._writing:  # a full disk: what could not be written is tried again
                self._file.close()

    def _open(self, path: Path) -> TextIO:
        """The file, locked for as long as it is open."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise RunDirectoryError(f"{path}: the journal cannot be written ({error.strerror})") from error
        try:
            lock(file)
        except BlockingIOError:
            file.close()
            raise RunDirectoryError(
                f"{path}: another {self.work} is at work on it: wait for it, end it, or write elsewhere"
            ) from None
        return file

    def _read(self, path: Path) -> tuple[list[dict[str, Any]], int]:
        """The records, and the length in bytes of the undamaged part."""
        records: list[dict[str, Any]] = []
        data = path.read_bytes()
        if not data.startswith(_HEADER[: len(data)]):
            raise RunDirectoryError(f"{path}: is no journal of {self._one}; write elsewhere")
        # What follows the last newline is empty, or a torn line.
        lines = data.split(b"\n")[:-1]
        for number, line in enumerate(lines, start=1):
            remedy = f"delete the journal to start the {self.work} again"
            try:
                text = without_check(line)
            except ValueError as error:
                raise RunDirectoryError(f"{path}, line {number}: {error}; {remedy}") from error
            try:
                record = json.loads(line if text is None else text)
            except (ValueError, RecursionError) as error:
                raise RunDirectoryError(f"{path}, line {number}: not JSON; {remedy}") from error
            if text is None:
                raise RunDirectoryError(
                    f"{path}, line {number}: not a record of {self._one}, or one of another version of p2o; {remedy}"
                )
            records.append(record)
        return records, sum(len(line) + 1 for line in lines)
