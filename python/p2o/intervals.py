"""Means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

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
    return mean_of_means([values], seed=seed, resamples=resamples)


def mean_of_means(
    groups: Sequence[Sequence[float]], *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The unweighted mean of the groups' means and its percentile bootstrap interval (95%).

    Each group is resampled by itself, as its size is no accident; `count` is that of all values.

    Raises:
        InputError: without groups, or if one has no values.
    """
    if not groups or not all(map(len, groups)):
        raise InputError("no values to average")
    random = np.random.default_rng(seed)
    samples = [np.asarray(values, dtype=np.float64) for values in groups]
    means = sum(_resampled_means(sample, random, resamples) for sample in samples) / len(samples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = sum(float(sample.mean()) for sample in samples) / len(samples)
    return Interval(mean, float(low), float(high), sum(sample.size for sample in samples))


def _resampled_means(
    sample: npt.NDArray[np.float64], random: np.random.Generator, resamples: int
) -> npt.NDArray[np.float64]:
    """Means of `resamples` samples drawn with replacement."""
    means = np.empty(resamples)
    rows = max(1, DRAWN_AT_ONCE // sample.size)
    for start in range(0, resamples, rows):
        part = means[start : start + rows]
        part[:] = sample[random.integers(0, sample.size, size=(part.size, sample.size))].mean(axis=1)
    return means


def share_interval(shares: Sequence[float]) -> Interval:
    """The mean of shares from 0 to 1 with its bootstrap interval (95%).

    Where all are 0, or all are 1, there is nothing to resample, and the interval is the exact one of Clopper and
    Pearson (1934).
    """
    return mean_of_shares([shares])


def mean_of_shares(groups: Sequence[Sequence[float]]) -> Interval:
    """As `mean_of_means`, of shares from 0 to 1.

    Where all are 0, or all are 1, it reaches as far as the groups' exact intervals on average, which is far enough.
    """
    found = mean_of_means(groups)
    reach = sum(exact_reach(len(shares)) for shares in groups) / len(groups)
    if all(max(shares) == 0 for shares in groups):
        return replace(found, high=reach)
    return replace(found, low=1 - reach) if all(min(shares) == 1 for shares in groups) else found


def exact_reach(count: int) -> float:
    """How far the exact interval of Clopper and Pearson reaches where none, or all, of `count` succeed."""
    return float(1 - ((1 - CONFIDENCE) / 2) ** (1 / count))
