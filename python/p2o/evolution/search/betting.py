"""An anytime-valid test of a mean by betting (Waudby-Smith and Ramdas, arXiv 2010.09686), behind `sequential`."""

from __future__ import annotations

from collections.abc import Sequence


def wealth(values: Sequence[float], mean: float, bets: Sequence[float]) -> tuple[float, float]:
    """What a gambler owns who starts with 1 and bets that the values average more than `mean`: now, and at most.

    One share of the start is bet at each size: a value x multiplies it by 1 + bet * (x - mean). If each value's
    expectation, given those before, is at most `mean`, the wealth is a supermartingale, so the chance that it ever
    reaches 1/a is at most a (Ville), however often it is looked at and whenever it is stopped.

    Args:
        values: the observations in order, bounded from below.
        mean: the highest expectation under the hypothesis that is tested.
        bets: their sizes, so small that no value can cost everything.
    """
    shares = [1.0] * len(bets)
    now = most = 1.0
    for value in values:
        shares = [share * (1 + bet * (value - mean)) for share, bet in zip(shares, bets, strict=True)]
        now = sum(shares) / len(shares)
        most = max(most, now)
    return now, most
