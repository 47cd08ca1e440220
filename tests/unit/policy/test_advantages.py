from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import InputError
from p2o.policy.advantages import ADVANTAGES, EPSILON, group_advantages, has_signal, overlong_penalties
from p2o.policy.config import LossConfig

NAMES = sorted(ADVANTAGES)


def test_worked_by_hand():
    """1, 0, 0: mean 1/3, sample variance ((2/3)^2 + 2 (1/3)^2) / 2 = 1/3; the mean of the others 0, 1/2, 1/2."""
    by_hand = {
        "grpo": np.array([2, -1, -1]) / 3 * np.sqrt(3),
        "dr_grpo": np.array([2, -1, -1]) / 3,
        "rloo": np.array([1, -1 / 2, -1 / 2]),
        "max_rl": np.array([2, -1, -1]),
    }
    assert by_hand.keys() == ADVANTAGES.keys()
    for name, expected in by_hand.items():
        np.testing.assert_allclose(group_advantages([1.0, 0.0, 0.0], name), expected, rtol=1e-5)


def test_epsilon_is_added_to_the_deviation():
    """Rewards e, -e: mean 0, sample deviation e sqrt(2)."""
    expected = 1 / (np.sqrt(2) + 1)
    np.testing.assert_allclose(group_advantages([EPSILON, -EPSILON])[0], expected)


def test_max_rl_weighs_a_rare_success_as_its_paper_has_it():
    """The one success of n counts n - 1 and each failure -1; where one fails, each success counts 1 / (n - 1)."""
    for n in (2, 6, 32):
        np.testing.assert_allclose(
            group_advantages([1.0] + [0.0] * (n - 1), "max_rl"), [n - 1] + [-1] * (n - 1)
        )
        rare = group_advantages([1.0] * (n - 1) + [0.0], "max_rl")
        np.testing.assert_allclose(rare, [1 / (n - 1)] * (n - 1) + [-1])
    for rewards in ([-1.0, -0.5, 0.0], [-0.5, 0.5]):  # punished as far as was earned, or beyond
        assert (group_advantages(rewards, "max_rl") == 0.0).all()


def test_max_rl_is_the_gradient_of_the_log_of_the_success_rate_cut_off():
    """A policy of one Bernoulli parameter p: with n rollouts the expected update is the derivative of
    log p expanded in 1 - p and cut off, sum_k (1 - p)^(k - 1), in expectation over all 2^n outcomes."""
    n, p = 4, 0.3
    expected = 0.0
    for outcome in product((0.0, 1.0), repeat=n):
        chance = np.prod([p if won else 1 - p for won in outcome])
        score = np.array([1 / p if won else -1 / (1 - p) for won in outcome])  # d log-prob / dp
        expected += chance * (group_advantages(outcome, "max_rl") * score).sum() / n
    # The baseline costs the last of the terms.
    np.testing.assert_allclose(expected, sum((1 - p) ** (k - 1) for k in range(1, n)))


@given(
    value=st.floats(-1e6, 1e6, allow_subnormal=False),
    size=st.integers(1, 32),
    name=st.sampled_from(NAMES),
)
def test_equal_rewards_give_exactly_zero(value, size, name):
    # 0.1 is the classic case: its float32 mean over 3 differs from it, and dividing by epsilon blows that up.
    advantages = group_advantages([value] * size, name)
    assert (advantages == 0.0).all()
    assert not has_signal([value] * size)


@given(
    rewards=st.lists(st.sampled_from([0.0, 1.0, 0.5]), min_size=2, max_size=16), name=st.sampled_from(NAMES)
)
def test_advantages_sum_to_zero_and_keep_the_order(rewards, name):
    advantages = group_advantages(rewards, name)
    assert abs(advantages.sum()) < 1e-9
    for (r_a, a_a), (r_b, a_b) in zip(
        zip(rewards, advantages, strict=True), zip(rewards[1:], advantages[1:], strict=True), strict=False
    ):
        assert np.sign(a_a - a_b) == np.sign(r_a - r_b)


@given(rewards=st.lists(st.floats(-3, 3), min_size=2, max_size=12), shift=st.integers(-5, 5))
def test_a_shift_of_all_rewards_changes_nothing(rewards, shift):
    rewards = np.round(np.array(rewards), 3)
    np.testing.assert_allclose(group_advantages(rewards + shift), group_advantages(rewards), atol=1e-6)


@pytest.mark.parametrize("rewards", [[], [[1.0, 0.0]], [1.0, float("nan")], [float("inf"), 0.0]])
def test_refuses_what_is_no_group(rewards):
    with pytest.raises(InputError, match="rewards of a group"):
        group_advantages(rewards)


def test_overlong_penalty_is_linear_in_the_buffer():
    config = LossConfig(overlong_buffer=20)
    np.testing.assert_allclose(
        overlong_penalties([10, 80, 85, 90, 100, 130], 100, config), [0, 0, -0.25, -0.5, -1.0, -1.0]
    )


def test_no_buffer_no_penalty():
    assert (overlong_penalties([1, 100], 100, LossConfig()) == 0.0).all()


def test_a_buffer_beyond_the_length_limit_is_named():
    with pytest.raises(InputError, match="overlong_buffer is 200"):
        overlong_penalties([1], 100, LossConfig(overlong_buffer=200))
    np.testing.assert_allclose(overlong_penalties([25], 100, LossConfig(overlong_buffer=100)), -0.25)
