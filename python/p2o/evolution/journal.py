"""The journal of a prompt step: one record per evaluation, reply, proposal and decision.

The step is a deterministic function of its settings and of what policy and reflection model answered: nothing is
evaluated twice, and a resumed step ends where the unbroken one ends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from p2o.errors import RunDirectoryError
from p2o.evolution.types import EvaluationResult, ReflectionReply
from p2o.journal import JournalFile

Key = tuple[str, str, int]
"""Template id, problem id, rollout index. The policy version stands in the header."""


class Journal(JournalFile):
    """The records of a step."""

    work = "prompt step"

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.evaluations: dict[Key, tuple[EvaluationResult, str]] = {}
        self.reflections: list[tuple[str, ReflectionReply]] = []
        self._notes: list[dict[str, Any]] = []
        self._noted = 0
        self.stop_wanted = False
        """Whether the step is to end before it asks for anything new."""
        super().__init__(path, header)

    def before_asking(self) -> None:
        """Raises KeyboardInterrupt if the step was to be stopped while its records were read."""
        if self.stop_wanted:
            raise KeyboardInterrupt

    def evaluation(self, key: Key, result: EvaluationResult, said: str = "") -> None:
        """Appends a rollout; `said` is a hash of its text, which may not be kept itself."""
        where = dict(zip(("template", "problem", "rollout"), key, strict=True))
        self.append({"kind": "evaluation", **where, **asdict(result), **({"said": said} if said else {})})

    def replay(self, key: Key) -> tuple[EvaluationResult, str] | None:
        """A recorded rollout and the hash of its text, once; None if there is none."""
        return self.evaluations.pop(key, None)

    def reflection(self, request: str, reply: ReflectionReply) -> None:
        """Appends a reply; `request` identifies what was asked."""
        self.append({"kind": "reflection", "request": request, **asdict(reply)})

    def note(self, record: Mapping[str, Any]) -> None:
        """Appends what the step derived (a proposal, a decision); on resume it must derive the same again."""
        record = json.loads(json.dumps(record))
        if self._noted < len(self._notes):
            if self._notes[self._noted] != record:
                raise RunDirectoryError(
                    f"{self.path}: record {self._noted + 1} of the step does not follow from its answers; "
                    "delete the journal to start the step again"
                )
        else:
            self.append(record)
        self._noted += 1

    @property
    def replaying(self) -> bool:
        """Whether recorded notes are still to come."""
        return self._noted < len(self._notes)

    @property
    def read_through(self) -> bool:
        """Whether the step has come as far as its records."""
        return not self.replaying and not self.evaluations

    def is_next(self, record: Mapping[str, Any]) -> bool:
        """Whether this is the next recorded note."""
        return self.replaying and self._notes[self._noted] == record

    def check_header(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """See [`JournalFile`][]."""
        different = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if different:
            raise RunDirectoryError(
                f"{self.path}: another step's journal, {', '.join(different)} differ: "
                "go back to those, write elsewhere, or delete the journal to start the step again"
            )

    def load(self, record: dict[str, Any]) -> None:
        """See [`JournalFile`][]."""
        kind, fields = record["kind"], {name: value for name, value in record.items() if name != "kind"}
        if kind == "evaluation":
            key = (fields.pop("template"), fields.pop("problem"), fields.pop("rollout"))
            said = fields.pop("said", "")
            self.evaluations[key] = (EvaluationResult(**fields), said)
        elif kind == "reflection":
            self.reflections.append((fields.pop("request"), ReflectionReply(**fields)))
        else:
            self._notes.append(record)
