"""The paired test behind the `posterior` acceptance."""

from __future__ import annotations

from functools import lru_cache
from math import comb


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
