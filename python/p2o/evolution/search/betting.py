"""An anytime-valid test of a mean by betting (Waudby-Smith and Ramdas, arXiv 2010.09686), behind `sequential`."""

from __future__ import annotations

from collections.abc import Iterable


def wealth(values: Iterable[float], mean: float, bet: float) -> tuple[float, float]:
    """What a gambler owns who starts with 1 and bets that the values average more than `mean`: now, and at most.

    A value x multiplies it by 1 + bet * (x - mean). If each value's expectation, given those before, is at most
    `mean`, it is a supermartingale, so the chance that it ever reaches 1/a is at most a (Ville's inequality), however
    often it is looked at and whenever it is stopped.

    Args:
        values: the observations in order, bounded from below.
        mean: the highest expectation under the hypothesis that is tested.
        bet: so small that no value can cost everything.
    """
    now = most = 1.0
    for value in values:
        now *= 1 + bet * (value - mean)
        most = max(most, now)
    return now, most
