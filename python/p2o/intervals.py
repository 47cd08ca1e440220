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
    """The mean of shares from 0 to 1 with its bootstrap interval (95%); see `mean_of_bounded`."""
    return mean_of_bounded([shares])


def mean_of_bounded(groups: Sequence[Sequence[float]], least: float = 0.0, most: float = 1.0) -> Interval:
    """As `mean_of_means`, of values from `least` to `most`.

    In a group whose values are all the same there is nothing to resample, and yet nothing is certain: it could be off
    by as much as a share of which none, or all, are seen (the exact interval of Clopper and Pearson, 1934).
    """
    found = mean_of_means(groups)
    below = above = 0.0
    for values in groups:
        if (value := min(values)) == max(values):
            reach = 1 - ((1 - CONFIDENCE) / 2) ** (1 / len(values))
            below += min(reach, value - least) / len(groups)
            above += min(reach, most - value) / len(groups)
    return replace(found, low=found.low - below, high=found.high + above)
