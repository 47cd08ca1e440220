"""The acceptance `sequential`: does what a template does carry over to problems like these?

Two tests by betting (`betting.py`), whose levels add up to twice 1 - `CONFIDENCE`. The level of the first is proved: a
template of no use passes it with that chance at most. The bound of the second is an estimate, so its level is measured
(docs/acceptance.md). Each problem counts once in each, so that neither is fooled by rollouts of a pair that
resemble each other, or by a greedy policy.

The mean gain: on average over problems a template earns more than the plain prompt, by more than `MARGIN`.

Persistence: problems that it solved it solves again, much more reliably than the plain prompt those that that one
solved. This is how a template for some of the problems is known that spoils the others; one that makes some problems
easier and others harder at random does not get as far.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import sqrt
from statistics import NormalDist, fmean, pstdev

from p2o.evolution.search.acceptance import CONFIDENCE, Entrant, Finish, Rule
from p2o.evolution.search.betting import wealth
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.types import EvaluationRequest
from p2o.templates import PLAIN
from p2o.types import Problem, Template

NO_GAIN = "no gain over the plain prompt that would carry over"
UNCERTAIN_GAIN = "its gain over the plain prompt is too uncertain on the problems there are"

MARGIN = 0.005
"""A mean gain over the plain prompt, in reward a problem, that is not more than this is none."""

GAIN_BETS = (0.5, 0.9)
"""The least and the largest share of what can be bet on a gain. Half is near the best for gains from a twentieth to a
half; a template that wins a few problems and loses none deserves more."""

PERSISTENCE_BET = 0.7
"""The same of persistence, as a share of the largest possible bet."""

GAIN_LEVEL, PERSISTENCE_LEVEL = 1.5, 0.5
"""The levels of the two tests, in units of 1 - `CONFIDENCE`. Persistence has evidence in plenty."""

PERSISTENCE_MARGIN = 0.25
"""By how much persistence must exceed that of the plain prompt. Random shifts with a standard deviation of 2 in the
logit, which carry over to no other problem, raise it by 0.15 to 0.22."""

PROMISING = ((150, 0.97), (75, 0.9), (30, 0.8))
"""The least probability of a gain that it takes to go on after a look at so many dev problems: on few of them chance
would drop good templates, on many a template that does nothing is known."""

RARELY, LEAST_TRIED = 0.05, 20
"""Where the plain prompt earned at most so much a rollout on minibatches, of so many rollouts there, one rollout of a
dev problem is baseline enough: its luck is little. Rollouts on dev must not decide this, or lucky ones would."""

_HELD_OUT_PARTS = 4
"""The held-out problems come in so many parts, with a look after each."""


class Sequential(Rule):
    """Bets on the mean gain and on persistence; dropped early is what promises neither."""

    needs_random_order = True

    def __init__(self, rollouts: Rollouts) -> None:
        super().__init__(rollouts)
        self._bound: float | None = None

    @staticmethod
    def stages(dev_size: int) -> list[tuple[int, float]]:
        """See [`Rule`][]."""
        *looks, whole = Rule.stages(dev_size)
        return [*((size, max(probability, _least(size))) for size, probability in looks), whole]

    @staticmethod
    def least_dev_problems() -> int:
        """See [`Rule`][]."""
        return next(
            size
            for size in count(1)
            if wealth([1.0] * size, MARGIN, *GAIN_BETS)[1] * GAIN_LEVEL * (1 - CONFIDENCE) >= 1
        )

    def baseline(self, dev: Sequence[Problem]) -> list[EvaluationRequest]:
        """See [`Rule`][]. All templates are compared with them: the luck of a single draw would be theirs in common."""
        earned, tried = self.rollouts.on_shown(PLAIN)
        if self.rollouts.one_draw or (tried >= LEAST_TRIED and earned <= RARELY * tried):
            return []
        return self.rollouts.replicas(PLAIN, dev)

    def further(
        self, racing: Sequence[Entrant], dev: Sequence[Problem], free: int
    ) -> list[EvaluationRequest]:
        """Repeats what the entrants solved; one undecided after the whole dev set goes on to held-out problems."""
        batch: list[EvaluationRequest] = []
        for entrant in racing:
            on_dev = entrant.stage <= len(self.stages(len(dev)))
            if on_dev:
                more = self._repetitions(entrant.template, dev, entrant.tried)
            else:
                size = -(-len(entrant.held_out) // _HELD_OUT_PARTS)
                part = entrant.held_out[entrant.held : entrant.held + size]
                more = [
                    *self.rollouts.requests(entrant.template, part),
                    *self.rollouts.requests(PLAIN, part),
                    *self.baseline(part),
                ]
            if self.rollouts.new([*batch, *more]) <= free:
                batch += more
                entrant.held += 0 if on_dev else len(part)
            elif not on_dev:
                entrant.held_out = entrant.held_out[: entrant.held]
        return batch

    def judge(self, entrant: Entrant, dev: Sequence[Problem]) -> Finish | None:
        """See [`Rule`][]. `e_value` is the higher of the two e-values, each times its level in percent."""
        template, seen = entrant.template, entrant.tried
        gains = [self._gain(template, problem) for problem in (*seen, *entrant.held_out[: entrant.held])]
        bound = self._persistence_bound(dev)
        repeats = [] if bound >= 1 else self._repeat_rates(template, seen)
        now, most = wealth(gains, MARGIN, *GAIN_BETS)
        persists = wealth(repeats, bound, PERSISTENCE_BET / bound)[1]
        e_value = max(most * GAIN_LEVEL, persists * PERSISTENCE_LEVEL)
        whole = entrant.seen == len(dev)
        if e_value * (1 - CONFIDENCE) >= 1:
            return Finish(entrant.id, True, "", entrant.seen, e_value=e_value) if whole else None
        if not whole:
            if _near(repeats, bound) or self._gains(entrant, seen, gains, repeated=bound < 1):
                return None
            return Finish(entrant.id, False, NO_GAIN, entrant.seen, e_value=e_value)
        if now >= 1 and entrant.held < len(entrant.held_out):
            return None
        return Finish(entrant.id, False, UNCERTAIN_GAIN, entrant.seen, e_value=e_value)

    def _gain(self, template: Template, problem: Problem) -> float:
        earned, tried = self.rollouts.total(PLAIN, problem)
        return self.rollouts.mean(template, problem) - earned / tried

    def _repeat_rates(self, template: Template, problems: Sequence[Problem]) -> list[float]:
        rates = (self.rollouts.repeat_rate(template, problem) for problem in problems)
        return [rate for rate in rates if rate is not None]

    def _persistence_bound(self, dev: Sequence[Problem]) -> float:
        """What persistence has to exceed, by that of the plain prompt and its standard error on all of dev; 1 or more
        where nothing can, as under a greedy policy.

        Two made-up problems, one solved again and one not, keep both high where the plain prompt solved little.
        """
        if self.rollouts.one_draw:
            return 1.0
        if self._bound is None:
            repeats = [0.0, 1.0, *self._repeat_rates(PLAIN, dev)]
            bound = fmean(repeats) + pstdev(repeats) / sqrt(len(repeats)) + PERSISTENCE_MARGIN
            if len(repeats) == 2:  # nothing was repeated, but may be before a later race
                return bound
            self._bound = bound
        return self._bound

    def _repetitions(
        self, template: Template, dev: Sequence[Problem], seen: Sequence[Problem]
    ) -> list[EvaluationRequest]:
        if self._persistence_bound(dev) >= 1:
            return []
        solved = [problem for problem in seen if self.rollouts.success_rate(template, problem) > 0]
        return self.rollouts.replicas(template, solved)

    def _gains(
        self, entrant: Entrant, seen: Sequence[Problem], gains: Sequence[float], *, repeated: bool
    ) -> bool:
        """Whether the gain is promising. What is solved twice counts twice, where it was `repeated`: luck rarely is."""
        beyond = [gain - MARGIN for gain in gains]
        if not repeated:
            return NormalDist().cdf(_z(beyond)) >= entrant.threshold
        both = [
            gain + self._solved_twice(entrant.template, problem)
            for gain, problem in zip(beyond, seen, strict=True)
        ]
        return _z(beyond) >= -0.5 and NormalDist().cdf(_z(both)) >= entrant.threshold

    def _solved_twice(self, template: Template, problem: Problem) -> float:
        """By how much likelier two rollouts both solve a problem under a template than under the plain prompt."""
        once, again = (
            self.rollouts.success_rate(template, problem),
            self.rollouts.repeat_rate(template, problem),
        )
        if once > 0 and again is None:  # nothing was left to repeat it: nobody knows
            return 0.0
        both = once * (again or 0.0)
        solved, tried = self.rollouts.successes(PLAIN, problem)
        return both - (solved * (solved - 1) / (tried * (tried - 1)) if tried > 1 else 0)


def _least(seen: int) -> float:
    return next((probability for problems, probability in PROMISING if seen >= problems), 0.0)


def _z(values: Sequence[float]) -> float:
    """The sum in standard deviations that it would have if the mean were 0."""
    squares = sum(value * value for value in values)
    return sum(values) / sqrt(squares) if squares else 0.0


def _near(repeats: Sequence[float], bound: float) -> bool:
    """Whether persistence is promising: less than a standard error below the bound, with one more problem at what the
    plain prompt has."""
    if not repeats:
        return False
    mean = (sum(repeats) + bound - PERSISTENCE_MARGIN) / (len(repeats) + 1)
    return mean + sqrt(mean * (1 - mean) / (len(repeats) + 1)) >= bound
