"""The way of a proposal onto the dev set: all of it at once (`strict`), or a race against the plain prompt.

In the race a template is rolled out on growing shares of the dev set and dropped as soon as it is unpromising, so that
a template that does nothing costs a fraction of a full evaluation. What decides are further rollouts, of both, of the
problems it won: one that was lucky does not win them again. What it loses elsewhere does not count, for it is not used
there: a template for some of the problems is welcome though it is no better than the plain prompt on average.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from p2o.evolution.budget import Ledger
from p2o.evolution.config import Acceptance, EvolveConfig, races
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.search.statistics import probability_better
from p2o.evolution.types import EvaluationRequest
from p2o.templates import PLAIN
from p2o.types import Problem, Template

NO_BUDGET = "no budget left for the dev set"
LOST_RACE = "what it won from the plain prompt it did not win again"
TOO_FEW_WINS = "what it won from the plain prompt it won again, but on too few problems"

_FIRST_STAGE = 8
"""Fewest dev problems worth a look: below, chance alone drops good templates."""


@dataclass(slots=True)
class Entrant:
    """A template on its way; `stage` counts the stages it has passed."""

    id: int
    template: Template
    stage: int = 0
    seen: int = 0
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Finish:
    """What became of an entrant: accepted on the whole dev set, or refused after `seen` of its problems."""

    id: int
    accepted: bool
    reason: str
    seen: int
    probability_better: float | None


def minibatch_gain(scores: Iterable[tuple[str, float, float]], acceptance: Acceptance) -> float:
    """By how much a template beat its parent on a minibatch; above 0 it is sent to the dev set.

    Under `strict` what it lost on one problem is set off against what it won on another. Under `posterior` it is not:
    the race will tell on which problems it is of use.

    Args:
        scores: problem id, mean reward of the parent and of the template.
        acceptance: the rule.
    """
    gains = [after - before for _, before, after in scores]
    return sum(gains) if acceptance == "strict" else sum(gain for gain in gains if gain > 0)


def stages(config: EvolveConfig, dev_size: int) -> list[tuple[int, float]]:
    """Number of dev problems and the posterior probability needed after each stage; the last stage is all of them."""
    if config.acceptance == "strict":
        return [(dev_size, 0.0)]
    found: list[tuple[int, float]] = []
    for share, threshold in config.race.stages:
        size = max(_FIRST_STAGE, ceil(share * dev_size))
        if size < dev_size and (not found or size > found[-1][0]):
            found.append((size, threshold))
    return [*found, (dev_size, config.race.confidence)]


def least_dev_problems(config: EvolveConfig) -> int:
    """Dev problems that a template has to win, each time it is repeated, to be accepted."""
    if not races(config):
        return 1
    return next(
        count
        for count in range(1, 1000)
        if probability_better(count * config.race.replicates, 0) >= config.race.confidence
    )


def race(
    entrants: Sequence[Entrant],
    dev: Sequence[Problem],
    rollouts: Rollouts,
    ledger: Ledger,
    config: EvolveConfig,
) -> Iterator[Finish]:
    """Runs the entrants, the earlier ones first where the budget does not reach all; all racing ones in one batch.

    An entrant starts only when its whole evaluation fits beside those of all who are racing, so no accepted
    one is ever cut short. What a dropped entrant leaves lets the next one start.
    """
    plan = stages(config, len(dev))
    waiting = deque(entrants)
    racing: list[Entrant] = []

    def outstanding(entrant: Entrant) -> int:
        return rollouts.missing(entrant.template, dev[entrant.seen :])

    while waiting or racing:
        free = ledger.affordable_rollouts - sum(map(outstanding, racing))
        while waiting and (cost := outstanding(waiting[0])) <= free:
            free -= cost
            racing.append(waiting.popleft())
        if not racing:
            break
        batch = [
            request
            for entrant in racing
            for request in rollouts.requests(entrant.template, dev[entrant.seen : plan[entrant.stage][0]])
        ]
        rollouts.run(batch, keep_text=False)
        for entrant in racing:
            entrant.seen, entrant.threshold = plan[entrant.stage]
            entrant.stage += 1
        if config.acceptance == "posterior":
            _replicate(
                racing,
                dev,
                rollouts,
                config,
                ledger.affordable_rollouts - sum(map(outstanding, racing)),
            )
        going: list[Entrant] = []
        for entrant in racing:
            probability = None
            if config.acceptance == "posterior":
                probability = _probability(entrant, dev, rollouts)
            if probability is not None and probability < entrant.threshold:
                seen = dev[: entrant.seen]
                wins, _ = rollouts.compare(entrant.template, PLAIN, seen)
                all_won = len(rollouts.won(entrant.template, PLAIN, seen)) * config.race.replicates
                reason = TOO_FEW_WINS if 0 < wins == all_won else LOST_RACE
                yield Finish(entrant.id, False, reason, entrant.seen, probability)
            elif entrant.stage == len(plan):
                yield Finish(entrant.id, True, "", entrant.seen, probability)
            else:
                going.append(entrant)
        racing = going
    for entrant in waiting:
        yield Finish(entrant.id, False, NO_BUDGET, 0, None)


def _probability(entrant: Entrant, dev: Sequence[Problem], rollouts: Rollouts) -> float:
    return probability_better(*rollouts.compare(entrant.template, PLAIN, dev[: entrant.seen]))


def _replicate(
    racing: Sequence[Entrant], dev: Sequence[Problem], rollouts: Rollouts, config: EvolveConfig, free: int
) -> None:
    """Repeats the problems that undecided entrants won, those of the earlier ones first where `free` is too little."""
    batch: list[EvaluationRequest] = []
    for entrant in racing:
        if _probability(entrant, dev, rollouts) < config.race.confidence:
            won = rollouts.won(entrant.template, PLAIN, dev[: entrant.seen])
            more = [*batch, *rollouts.replicas(entrant.template, won), *rollouts.replicas(PLAIN, won)]
            if rollouts.new(more) <= free:
                batch = more
    rollouts.run(batch, keep_text=False)
