"""Means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from p2o.errors import InputError

RESAMPLES = 10_000
CONFIDENCE = 0.95
DRAWN_AT_ONCE = 2**22
"""Draws held in memory: all of them at once would take gigabytes for a benchmark of ten thousand problems."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its bootstrap interval, of `count` values."""

    mean: float
    low: float
    high: float
    count: int


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean and its percentile bootstrap interval (95%).

    With few values such an interval is too narrow: it cannot reach beyond the smallest and the largest of them.

    Raises:
        InputError: without values.
    """
    if not values:
        raise InputError("no values to average")
    sample = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, DRAWN_AT_ONCE // sample.size)
    for start in range(0, resamples, rows):
        part = means[start : start + rows]
        part[:] = sample[random.integers(0, sample.size, size=(part.size, sample.size))].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(sample.mean()), float(low), float(high), sample.size)


def share_interval(shares: Sequence[float]) -> Interval:
    """The mean of shares from 0 to 1 with its bootstrap interval (95%).

    Where all are 0, or all are 1, there is nothing to resample, and the interval is the exact one of Clopper and
    Pearson (1934).
    """
    found = bootstrap_mean(shares)
    reach = 1 - ((1 - CONFIDENCE) / 2) ** (1 / found.count)
    if max(shares) == 0:
        return replace(found, high=reach)
    return replace(found, low=1 - reach) if min(shares) == 1 else found
