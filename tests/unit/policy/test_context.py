import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from p2o.errors import ConfigError, InputError
from p2o.policy.config import CorrectionConfig
from p2o.policy.context import ContextConfig, context_statistics, context_weight
from p2o.policy.ratios import RatioStatistics, engine_statistics, engine_weight

HARD = ContextConfig(mode="hard")
RATIOS = np.array([0.002, 0.01, 0.5, 1.0, 10.0, 40.0])
TEMPLATED = np.full_like(RATIOS, math.log(0.02))
PLAIN = TEMPLATED + np.log(RATIOS)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("hard", [0, 1, 1, 1, 1, 0]),
        ("soft", [5, 1, 1, 1, 1, 0.25]),
        ("truncated", [0.002, 0.01, 0.5, 1, 10, 10]),
        ("none", [1, 1, 1, 1, 1, 1]),
    ],
)
def test_modes_worked_by_hand(mode, expected):
    # The bounds widened by a rounding error: 0.01 and 10 themselves must count as inside.
    config = ContextConfig(mode=mode, c_low=0.01 - 1e-12, c_high=10 + 1e-9)
    weights = context_weight(PLAIN, TEMPLATED, config)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("advantage", "expected"),
    [(1.5, [1, 1, 1, 1, 1, 0]), (0.0, [1, 1, 1, 1, 1, 0]), (-0.5, [0, 1, 1, 1, 1, 0])],
)
def test_asymmetric_masks_what_the_plain_prompt_hardly_says_only_where_it_was_wrong(advantage, expected):
    config = ContextConfig(mode="asymmetric", c_low=0.01 - 1e-12, c_high=10 + 1e-9)
    assert context_weight(PLAIN, TEMPLATED, config, advantage=advantage).tolist() == expected


def test_asymmetric_takes_an_advantage_for_each_token():
    config = ContextConfig(mode="asymmetric")
    low = math.log(0.001)
    weights = context_weight([low, low, 0.0], [0.0, 0.0, 0.0], config, advantage=[1.0, -1.0, -1.0])
    assert weights.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("mode", ["hard", "asymmetric"])
def test_the_bounds_themselves_are_inside(mode):
    config = ContextConfig(mode=mode, c_low=0.5, c_high=2.0)
    half = math.log(0.5)
    log_two = math.log(2.0)

    def weight(plain, templated):
        return context_weight([plain], [templated], config, advantage=-1.0).tolist()

    assert weight(half, 0.0) == [1.0]
    assert weight(0.0, -log_two) == [1.0]
    assert weight(half - 1e-9, 0.0) == [0.0]
    assert weight(0.0, -log_two - 1e-9) == [0.0]


def test_hard_mask_is_exactly_zero_or_one():
    generator = np.random.default_rng(0)
    weights = context_weight(-generator.exponential(5, 500), -generator.exponential(5, 500), HARD)
    assert set(np.unique(weights)) == {0.0, 1.0}


@given(
    plain=st.floats(-1e30, 0.0),
    templated=st.floats(-1e30, 0.0),
    mode=st.sampled_from(["hard", "asymmetric", "soft", "truncated", "none"]),
)
def test_no_overflow_whatever_the_ratio(plain, templated, mode):
    for config in (ContextConfig(mode=mode), ContextConfig(mode=mode, c_low=0.0, c_high=math.inf)):
        weights = context_weight([plain], [templated], config)
        assert np.isfinite(weights).all()
        assert (weights >= 0.0).all()
        statistics = context_statistics([plain], [templated], config)
        assert math.isfinite(statistics.ratio_sum)


def test_impossible_tokens():
    # -inf on the plain side: ratio 0, masked low; on both sides: no evidence of a difference.
    config = HARD
    assert context_weight([-math.inf], [-1.0], config).tolist() == [0.0]
    assert context_weight([-math.inf], [-math.inf], config).tolist() == [1.0]


def test_very_small_lower_bounds_still_separate():
    config = ContextConfig(mode="hard", c_low=1e-12)
    assert context_weight([-26.0, -29.0], [0.0, 0.0], config).tolist() == [1.0, 0.0]


def test_statistics_worked_by_hand():
    config = ContextConfig(c_low=0.01 - 1e-12, c_high=10 + 1e-9)
    statistics = context_statistics(PLAIN, TEMPLATED, config)
    metrics = statistics.metrics("context")
    assert metrics["context_mask/low"] == pytest.approx(1 / 6)
    assert metrics["context_mask/high"] == pytest.approx(1 / 6)
    assert metrics["context_mask/frac"] == pytest.approx(2 / 6)
    assert metrics["context_ratio/mean"] == pytest.approx(RATIOS.mean())
    assert metrics["context_ratio/min"] == pytest.approx(0.002)
    assert metrics["context_ratio/max"] == pytest.approx(40.0)
    assert statistics.log_sum == pytest.approx(np.log(RATIOS).sum())


def test_statistics_add_up_and_may_be_empty():
    config = ContextConfig()
    whole = context_statistics(PLAIN, TEMPLATED, config)
    parts = context_statistics(PLAIN[:2], TEMPLATED[:2], config) + context_statistics(
        PLAIN[2:], TEMPLATED[2:], config
    )
    assert parts.metrics("c") == pytest.approx(whole.metrics("c"))
    assert parts.log_sum == pytest.approx(whole.log_sum)
    assert (RatioStatistics() + whole).metrics("c") == whole.metrics("c")
    assert context_statistics([], [], config).metrics("c") == {}


