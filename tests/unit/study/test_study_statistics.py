"""The figures of a study, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o import intervals
from p2o.errors import InputError
from p2o.intervals import bootstrap_mean
from p2o.study.statistics import area_under_curve, band, paired_difference, value_at


def test_area_by_hand() -> None:
    """From 0.2 to 0.6 over 100 tokens is 40, flat at 0.6 for 100 more is 60: 100 of 200."""
    assert area_under_curve([0, 100], [0.2, 0.6], 200) == pytest.approx(0.5)
    # Cut at 50 tokens, where the line is at 0.4: (0.2 + 0.4) / 2.
    assert area_under_curve([0, 100], [0.2, 0.6], 50) == pytest.approx(0.3)
    # A first point at 100 tokens holds backwards: 0.5 over 100, then up to 0.9 over 100.
    assert area_under_curve([100, 200], [0.5, 0.9], 200) == pytest.approx((50 + 70) / 200)
    # Two evaluations at the same tokens (before and after nothing was generated) are a step: 0 over 100, 1 over 100.
    assert area_under_curve([0, 100, 100, 200], [0, 0, 1, 1], 200) == pytest.approx(0.5)


def test_value_by_hand() -> None:
    assert value_at([0, 100], [0.2, 0.6], 25) == pytest.approx(0.3)
    assert value_at([0, 100], [0.2, 0.6], 500) == 0.6
    assert value_at([10, 100], [0.2, 0.6], 0) == 0.2


curves = st.lists(
    st.tuples(st.integers(0, 10_000), st.floats(0, 1)),
    min_size=1,
    max_size=20,
    unique_by=lambda point: point[0],
).map(sorted)


@given(curves, st.integers(1, 20_000))
def test_the_area_lies_between_the_extremes_and_adds_up(points, budget) -> None:
    tokens, values = [x for x, _ in points], [y for _, y in points]
    area = area_under_curve(tokens, values, budget)
    assert min(values) - 1e-9 <= area <= max(values) + 1e-9
    # Split anywhere, the parts add up to the whole.
    half = budget / 2
    later = [(x - half, y) for x, y in points if x > half]
    second = [(0.0, value_at(tokens, values, half)), *later]
    rest = area_under_curve([x for x, _ in second], [y for _, y in second], half)
    assert area == pytest.approx((area_under_curve(tokens, values, half) + rest) / 2, abs=1e-9)


@pytest.mark.parametrize(
    ("tokens", "values", "budget"), [([], [], 1), ([1, 0], [0, 0], 1), ([0], [0, 1], 1), ([0], [0], 0)]
)
def test_curves_that_are_none(tokens, values, budget) -> None:
    with pytest.raises(InputError):
        area_under_curve(tokens, values, budget)


def test_bootstrap_by_hand() -> None:
    """Of two values a resample is both 0, mixed or both 1, with chances 1/4, 1/2, 1/4: the interval is all of it."""
    interval = bootstrap_mean([0.0, 1.0])
    assert (interval.mean, interval.low, interval.high, interval.count) == (0.5, 0.0, 1.0, 2)
    assert bootstrap_mean([0.3, 0.3, 0.3]).low == pytest.approx(0.3)
    assert bootstrap_mean([0.7]).high == 0.7
    with pytest.raises(InputError):
        bootstrap_mean([])


@pytest.mark.parametrize("at_once", [1, 7, 100, 10_000])
def test_bootstrap_does_not_depend_on_how_much_is_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    values = np.random.default_rng(3).random(13)
    whole = bootstrap_mean(values.tolist(), resamples=500)
    drawn = np.random.default_rng(0).integers(0, 13, size=(500, 13))
    assert whole.low == np.quantile(values[drawn].mean(axis=1), 0.025)
    monkeypatch.setattr(intervals, "DRAWN_AT_ONCE", at_once)
    assert bootstrap_mean(values.tolist(), resamples=500) == whole


def test_bootstrap_is_seeded_and_covers_what_theory_says() -> None:
    """100 values, half 0 and half 1: the mean's standard error is 0.05, so the interval is about 0.5 ± 0.098."""
    values = [0.0, 1.0] * 50
    first = bootstrap_mean(values, seed=1)
    assert first == bootstrap_mean(values, seed=1)
    assert first.low == pytest.approx(0.402, abs=0.02)
    assert first.high == pytest.approx(0.598, abs=0.02)


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ by 10, arms by 1: unpaired the interval would be as wide as the seeds."""
    ours, theirs = {0: 1.0, 1: 11.0, 2: 21.0, 7: 5.0}, {2: 20.0, 0: 0.0, 1: 10.0, 9: 0.0}
    difference = paired_difference(ours, theirs)
    assert difference is not None
    assert (difference.mean, difference.low, difference.high, difference.count) == (1.0, 1.0, 1.0, 3)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_band_by_hand() -> None:
    points = band([([0, 10], [0.0, 1.0]), ([0, 10], [0.5, 0.5])], [0, 5, 20])
    assert [p.mean for p in points] == pytest.approx([0.25, 0.5, 0.75])
    assert (points[0].low, points[0].high) == (0.0, 0.5)
    assert (points[1].low, points[1].high) == (0.5, 0.5)
