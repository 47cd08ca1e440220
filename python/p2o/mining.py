"""Hard-sample mining: which problems the policy cannot solve yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from p2o.errors import InputError
from p2o.evolution.config import MiningConfig
from p2o.templates import PLAIN
from p2o.types import Group

HardKind = Literal["very_hard", "near_hard"]
"""`very_hard`: no success. `near_hard`: exactly one in at least two rollouts."""


@dataclass(slots=True)
class _Record:
    """A problem's rollouts in the last epoch that saw it, and what they made of it."""

    epoch: int
    successes: int = 0
    trials: int = 0
    plain_successes: int = 0
    plain_trials: int = 0
    was_hard: bool = False
    kind: HardKind | None = None


class HardSet:
    """Collects the hard problems of an epoch, group by group.

    With `hardness = "group"` every epoch judges anew by all rollouts of the groups (the paper). With
    `"plain"` only rollouts without a template count: a hard problem keeps its place, and thereby its
    templates, until a plain rollout succeeds, over epochs that give it no plain rollout too.
    """

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
            was_hard = record is not None and record.kind is not None
            kind = record.kind if record is not None else None
            record = self._records[group.problem.id] = _Record(epoch, was_hard=was_hard, kind=kind)
        for rollout in group.rollouts:
            success = rollout.reward >= self.config.success
            record.successes += success
            record.trials += 1
            if rollout.template_id == PLAIN.id:
                record.plain_successes += success
                record.plain_trials += 1
        record.kind = self._judge(record)

    def _judge(self, record: _Record) -> HardKind | None:
        if self.config.hardness == "group":
            return self._kind(record.successes, record.trials)
        if record.plain_trials == 0:
            return record.kind
        if record.was_hard:
            return None if record.plain_successes else "very_hard"
        return self._kind(record.plain_successes, record.plain_trials)

    def _kind(self, successes: int, trials: int) -> HardKind | None:
        if trials == 0:
            return None
        if successes == 0:
            return "very_hard"
        return "near_hard" if self.config.near_hard and successes == 1 and trials >= 2 else None

    def hard(self) -> dict[str, HardKind]:
        """The hard problems and how hard they are, sorted by id.

        `group`: of the last epoch observed. `plain`: of each problem's last epoch.
        """
        current = self.config.hardness == "group"
        return {
            problem_id: record.kind
            for problem_id, record in sorted(self._records.items())
            if record.kind is not None and (record.epoch == self._epoch or not current)
        }

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
