"""The completions of an evaluation, `completions.jsonl`: a header with its settings, then a line per completion.

An evaluation is a function of its settings and of these, in request order. A killed one draws only the missing ones,
in the batches in which it would have drawn them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2o.journal import JournalFile
from p2o.types import FinishReason


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion of a problem, verified."""

    problem: str
    """The problem's id."""
    index: int
    """Which of the problem's completions."""
    reward: float
    answer: str | None
    """The answer as it stands in the text; None if there is none, or a function of one's own gave the reward."""
    tokens: int
    finish_reason: FinishReason
    text: str


class EvaluationJournal(JournalFile):
    """The completions of an evaluation in request order."""

    work = "evaluation"

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.completions: list[Completion] = []
        super().__init__(path, header)

    def add(self, completions: Iterable[Completion]) -> None:
        """Appends completions and syncs them to disk."""
        for completion in completions:
            self.append({"kind": "completion", **asdict(completion)})
            self.completions.append(completion)
        self.sync()

    def load(self, record: dict[str, Any]) -> None:
        """See [`JournalFile`][]."""
        values = {key: value for key, value in record.items() if key != "kind"}
        self.completions.append(Completion(**values))
