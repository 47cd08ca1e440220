"""The figures of a study: area under the learning curve, bootstrap intervals, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from p2o.errors import InputError
from p2o.intervals import Interval, bootstrap_mean


def value_at(tokens: Sequence[float], values: Sequence[float], at: float) -> float:
    """The curve's value at `at` tokens: linear between its points, the first value before and the last after them.

    Raises:
        InputError: if the points are not in order of their tokens, or there are none.
    """
    _check_curve(tokens, values)
    return float(np.interp(at, tokens, values))


def area_under_curve(tokens: Sequence[float], values: Sequence[float], budget: float) -> float:
    """The mean of the curve over 0 to `budget` tokens, by the trapezoid rule.

    The curve is cut off at the budget (by its value there); where it ends before, its last value is carried forward.

    Raises:
        InputError: if the points are not in order of their tokens, there are none, or the budget is not positive.
    """
    _check_curve(tokens, values)
    if budget <= 0:
        raise InputError(f"the budget must be positive, not {budget}")
    inside = [(x, y) for x, y in zip(tokens, values, strict=True) if 0 < x < budget]
    points = [(0.0, value_at(tokens, values, 0)), *inside, (float(budget), value_at(tokens, values, budget))]
    area = sum((right - left) * (below + above) / 2 for (left, below), (right, above) in pairwise(points))
    return area / budget


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Interval | None:
    """The mean of `ours - theirs` over the seeds that both have, with its interval; None without such a seed."""
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    return bootstrap_mean([ours[s] - theirs[s] for s in seeds])


def band(curves: Sequence[tuple[Sequence[float], Sequence[float]]], at: Sequence[float]) -> list[Interval]:
    """Mean and interval of several curves (tokens, values) at each of `at`."""
    columns = [[value_at(tokens, values, x) for tokens, values in curves] for x in at]
    return [bootstrap_mean(column, resamples=2000) for column in columns]


def _check_curve(tokens: Sequence[float], values: Sequence[float]) -> None:
    if not tokens or len(tokens) != len(values):
        raise InputError(
            f"a curve needs as many values as tokens, and one at least: {len(values)} and {len(tokens)}"
        )
    if any(later < earlier for earlier, later in pairwise(tokens)):
        raise InputError("the points of a curve must be in order of their tokens")