def test_other_tokens_are_refused():
    with pytest.raises(InputError, match="must be of the same tokens"):
        context_weight([0.0, 0.0], [0.0], ContextConfig())


@pytest.mark.parametrize("value", [math.nan, 0.5])
def test_what_is_no_log_probability_is_refused(value):
    with pytest.raises(InputError, match="a templated log-probability is NaN or positive"):
        context_weight([-1.0], [value], ContextConfig())


@pytest.mark.parametrize("bounds", [{"c_low": 1.5}, {"c_low": -0.1}, {"c_high": 0.5}])
def test_bounds_must_enclose_one(bounds):
    with pytest.raises(ValidationError):
        ContextConfig(**bounds)


@pytest.mark.parametrize(("bounds", "most"), [(None, 2.0), ((0, 4), 4.0), ((0, math.inf), 9.0)])
def test_token_correction_truncates(bounds, most):
    weights = engine_weight(
        np.log([0.3, 0.5, 0.9]), np.log([0.6, 0.5, 0.1]), CorrectionConfig(mode="token", bounds=bounds)
    )
    np.testing.assert_allclose(weights, [0.5, 1.0, most], rtol=1e-6)


@pytest.mark.parametrize(
    ("log_ratio", "kept"),
    [
        (
            [math.log(2), -math.log(2)],
            True,
        ),  # ratios 2 and 1/2, geometric mean 1, though each token is far off
        ([math.log(1.2)], False),
        ([], True),
        ([0.01, 0.01], True),
        ([math.log(0.94)] * 3, False),
    ],
)
def test_sequence_correction_masks_by_the_geometric_mean(log_ratio, kept):
    sampler = np.full(len(log_ratio), -3.0)
    weights = engine_weight(sampler + log_ratio, sampler, CorrectionConfig(mode="sequence"))
    assert weights.tolist() == [float(kept)] * len(log_ratio)


def test_the_bounds_of_a_sequence():
    config = CorrectionConfig(mode="sequence", bounds=(0.5, 1.25))
    for ratio, kept in ((0.49, False), (0.51, True), (1.24, True), (1.26, False)):
        assert engine_weight([math.log(0.3 * ratio)], [math.log(0.3)], config).tolist() == [float(kept)]
    assert engine_weight([-40.0], [-0.1], CorrectionConfig(mode="sequence", bounds=(0, 2))).tolist() == [1.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bounds": (0.5, 2.0)},
        {"mode": "sequence", "bounds": (1.1, 2.0)},
        {"mode": "sequence", "bounds": (0.5, 0.9)},
    ],
)
def test_bounds_of_the_engine_ratio_enclose_one_and_tokens_have_no_lower_one(wrong):
    with pytest.raises(ValidationError):
        CorrectionConfig(**wrong)


def test_sequence_correction_does_not_depend_on_length():
    # A product of ratios would leave the bounds with length; the mean log gap here is 0.01 throughout.
    config = CorrectionConfig(mode="sequence")
    for length in (1, 100, 10_000):
        sampler = np.full(length, -2.0)
        assert engine_weight(sampler + 0.01, sampler, config).all()


def test_no_correction():
    assert engine_weight([-1.0, -9.0], [-5.0, -2.0], CorrectionConfig(mode="none")).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("config", "counted"),
    [
        (CorrectionConfig(), 1),
        (CorrectionConfig(bounds=(0, 10)), 0),
        (CorrectionConfig(mode="sequence", bounds=(0, 10)), 1),
        (CorrectionConfig(mode="none"), 1),
    ],
)
def test_engine_statistics_count_beyond_the_bound_of_a_token(config, counted):
    """Ratios 9, 1/9 and 5/4; those of mode `token` count in every mode, usually 2."""
    statistics = engine_statistics(np.log([0.9, 0.1, 0.5]), np.log([0.1, 0.9, 0.4]), config)
    assert (statistics.high, statistics.low, statistics.tokens) == (counted, counted, 3)


def square_root(log_c, advantage, log_low, log_high):
    """A mode of one's own: sqrt(c), upper bound kept, wrong responses not weighted."""
    return np.where(advantage < 0, 1.0, np.exp(0.5 * np.minimum(log_c, log_high)))


def too_many(log_c, advantage, log_low, log_high):
    return np.ones(len(log_c) + 1)


def test_a_mode_from_outside_the_package():
    config = ContextConfig(mode=f"{__name__}:square_root", c_high=4.0)
    plain, templated = np.log([0.09, 0.8, 0.01]), np.log([0.01, 0.2, 0.04])
    weights = context_weight(plain, templated, config, advantage=1.0)
    np.testing.assert_allclose(weights, [2.0, 2.0, 0.5], rtol=1e-6)
    assert context_weight(plain, templated, config, advantage=-1.0).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match=r"made no finite weights of shape \(3,\): shape \(4,\)"):
        context_weight(plain, templated, ContextConfig(mode=f"{__name__}:too_many"))
    with pytest.raises(ConfigError, match=r"context\.mode = 'no_such:mode': cannot import"):
        context_weight(plain, templated, ContextConfig(mode="no_such:mode"))
