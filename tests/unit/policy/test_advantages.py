import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2o.errors import InputError
from p2o.policy.advantages import group_advantages, has_signal, overlong_penalties
from p2o.policy.config import LossConfig


def test_worked_by_hand():
    # rewards 1, 0, 0: mean 1/3, sample variance ((2/3)^2 + 2 (1/3)^2) / 2 = 1/3
    advantages = group_advantages([1.0, 0.0, 0.0], epsilon=0.0)
    np.testing.assert_allclose(advantages, np.array([2, -1, -1]) / 3 * np.sqrt(3), rtol=1e-12)


def test_without_std_only_centers():
    np.testing.assert_allclose(
        group_advantages([1.0, 0.0, 0.0, 0.0], std_normalize=False), [0.75, -0.25, -0.25, -0.25]
    )


def test_epsilon_is_added_to_the_deviation():
    # rewards 1, -1: mean 0, sample deviation sqrt(2)
    np.testing.assert_allclose(group_advantages([1.0, -1.0], epsilon=0.5)[0], 1 / (np.sqrt(2) + 0.5))


@settings(deadline=None)
@given(
    value=st.floats(-1e6, 1e6, allow_subnormal=False),
    size=st.integers(1, 32),
    std_normalize=st.booleans(),
)
def test_equal_rewards_give_exactly_zero(value, size, std_normalize):
    # 0.1 is the classic case: its float32 mean over 3 differs from it, and dividing by epsilon blows that up.
    advantages = group_advantages([value] * size, std_normalize=std_normalize, epsilon=1e-12)
    assert (advantages == 0.0).all()
    assert not has_signal([value] * size)


@settings(deadline=None)
@given(rewards=st.lists(st.sampled_from([0.0, 1.0, 0.5]), min_size=2, max_size=16))
def test_advantages_sum_to_zero_and_keep_the_order(rewards):
    advantages = group_advantages(rewards)
    assert abs(advantages.sum()) < 1e-9
    for (r_a, a_a), (r_b, a_b) in zip(
        zip(rewards, advantages, strict=True), zip(rewards[1:], advantages[1:], strict=True), strict=False
    ):
        assert np.sign(a_a - a_b) == np.sign(r_a - r_b)


@settings(deadline=None)
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
