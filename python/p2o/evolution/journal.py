"""The journal of a prompt step: one JSON line per evaluation, reply, proposal and decision.

The step is a deterministic function of its settings and of what the policy and the reflection model
answered. So a resumed step runs from the start with the journaled answers and asks for the missing ones
only: nothing is evaluated twice, and it ends where the unbroken step ends. A line that a kill tore off is
dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from p2o.errors import RunDirectoryError
from p2o.evolution.types import EvaluationResult, ReflectionReply

Key = tuple[str, str, int]
"""Template id, problem id, rollout index. The policy version stands in the header."""

_HEADER = b'{"kind": "header"'
"""How a journal begins. What begins otherwise is no file of ours, and no last line of it is cut off."""


class Journal:
    """The records of a step, read back and appended to. Without a path it keeps nothing.

    Raises:
        RunDirectoryError: if the file cannot be written, another process writes it, it belongs to a step with other
            settings or is no journal, or a line before the last is damaged.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.path = path
        self.evaluations: dict[Key, EvaluationResult] = {}
        self.reflections: list[tuple[str, ReflectionReply]] = []
        self._notes: list[dict[str, Any]] = []
        self._noted = 0
        self._file: TextIO | None = None
        if path is None:
            return
        self._file = open_alone(path, "prompt step")
        try:
            records, length = read_records(path, "prompt step")
            if records:
                self._check_header(records[0], header)
            for number, record in enumerate(records[1:], start=2):
                self._load(record, number)
        except BaseException:
            self._file.close()
            raise
        os.truncate(path, length)
        if not records:
            self._append({"kind": "header", **header})
            self.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def evaluation(self, key: Key, result: EvaluationResult) -> None:
        """Appends a rollout."""
        if self._file is not None:
            template, problem, rollout = key
            self._append(
                {
                    "kind": "evaluation",
                    "template": template,
                    "problem": problem,
                    "rollout": rollout,
                    "reward": result.reward,
                    "text": result.text,
                    "finish_reason": result.finish_reason,
                    "tokens": result.tokens,
                    "feedback": result.feedback,
                }
            )

    def reflection(self, request: str, reply: ReflectionReply) -> None:
        """Appends a reply; `request` identifies what was asked."""
        if self._file is not None:
            self._append(
                {
                    "kind": "reflection",
                    "request": request,
                    "text": reply.text,
                    "finish_reason": reply.finish_reason,
                    "tokens": reply.tokens,
                    "cost": reply.cost,
                }
            )

    def note(self, record: Mapping[str, Any]) -> None:
        """Appends what the step derived (a proposal, a decision); on resume it must derive the same again."""
        if self._file is None:
            return
        record = json.loads(json.dumps(record))
        if self._noted < len(self._notes):
            if self._notes[self._noted] != record:
                raise RunDirectoryError(
                    f"{self.path}: record {self._noted + 1} of the step does not follow from its answers; "
                    "delete the journal to start the step again"
                )
        else:
            self._append(record)
        self._noted += 1

    @property
    def replaying(self) -> bool:
        """Whether recorded notes are still to come."""
        return self._noted < len(self._notes)

    def next_note(self, kind: str) -> bool:
        """Whether the next recorded note is of this kind."""
        return self._noted < len(self._notes) and self._notes[self._noted]["kind"] == kind

    def sync(self) -> None:
        """Brings what was appended to the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def _append(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(record) + "\n")
        # Flushed line by line: a kill of the process loses at most the line being written.
        self._file.flush()

    def _check_header(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps({"kind": "header", **wanted}))
        different = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if different:
            raise RunDirectoryError(
                f"{self.path}: another step's journal, {', '.join(different)} differ: "
                "go back to those, write elsewhere, or delete the journal to start the step again"
            )

    def _load(self, record: dict[str, Any], number: int) -> None:
        try:
            if record["kind"] == "evaluation":
                key = (record["template"], record["problem"], record["rollout"])
                self.evaluations[key] = EvaluationResult(
                    record["reward"],
                    record["text"],
                    record["finish_reason"],
                    record["tokens"],
                    record["feedback"],
                )
            elif record["kind"] == "reflection":
                reply = ReflectionReply(
                    record["text"], record["finish_reason"], record["tokens"], record["cost"]
                )
                self.reflections.append((record["request"], reply))
            else:
                self._notes.append(record)
        except (KeyError, TypeError) as error:
            raise RunDirectoryError(
                f"{self.path}, line {number}: not a journal record; delete the file to start the step again"
            ) from error


def open_alone(path: Path, work: str) -> TextIO:
    """The journal of a `work` opened to append, and locked for as long as it is open.

    Raises:
        RunDirectoryError: if it cannot be written, or another process is at work on it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise RunDirectoryError(f"{path}: the journal cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise RunDirectoryError(
            f"{path}: another {work} is at work on it: wait for it, end it, or write elsewhere"
        ) from None
    except OSError:
        pass  # a file system without locks
    return file


def read_records(path: Path, work: str) -> tuple[list[dict[str, Any]], int]:
    """The records of the journal of a `work` and the length in bytes of its undamaged part.

    Raises:
        RunDirectoryError: if it is no journal, or a line before the last is damaged.
    """
    records: list[dict[str, Any]] = []
    length = 0
    data = path.read_bytes()
    if not data.startswith(_HEADER[: len(data)]):
        raise RunDirectoryError(f"{path}: is no journal of a {work}; write elsewhere")
    lines = data.split(b"\n")
    # The last element is what follows the last newline: empty, or a torn line.
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise RunDirectoryError(
                f"{path}, line {number}: not JSON; delete the journal to start the {work} again"
            ) from error
        length += len(line) + 1
    return records, length
