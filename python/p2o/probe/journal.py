"""The journal of a probe: a header, then one line per batch of rollouts, each synced before the next batch is drawn.

A probe is a function of its settings and of these rollouts in request order. So a killed probe runs again with the
journaled rollouts and draws only the missing ones. A line torn by a kill is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2o.journal import JournalFile


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the journal keeps of a rollout."""

    reward: float
    tokens: int
    cut: bool
    """Whether it ran into `rollout.max_tokens`."""


class ProbeJournal(JournalFile):
    """The rollouts of a probe in request order."""

    work = "probe"

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.outcomes: list[Outcome] = []
        self.seconds = 0.0
        super().__init__(path, header)

    def add(self, outcomes: list[Outcome], seconds: float) -> None:
        """Appends a batch and syncs it to disk."""
        columns = {name: [int(getattr(one, name)) for one in outcomes] for name in ("tokens", "cut")}
        rewards = [outcome.reward for outcome in outcomes]
        self.append({"kind": "batch", "rewards": rewards, **columns, "seconds": seconds})
        self.sync()
        self.outcomes += outcomes
        self.seconds += seconds

    def load(self, record: dict[str, Any]) -> None:
        """See [`JournalFile`][]."""
        rows = zip(record["rewards"], record["tokens"], record["cut"], strict=True)
        self.outcomes += [Outcome(float(reward), int(tokens), bool(cut)) for reward, tokens, cut in rows]
        self.seconds += float(record["seconds"])
