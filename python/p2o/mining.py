"""Hard-sample mining: which problems the policy cannot solve yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from p2o.errors import InputError
from p2o.evolution.config import MiningConfig
from p2o.types import Group

HardKind = Literal["very_hard", "near_hard"]
"""`very_hard`: no success. `near_hard`: exactly one in at least two rollouts."""


@dataclass(slots=True)
class _Record:
    """A problem's rollouts in the last epoch that saw it, and what they made of it."""

    epoch: int
    successes: int = 0
    trials: int = 0


class HardSet:
    """Collects the hard problems of an epoch, group by group: every epoch judges anew, by all rollouts."""

    def __init__(self, config: MiningConfig | None = None) -> None:
        self.config = config or MiningConfig()
        self._records: dict[str, _Record] = {}
        self._epoch = -1

    def observe(self, group: Group, epoch: int) -> None:
        """Takes in a group. Several groups of a problem in one epoch count together.

        Raises:
            InputError: if the epoch lies before one already observed.
        """
        if epoch < self._epoch:
            raise InputError(f"epoch {epoch} after epoch {self._epoch}; observe epochs in order")
        self._epoch = epoch
        record = self._records.get(group.problem.id)
        if record is None or record.epoch != epoch:
            record = self._records[group.problem.id] = _Record(epoch)
        for rollout in group.rollouts:
            record.successes += rollout.reward >= self.config.success
            record.trials += 1

    def _kind(self, successes: int, trials: int) -> HardKind | None:
        if trials == 0:
            return None
        if successes == 0:
            return "very_hard"
        return "near_hard" if self.config.near_hard and successes == 1 and trials >= 2 else None

    def hard(self) -> dict[str, HardKind]:
        """The hard problems of the last epoch observed and how hard they are, sorted by id."""
        judged = {
            problem_id: self._kind(record.successes, record.trials)
            for problem_id, record in sorted(self._records.items())
            if record.epoch == self._epoch
        }
        return {problem_id: kind for problem_id, kind in judged.items() if kind is not None}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form, without the settings."""
        records = {problem_id: asdict(record) for problem_id, record in self._records.items()}
        return {"schema": 1, "epoch": self._epoch, "records": records}

    @classmethod
    def from_dict(cls, data: dict[str, Any], config: MiningConfig | None = None) -> Self:
        """Reads what `to_dict` wrote.

        Raises:
            InputError: if the schema is another one.
        """
        if data.get("schema") != 1:
            raise InputError(
                f"a hard set of schema {data.get('schema')!r} cannot be read; this version reads 1"
            )
        hard_set = cls(config)
        hard_set._epoch = data["epoch"]
        hard_set._records = {problem_id: _Record(**record) for problem_id, record in data["records"].items()}
        return hard_set
