"""The tiny world's arithmetic and its instructions."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import ConfigError
from p2o.templates import make_template
from p2o.tiny.world import FAMILIES, NEUTRAL, Family, make_problems

by_name = {family.name: family for family in FAMILIES}


@pytest.mark.parametrize(
    ("family", "left", "right", "scratchpad"),
    [
        ("addition", 967, 18, r"7+8=15 6+1+1=8 9=9 \boxed{985}"),
        ("addition", 885, 556, r"5+6=11 8+5+1=14 8+5+1=14 \boxed{1441}"),
        ("subtraction", 640, 548, r"10-8=2 14-4-1=9 6-5-1=0 \boxed{92}"),
        ("subtraction", 765, 13, r"5-3=2 6-1=5 7=7 \boxed{752}"),
        ("multiplication", 6, 440, r"6*0=0 6*4=24 6*4+2=26 \boxed{2640}"),
    ],
)
def test_scratchpads_worked_by_hand(family: str, left: int, right: int, scratchpad: str) -> None:
    assert by_name[family].scratchpad(left, right) == scratchpad


@given(st.sampled_from(FAMILIES), st.integers())
def test_every_column_of_a_scratchpad_is_true(family: Family, seed: int) -> None:
    left, right = family.sample(random.Random(seed))
    *columns, box = family.scratchpad(left, right).split(" ")
    for column in columns:
        expression, value = column.split("=")
        assert re.fullmatch(r"[\d+*-]+", expression)
        assert eval(expression) == int(value)
    digits = "".join(column.split("=")[1][-1] for column in reversed(columns[:-1]))
    assert int(columns[-1].split("=")[1] + digits) == family.answer(left, right)
    assert box == f"\\boxed{{{family.answer(left, right)}}}"


@given(st.sampled_from(FAMILIES), st.integers())
def test_an_estimate_is_right_but_for_its_last_digits(family: Family, seed: int) -> None:
    rng = random.Random(seed)
    left, right = family.sample(rng)
    estimate = family.estimate(left, right, rng)
    assert estimate // 100 == family.answer(left, right) // 100
    assert estimate >= 0


def test_estimates_are_right_one_time_in_twenty() -> None:
    """Half the time one digit is a guess (1 in 10), half the time two (1 in 100): 5.5%."""
    rng = random.Random(0)
    hits = sum(FAMILIES[0].estimate(345, 678, rng) == 1023 for _ in range(20_000))
    assert hits / 20_000 == pytest.approx(0.055, abs=0.006)


def test_instructions_are_different_templates() -> None:
    rng = random.Random(0)
    texts = {
        family.name: {
            family.instruction(rng, precise=precise) for _ in range(400) for precise in (True, False)
        }
        for family in FAMILIES
    }
    everything = [make_template(text).id for group in texts.values() for text in group]
    everything += [make_template(text).id for text in NEUTRAL]
    assert len(everything) == len(set(everything))
    assert all(len(group) >= 20 for group in texts.values())


def test_a_family_holds_as_many_problems_as_it_says() -> None:
    """8 x 990 products; every pair of 990 numbers adds, every unordered one subtracts."""
    assert [family.size for family in FAMILIES] == [980_100, 490_545, 7_920]


def test_more_problems_than_there_are_is_an_error() -> None:
    held_out = make_problems(3 * 7_900, 1)
    rest = make_problems(3 * 20, 2, exclude=held_out)
    multiplications = {p.id for p in (*held_out, *rest) if p.meta["family"] == "multiplication"}
    assert len(multiplications) == 7_920, "the last one can be had"
    with pytest.raises(
        ConfigError, match=r"data\.train_size .* 7,921 problems of multiplication .* has 7,920"
    ):
        make_problems(3 * 21, 2, exclude=held_out)
    with pytest.raises(ConfigError, match="multiplication"):
        make_problems(10**9, 1)
