"""What carries over, counted by hand."""

from __future__ import annotations

import json
from math import exp, log

import pytest

from p2o.outcomes import Outcomes
from p2o.outcomes.transfer import (
    Reliance,
    Transfer,
    reliances,
    transfer_records,
    transfers,
)
from p2o.policy.ratios import RatioStatistics

STEP = "prompt step x"


def known(
    *counts: tuple[str, str, str, int, int], source: str = "training", to: Outcomes | None = None
) -> Outcomes:
    """Version, template, problem, successes, trials."""
    outcomes = to or Outcomes()
    for version, template, problem, won, tried in counts:
        for trial in range(tried):
            outcomes.record(version, template, problem, float(trial < won), source)
    return outcomes


def test_a_problem_solved_under_a_template_is_looked_at_once_later() -> None:
    """a: solved plain in 1 of 2 rollouts then, 0 of 1 before. b: not solved. c: never tried plain again. d: never
    solved under z, so what it does plain is no matter."""
    outcomes = known(
        *(("1", "z", "a", 2, 5), ("1", "plain", "a", 0, 1)),
        *(("1", "z", "b", 1, 5), ("1", "plain", "b", 1, 1)),
        *(("1", "z", "c", 5, 5), ("1", "plain", "c", 0, 1)),
        *(("1", "z", "d", 0, 5), ("1", "plain", "d", 0, 1)),
        *(("2", "plain", "a", 1, 2), ("2", "plain", "b", 0, 4), ("2", "plain", "d", 6, 6)),
        *(("3", "plain", "a", 0, 6), ("3", "plain", "b", 6, 6)),
    )
    found = transfers(outcomes)
    assert found == {"z": Transfer(problems=3, tried=2, solved=0.5, compared=2, gained=0.5 - 1.0)}
    assert found["z"].share == 0.25
    assert found["z"].gain == -0.25
    assert Transfer().share is Transfer().gain is None


def test_versions_that_did_not_try_it_plain_are_passed_over() -> None:
    """Those between, where it was not asked or asked under a template alone, or plain in a prompt step alone."""
    outcomes = known(("1", "z", "a", 1, 1), ("1", "z", "b", 1, 1))
    known(("2", "plain", "a", 1, 1), source=STEP, to=outcomes)
    known(("2", "z", "a", 1, 1), ("3", "plain", "a", 0, 1), ("4", "plain", "a", 1, 1), to=outcomes)
    assert transfers(outcomes) == {"z": Transfer(problems=2, tried=1)}


def test_plain_rollouts_of_the_success_own_version_are_no_later_ones() -> None:
    outcomes = known(("1", "z", "a", 1, 1), ("1", "plain", "a", 1, 1))
    outcomes.begin("2")
    assert transfers(outcomes) == {"z": Transfer(problems=1)}


def test_versions_are_ordered_by_when_they_began() -> None:
    outcomes = Outcomes()
    for version in ("10", "9", "2.5"):
        outcomes.begin(version)
    known(("2.5", "plain", "a", 1, 1), ("9", "z", "a", 1, 1), ("10", "plain", "a", 0, 1), to=outcomes)
    assert transfers(outcomes) == {"z": Transfer(problems=1, tried=1, solved=1.0)}


def test_a_problem_counts_from_its_success_in_training_if_there_is_one() -> None:
    """A success in the prompt step is not learnt from yet when the problem comes up: the plain rollout beside it is
    none of afterwards. Without one in training the prompt step's counts."""
    outcomes = known(("1", "z", "a", 1, 1), ("1", "z", "b", 1, 1), source=STEP)
    known(("2", "z", "a", 1, 5), ("2", "plain", "a", 0, 1), ("2", "plain", "b", 1, 1), to=outcomes)
    known(("3", "plain", "a", 1, 1), ("3", "plain", "b", 0, 1), to=outcomes)
    assert transfers(outcomes) == {"z": Transfer(problems=2, tried=2, solved=2.0, compared=1, gained=1.0)}


def test_each_template_has_its_own_and_one_without_a_success_nothing() -> None:
    outcomes = known(
        *(("1", "y", "a", 1, 1), ("1", "z", "a", 1, 1), ("1", "x", "a", 0, 1), ("2", "z", "b", 1, 1)),
        ("2", "plain", "a", 1, 1),
    )
    one = Transfer(problems=1, tried=1, solved=1.0)
    assert transfers(outcomes) == {"x": Transfer(), "y": one, "z": Transfer(problems=2, tried=1, solved=1.0)}
    assert list(transfers(outcomes)) == ["x", "y", "z"]


def test_reliance_compares_on_the_same_problems_in_the_same_version() -> None:
    """Version 1: a 4/5 against 0/1, b 1/5 against 1/1; c has no plain rollout. Version 2: only a, 5/5 against 1/1."""
    outcomes = known(
        *(("1", "z", "a", 4, 5), ("1", "plain", "a", 0, 1), ("1", "z", "b", 1, 5), ("1", "plain", "b", 1, 1)),
        *(("1", "z", "c", 5, 5), ("2", "z", "a", 5, 5), ("2", "plain", "a", 1, 1)),
    )
    known(("2", "plain", "c", 0, 4), ("2", "z", "c", 4, 4), source=STEP, to=outcomes)
    newest, before = reliances(outcomes)["z"]
    assert newest == Reliance("2", 1, 1.0, 1.0)
    assert (before.policy_version, before.problems, before.under, before.plain) == ("1", 2, 0.5, 0.5)
    assert before.difference == 0.0


def test_a_line_for_each_template() -> None:
    outcomes = known(
        *(("1", "z", "a", 4, 5), ("1", "plain", "a", 0, 1), ("2", "plain", "a", 1, 1), ("1", "y", "a", 0, 1)),
    )
    outcomes.observe_context("1", {"z": RatioStatistics(tokens=4, log_sum=4 * log(0.5), masked=1)})
    outcomes.observe_context("1", {"z": RatioStatistics(tokens=4, log_sum=4 * log(0.125), masked=2)})
    outcomes.begin("3")
    outcomes = Outcomes.from_dict(json.loads(json.dumps(outcomes.to_dict())))
    y, z = transfer_records(outcomes)
    assert z.pop("context_ratio") == pytest.approx(exp((log(0.5) + log(0.125)) / 2)) == 0.25
    assert z == {
        "template": "z",
        "problems": 1,
        "tried_later": 1,
        "solved_later": 1.0,
        "gain": 1.0,
        "compared": 1,
        "reliance": 0.8,
        "reliance_problems": 1,
        "context_tokens": 8,
        "context_masked": 3 / 8,
    }
    assert (y["template"], y["problems"], y["solved_later"], y["reliance"]) == ("y", 0, None, 0.0)
    assert y["context_ratio"] is y["context_masked"] is None
    (alone,) = transfer_records(known(("1", "x", "a", 1, 2)))
    assert (alone["reliance"], alone["reliance_problems"]) == (None, 0), "no plain rollout to compare with"
