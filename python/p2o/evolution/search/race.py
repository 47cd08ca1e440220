"""The way of proposals onto the dev set: a race against the plain prompt.

A template is rolled out on growing shares of the dev set and dropped as soon as it is unpromising, so that one that
does nothing costs a fraction of a full evaluation. What is asked of it is the rule's affair (`evolve.acceptance`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from p2o.evolution.config import Acceptance
from p2o.evolution.search.acceptance import Entrant, Finish, Posterior, Rule, Strict
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.search.sequential import Sequential
from p2o.types import Problem

NO_BUDGET = "no budget left for the dev set"

ACCEPTANCES: dict[Acceptance, type[Rule]] = {
    "strict": Strict,
    "posterior": Posterior,
    "sequential": Sequential,
}
"""By the names of `evolve.acceptance`."""


def race(
    entrants: Sequence[Entrant], dev: Sequence[Problem], rollouts: Rollouts, rule: Rule, kept: int = 0
) -> Iterator[Finish]:
    """Runs the entrants, the earlier ones first where the budget does not reach all; all racing ones in one batch.

    An entrant starts only when its whole evaluation fits beside those of all who are racing, so no accepted
    one is ever cut short. What a dropped entrant leaves lets the next one start. `kept` rollouts of the budget are
    for others.
    """
    plan = rule.stages(len(dev))
    waiting = deque(entrants)
    racing: list[Entrant] = []

    def outstanding(entrant: Entrant) -> int:
        return rollouts.missing(entrant.template, entrant.dev[entrant.seen :])

    def free() -> int:
        """Rollouts that are promised to nobody."""
        return rollouts.affordable - kept - sum(map(outstanding, racing))

    if waiting and (baseline := rule.baseline(dev)):
        if rollouts.new(baseline) + outstanding(waiting[0]) <= free():
            rollouts.run(baseline)
        else:
            yield from (Finish(entrant.id, False, NO_BUDGET, 0) for entrant in waiting)
            return
    while waiting or racing:
        while waiting and outstanding(waiting[0]) <= free():
            racing.append(waiting.popleft())
        if not racing:
            break
        batch = []
        for entrant in racing:
            before = entrant.seen
            if entrant.stage < len(plan):
                entrant.seen, entrant.threshold = plan[entrant.stage]
            entrant.stage += 1
            batch += rollouts.requests(entrant.template, entrant.dev[before : entrant.seen])
        rollouts.hold(sum(map(outstanding, racing)))
        rollouts.run(batch)
        rollouts.run(rule.further(racing, dev, free()))
        going: list[Entrant] = []
        for entrant in racing:
            finish = rule.judge(entrant, dev)
            if finish is None:
                going.append(entrant)
            else:
                yield finish
        racing = going
    for entrant in waiting:
        yield Finish(entrant.id, False, NO_BUDGET, 0)
