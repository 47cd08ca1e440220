"""An anytime-valid test of a mean by betting (Waudby-Smith and Ramdas, arXiv 2010.09686), behind `sequential`."""

from __future__ import annotations

from collections.abc import Iterable

KELLY_START = 2.0
"""Squares of values that the least bet is worth at the beginning."""


def wealth(
    values: Iterable[float], mean: float, least: float, most: float | None = None
) -> tuple[float, float]:
    """What a gambler owns who starts with 1 and bets that the values average more than `mean`: now, and at most.

    A value x multiplies it by 1 + bet * (x - mean). If each value's expectation, given those before, is at most
    `mean`, it is a supermartingale, so the chance that it ever reaches 1/a is at most a (Ville's inequality), however
    often it is looked at and whenever it is stopped. Each bet may depend on the values before it: with `most` it is
    about what would have made the wealth grow fastest so far (Kelly), the sum of the differences x - mean over that of
    their squares. It begins at `least`.

    Args:
        values: the observations in order, bounded from below.
        mean: the highest expectation under the hypothesis that is tested.
        least: the smallest bet; without `most`, each.
        most: the largest one, so small that no value can cost everything.
    """
    now = highest = 1.0
    total, squares = least * KELLY_START, KELLY_START
    for value in values:
        difference = value - mean
        bet = least if most is None else min(max(total / squares, least), most)
        now *= 1 + bet * difference
        highest = max(highest, now)
        total += difference
        squares += difference * difference
    return now, highest
