"""The paired test behind the `posterior` acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb, exp, lgamma


@lru_cache(maxsize=4096)
def probability_better(wins: int, losses: int) -> float:
    """Posterior probability that a template beats another, from paired rollouts in which exactly one did better.

    With a uniform prior on the chance q that such a pair is a win, q has the posterior Beta(wins + 1,
    losses + 1), and P(q > 1/2) is the binomial tail P(Bin(wins + losses + 1, 1/2) <= wins). Pairs on which
    both did equally well say nothing about the sign of the difference, whatever the difficulty of their
    problems, which is why the test holds for problems of unequal difficulty (as McNemar's does).
    """
    pairs = wins + losses + 1
    return sum(comb(pairs, i) for i in range(wins + 1)) / (1 << pairs)


def solved_share(successes: Sequence[int], trials: int, draws: float) -> float:
    """Share of problems that `draws` further rollouts each would solve at least once, as far as `trials` rollouts of
    each problem tell.

    Success rates are taken to have a Beta distribution with the mean and the correlation within problems that were
    seen (of one rollout each no correlation is known): where some problems are always solved and others never, more
    draws solve no more.
    """
    mean = sum(successes) / (trials * len(successes))
    if mean in (0.0, 1.0):
        return mean
    correlation = 0.0
    if trials > 1:
        variance = sum((each / trials - mean) ** 2 for each in successes) / len(successes)
        correlation = (trials * variance / (mean * (1 - mean)) - 1) / (trials - 1)
    if correlation < 1e-3:
        return 1.0 - float((1 - mean) ** draws)
    weight = (1 - min(correlation, 0.999)) / min(correlation, 0.999)
    a, b = mean * weight, (1 - mean) * weight
    return 1.0 - exp(lgamma(b + draws) - lgamma(b) + lgamma(a + b) - lgamma(a + b + draws))
