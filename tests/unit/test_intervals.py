"""Means over groups of different sizes, and their intervals."""

from __future__ import annotations

import pytest

from p2o.errors import InputError
from p2o.intervals import bootstrap_mean, mean_of_bounded, mean_of_means, share_interval


def test_groups_count_alike_whatever_their_size() -> None:
    found = mean_of_means([[1.0] * 2, [0.0] * 98])
    assert (found.mean, found.low, found.high, found.count) == (0.5, 0.5, 0.5, 100)


def test_each_group_is_resampled_by_itself() -> None:
    """0 and 1 together with four ones: a resample of the first is 0, 1/2 or 1 (1/4, 1/2, 1/4), the second stays."""
    found = mean_of_means([[0.0, 1.0], [1.0] * 4])
    assert (found.mean, found.low, found.high) == (0.75, 0.5, 1.0)


def test_of_one_group_it_is_the_mean() -> None:
    values = [0.1, 0.5, 0.7, 0.2]
    assert mean_of_means([values]) == bootstrap_mean(values)


def test_half_as_many_groups_have_wider_intervals() -> None:
    values = [0.0, 1.0] * 20
    one, four = mean_of_means([values]), mean_of_means([values] * 4)
    # The standard error of the mean of four is half that of one.
    assert four.high - four.low == pytest.approx((one.high - one.low) / 2, rel=0.1)


def test_where_none_or_all_succeed_nobody_is_certain() -> None:
    few, many = share_interval([0.0] * 4).high, share_interval([0.0] * 20).high
    assert (1 - few) ** 4 == pytest.approx(0.025)
    none = mean_of_bounded([[0.0] * 4, [0.0] * 20])
    assert (none.low, none.high) == (0.0, pytest.approx((few + many) / 2))
    every = mean_of_bounded([[1.0] * 4, [1.0] * 20])
    assert (every.low, every.high) == (pytest.approx(1 - none.high), 1.0)
    mixed = mean_of_bounded([[0.0] * 4, [1.0] * 20])
    assert (mixed.low, mixed.high) == pytest.approx((0.5 - many / 2, 0.5 + few / 2))
    values = [0.0, 0.5, 1.0]
    beside, alone = mean_of_bounded([values, [0.0] * 4]), mean_of_means([values, [0.0] * 4])
    assert (beside.low, beside.high) == pytest.approx((alone.low, alone.high + few / 2))


def test_of_differences_that_are_all_equal_nothing_is_sure() -> None:
    """Five problems that do not differ: 1 - 0.025 ** (1 / 5) = 0.522."""
    found = mean_of_bounded([[0.0] * 5], -1.0, 1.0)
    assert (found.mean, found.low, found.high) == pytest.approx((0, -0.522, 0.522), abs=1e-3)
    found = mean_of_bounded([[1.0] * 5], -1.0, 1.0)
    assert (found.low, found.high) == pytest.approx((0.478, 1), abs=1e-3)
    found = share_interval([0.5] * 5)
    assert (found.low, found.high) == (0, 1), "half of each problem's samples: no further than the bounds"


def test_nineteen_of_twenty_resampled_means_lie_within() -> None:
    """50 of 100: the means are binomial, whose quantiles at 2.5% and 97.5% are 40 and 60 of 100."""
    found = bootstrap_mean([0.0, 1.0] * 50)
    assert (found.low, found.high) == pytest.approx((0.40, 0.60))


def test_means_drawn_part_by_part_are_those_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0.1, 0.5, 0.7, 0.2]
    whole = bootstrap_mean(values)
    for drawn_at_once in (1, 10):
        monkeypatch.setattr("p2o.intervals.DRAWN_AT_ONCE", drawn_at_once)
        assert bootstrap_mean(values) == whole


@pytest.mark.parametrize("groups", [[], [[]], [[1.0], []]])
def test_nothing_has_no_mean(groups: list[list[float]]) -> None:
    with pytest.raises(InputError, match="no values to average"):
        mean_of_means(groups)
