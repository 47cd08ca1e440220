"""pass@k against all choices of k completions, and votes counted by hand."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from statistics import fmean

import pytest

from p2o.errors import InputError
from p2o.evaluation.metrics import majority, pass_at_k, pass_ks
from p2o.verifier import equivalent


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_is_the_share_of_choices_that_hold_a_correct_completion(n: int) -> None:
    for correct in range(n + 1):
        completions = [i < correct for i in range(n)]
        for k in range(1, n + 1):
            choices = [any(chosen) for chosen in combinations(completions, k)]
            assert pass_at_k(n, correct, k) == pytest.approx(fmean(choices), abs=1e-15)


def test_pass_at_k_of_many_completions_does_not_overflow() -> None:
    assert pass_at_k(10_000, 1, 5_000) == 0.5
    assert pass_at_k(10_000, 0, 10_000) == 0


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_pass_at_k_of_impossible_counts_is_refused(n: int, correct: int, k: int) -> None:
    with pytest.raises(InputError, match=rf"^pass@{k} of {n} completions"):
        pass_at_k(n, correct, k)


@pytest.mark.parametrize(("n", "ks"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])])
def test_k_is_a_power_of_two_or_all(n: int, ks: list[int]) -> None:
    assert pass_ks(n) == ks


def vote(gold: str, *answers: str | None) -> float:
    correct = [answer is not None and equivalent(gold, answer) for answer in answers]
    return majority(answers, correct, partial(equivalent))


def test_equal_answers_vote_together_whatever_their_notation() -> None:
    # As texts 3 is the most frequent one; as values 1/2 is.
    assert vote("0.5", "3", "1/2", "3", "0.5", "\\frac{1}{2}") == 1
    assert vote("0.5", "3", "1/2", "3", "3", "0.5") == 0


def test_completions_without_an_answer_have_no_vote() -> None:
    assert vote("7", None, None, None, "7") == 1
    assert vote("7", None, None) == 0


def test_a_tie_is_the_share_of_its_groups_that_are_correct() -> None:
    assert vote("7", "7", "8") == vote("7", "8", "7") == 1 / 2
    assert vote("7", "1", "7", "2") == 1 / 3
    assert vote("9", "7", "8") == 0
    assert vote("7", "7", "8", "7.0", "8.0", "9") == 1 / 2


def test_the_verdict_is_that_of_the_first_answer_of_the_largest_group() -> None:
    """Where a verifier contradicts itself, as with answers that it calls equal but judges differently."""
    same = lambda first, other: {first, other} <= {"5", "5 cm"}  # noqa: E731
    assert majority(["5", "5 cm", "8"], [False, True, True], same) == 0
    assert majority(["5 cm", "5", "8"], [True, False, False], same) == 1


def test_an_answer_that_the_verifier_cannot_read_is_at_least_itself() -> None:
    assert majority(["?", "?", "8"], [False, False, True], lambda *_: False) == 0
