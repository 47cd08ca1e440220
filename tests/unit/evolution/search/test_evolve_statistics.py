import pytest
from evolve_world import by_race
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from p2o.errors import ConfigError
from p2o.evolution import EvolveConfig, ReflectionConfig
from p2o.evolution.budget import Ledger, rollouts_of
from p2o.evolution.search.race import ACCEPTANCES
from p2o.evolution.search.statistics import probability_better, solved_share


@pytest.mark.parametrize(
    ("level", "small", "middle", "paper"),
    [
        ("light", 580, 980, 1_580),
        ("medium", 940, 1_440, 2_190),
        ("heavy", 1_385, 2_085, 3_135),
        ("heavy_2", 2_720, 4_020, 5_970),
        ("heavy_3", 4_005, 5_805, 8_505),
        ("heavy_4", 5_290, 7_590, 11_040),
        ("heavy_16", 20_960, 29_760, 42_960),
    ],
)
def test_levels_are_those_of_the_paper(level, small, middle, paper):
    assert [rollouts_of(level, size) for size in (50, 150, 300)] == [small, middle, paper]
    assert rollouts_of(777, 300) == 777


def test_probability_better_by_hand():
    # Beta(2, 1) above a half: 1 - 1/4. Beta(6, 1): 1 - 1/64. Beta(3, 2): 11/16.
    assert probability_better(0, 0) == 0.5
    assert probability_better(1, 0) == 0.75
    assert probability_better(5, 0) == 1 - 1 / 64
    assert probability_better(2, 1) == 11 / 16


@given(st.integers(0, 20), st.integers(0, 20))
def test_probability_better_is_symmetric_and_monotone(wins, losses):
    value = probability_better(wins, losses)
    assert value + probability_better(losses, wins) == pytest.approx(1)
    assert probability_better(wins + 1, losses) > value > probability_better(wins, losses + 1)


@given(st.integers(1, 2000), st.sampled_from(["strict", "posterior", "sequential"]))
def test_stages_grow_to_the_whole_dev_set(dev_size, acceptance):
    plan = ACCEPTANCES[acceptance].stages(dev_size)
    sizes = [size for size, _ in plan]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == dev_size
    assert plan[-1][1] == (0.0 if acceptance == "strict" else 0.99)
    assert all(size >= 8 for size in sizes[:-1])


def test_the_ledger_refuses_what_does_not_fit():
    ledger = Ledger(10)
    ledger.reserve_rollouts(8)
    with pytest.raises(ConfigError, match="3 rollouts do not fit into the 2"):
        ledger.reserve_rollouts(3)
    assert ledger.rollouts == 8


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"budget": "heavier"}, "budget"),
        ({"budget": 0}, "budget"),
        ({"dev_sizes": 3}, "dev_sizes"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, part):
    with pytest.raises(ValidationError, match=part):
        by_race(**settings)


def test_an_api_needs_a_model():
    with pytest.raises(ValidationError, match="needs a model"):
        ReflectionConfig(kind="openai")


@pytest.mark.parametrize("config", [EvolveConfig, ReflectionConfig])
def test_every_setting_says_what_it_is(config):
    assert all(field.description for field in config.model_fields.values())


def test_single_rollouts_are_taken_to_be_of_equal_problems() -> None:
    """1 - (3/4) ** 8."""
    assert solved_share([1, 0, 0, 0], 1, 8.0) == pytest.approx(1 - 0.75**8)
    assert solved_share([0, 0], 1, 8.0) == 0.0
    assert solved_share([1, 1], 1, 8.0) == 1.0


def test_problems_that_are_never_solved_stay_unsolved() -> None:
    """A third always solved, two thirds never: correlation 1, and eight more draws solve hardly more than one."""
    assert solved_share([3, 0, 0], 3, 8.0) == pytest.approx(1 / 3, abs=0.01)
    assert solved_share([1, 1, 1], 3, 8.0) == pytest.approx(1 - (2 / 3) ** 8), "as likely each time"


def test_unequal_problems_follow_a_beta_distribution() -> None:
    """Means 0, 0 and 2/3 of three rollouts: mean 2/9, variance 8/81, correlation (3 * 8/81 / (14/81) - 1) / 2 = 5/14,
    so a = 2/9 * 9/5 = 0.4 and b = 7/9 * 9/5 = 1.4. Of two draws neither succeeds with b(b+1)/((a+b)(a+b+1)) = 2/3."""
    assert solved_share([0, 0, 2], 3, 2.0) == pytest.approx(1 - 1.4 * 2.4 / (1.8 * 2.8))
