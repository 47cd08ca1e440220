"""The rules by which a proposal is accepted: what all have in common, `strict` and `posterior`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from p2o.evolution.search.rollouts import REPLICATES, Rollouts
from p2o.evolution.search.statistics import probability_better
from p2o.evolution.types import EvaluationRequest
from p2o.templates import PLAIN
from p2o.types import Problem, Template

LOST_RACE = "what it won from the plain prompt it did not win again"
TOO_FEW_WINS = "what it won from the plain prompt it won again, but on too few problems"

CONFIDENCE = 0.99
"""Posterior probability of being better, on further rollouts of the dev problems it won, that `posterior` asks of a
template. In `sequential`, a template of no use is accepted with at most twice the chance that is missing to 1."""

STAGES = ((0.1, 0.5), (0.25, 0.7), (0.5, 0.9))
"""Shares of the dev set after which templates that are not promising are dropped, and the same probability needed to go
on after each."""

_FIRST_STAGE = 8
"""Fewest dev problems worth a look: below, chance alone drops good templates."""


@dataclass(slots=True)
class Entrant:
    """A template on its way; `stage` counts the stages it has passed, `seen` the dev problems.

    `held_out` are feedback problems that had no part in how it was made; on the first `held` it was rolled out.
    """

    id: int
    template: Template
    dev: Sequence[Problem]
    stage: int = 0
    seen: int = 0
    threshold: float = 0.0
    held_out: Sequence[Problem] = ()
    held: int = 0

    @property
    def tried(self) -> Sequence[Problem]:
        """The dev problems that it has been rolled out on."""
        return self.dev[: self.seen]


@dataclass(frozen=True, slots=True)
class Finish:
    """What became of an entrant: accepted on the whole dev set, or refused after `seen` of its problems."""

    id: int
    accepted: bool
    reason: str
    seen: int
    probability_better: float | None = None
    e_value: float | None = None


class Rule(ABC):
    """What the step and the race ask of a rule."""

    counts_trials: ClassVar[bool] = True
    """Whether the front weighs scores by the rollouts behind them."""

    needs_random_order: ClassVar[bool] = False
    """Whether the order of problems that were given must not matter."""

    def __init__(self, rollouts: Rollouts) -> None:
        self.rollouts = rollouts

    @staticmethod
    def minibatch_gain(scores: Iterable[tuple[str, float, float]]) -> float:
        """By how much a template beat its parent on a minibatch; above 0 it is sent to the dev set.

        What it lost on one problem is not set off against what it won on another: the race will tell on which
        problems it is of use.

        Args:
            scores: problem id, mean reward of the parent and of the template.
        """
        return sum(max(after - before, 0) for _, before, after in scores)

    @staticmethod
    def stages(dev_size: int) -> list[tuple[int, float]]:
        """Number of dev problems and the probability needed after each stage; the last stage is all of them."""
        found: list[tuple[int, float]] = []
        for share, threshold in STAGES:
            size = max(_FIRST_STAGE, ceil(share * dev_size))
            if size < dev_size and (not found or size > found[-1][0]):
                found.append((size, threshold))
        return [*found, (dev_size, CONFIDENCE)]

    @staticmethod
    @abstractmethod
    def least_dev_problems() -> int:
        """Dev problems that a template has to win, each time it is repeated, to be accepted."""

    def baseline(self, dev: Sequence[Problem]) -> list[EvaluationRequest]:
        """Rollouts of the plain prompt, beyond its evaluation, that must be there before a race."""
        return []

    def further(
        self, racing: Sequence[Entrant], dev: Sequence[Problem], free: int
    ) -> list[EvaluationRequest]:
        """The rollouts beyond their evaluations that help to judge the entrants, `free` new ones at most."""
        return []

    @abstractmethod
    def judge(self, entrant: Entrant, dev: Sequence[Problem]) -> Finish | None:
        """What became of an entrant after a stage; None if it goes on."""


class Strict(Rule):
    """The rule of the paper and of GEPA: whoever has the higher sum of rewards on the minibatch is accepted."""

    counts_trials = False

    @staticmethod
    def minibatch_gain(scores: Iterable[tuple[str, float, float]]) -> float:
        """See [`Rule`][]. What it lost on one problem is set off against what it won on another."""
        return sum(after - before for _, before, after in scores)

    @staticmethod
    def stages(dev_size: int) -> list[tuple[int, float]]:
        """See [`Rule`][]."""
        return [(dev_size, 0.0)]

    @staticmethod
    def least_dev_problems() -> int:
        """See [`Rule`][]."""
        return 1

    def judge(self, entrant: Entrant, dev: Sequence[Problem]) -> Finish | None:
        """See [`Rule`][]."""
        return Finish(entrant.id, True, "", entrant.seen)


class Posterior(Rule):
    """Further rollouts, of both, of the problems that a template won: one that was lucky does not win them again.

    What it loses elsewhere does not count, for it is not used there: a template for some of the problems is welcome
    though it is no better than the plain prompt on average.
    """

    @staticmethod
    def least_dev_problems() -> int:
        """See [`Rule`][]."""
        return next(
            count for count in range(1, 1000) if probability_better(count * REPLICATES, 0) >= CONFIDENCE
        )

    def further(
        self, racing: Sequence[Entrant], dev: Sequence[Problem], free: int
    ) -> list[EvaluationRequest]:
        """Repeats the problems that undecided entrants won, those of the earlier ones first if `free` is too little."""
        batch: list[EvaluationRequest] = []
        for entrant in racing:
            if self._probability(entrant) < CONFIDENCE:
                won = self.rollouts.won(entrant.template, PLAIN, entrant.tried)
                replicas = self.rollouts.replicas(entrant.template, won)
                more = [*batch, *replicas, *self.rollouts.replicas(PLAIN, won)]
                if self.rollouts.new(more) <= free:
                    batch = more
        return batch

    def judge(self, entrant: Entrant, dev: Sequence[Problem]) -> Finish | None:
        """See [`Rule`][]."""
        probability = self._probability(entrant)
        if probability < entrant.threshold:
            seen = entrant.tried
            wins, _ = self.rollouts.compare(entrant.template, PLAIN, seen)
            all_won = len(self.rollouts.won(entrant.template, PLAIN, seen)) * REPLICATES
            reason = TOO_FEW_WINS if 0 < wins == all_won else LOST_RACE
            return Finish(entrant.id, False, reason, entrant.seen, probability)
        if entrant.seen == len(dev):
            return Finish(entrant.id, True, "", entrant.seen, probability)
        return None

    def _probability(self, entrant: Entrant) -> float:
        return probability_better(*self.rollouts.compare(entrant.template, PLAIN, entrant.tried))
