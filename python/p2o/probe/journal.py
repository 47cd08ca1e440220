"""The journal of a probe: a header, then one line per batch of rollouts, each synced before the next batch is drawn.

A probe is a function of its settings and of these rollouts in request order. So a killed probe runs again with the
journaled rollouts and draws only the missing ones. A line torn by a kill is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from p2o.errors import RunDirectoryError
from p2o.evolution.journal import open_alone, read_records

_REMEDY = "go back to it, or give another --output"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the journal keeps of a rollout."""

    reward: float
    tokens: int
    cut: bool
    """Whether it ran into `rollout.max_tokens`."""


class ProbeJournal:
    """The rollouts of a probe in request order.

    Raises:
        RunDirectoryError: if the file cannot be written, another process writes it, it is not a journal, or it belongs
            to a probe with other settings, one of which is named.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.outcomes: list[Outcome] = []
        self.seconds = 0.0
        self._file = open_alone(path, "probe")
        try:
            records, length = read_records(path, "probe")
            if records:
                self._check_header(records[0], json.loads(json.dumps(header)))
            for number, record in enumerate(records[1:], start=2):
                self._load(record, number)
            os.truncate(path, length)
            if not records:
                self._append({"kind": "header", **header})
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, outcomes: list[Outcome], seconds: float) -> None:
        """Appends a batch and syncs it to disk."""
        self._append(
            {
                "kind": "batch",
                "rewards": [outcome.reward for outcome in outcomes],
                "tokens": [outcome.tokens for outcome in outcomes],
                "cut": [int(outcome.cut) for outcome in outcomes],
                "seconds": seconds,
            }
        )
        self.outcomes += outcomes
        self.seconds += seconds

    def _append(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _load(self, record: Mapping[str, Any], number: int) -> None:
        try:
            rows = zip(record["rewards"], record["tokens"], record["cut"], strict=True)
            self.outcomes += [Outcome(float(reward), int(tokens), bool(cut)) for reward, tokens, cut in rows]
            self.seconds += float(record["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunDirectoryError(
                f"{self.path}, line {number}: not a batch of a probe; delete the file to start the probe again"
            ) from error

    def _check_header(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        for key, value in wanted.items():
            if found.get(key) != value:
                raise RunDirectoryError(
                    f"{self.path.parent}: the probe there has another {key} ({_shown(found.get(key))}, not "
                    f"{_shown(value)}): {_REMEDY}"
                )
        for key in found.keys() - wanted.keys() - {"kind"}:
            raise RunDirectoryError(
                f"{self.path.parent}: the probe there has {key} = {_shown(found[key])}, now not set: {_REMEDY}"
            )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
