"""The ledger of rollouts, counted by hand."""

from __future__ import annotations

import json

import pytest

from p2o.errors import CheckpointError, InputError
from p2o.evolution.propose.prompt import load_prompt, render_example
from p2o.evolution.search.tasks import make_example
from p2o.evolution.types import EvaluationResult
from p2o.outcomes import Outcomes
from p2o.policy.ratios import RatioStatistics
from p2o.state import LoopState
from p2o.types import Problem


def outcomes_of(*versions: tuple[str, int, int]) -> Outcomes:
    """Version, successes and trials of the template `t` on the problem `p`."""
    outcomes = Outcomes()
    for version, won, tried in versions:
        for trial in range(tried):
            outcomes.record(version, "t", "p", float(trial < won))
    return outcomes


def test_older_versions_weigh_less() -> None:
    outcomes = outcomes_of(("old", 4, 8), ("new", 1, 2))
    assert outcomes.discounted("t", "p", 0.5) == (3.0, 6.0, 3.0)
    assert outcomes.of("t", "p", "old") == (4, 8, 4.0)
    assert [version["policy_version"] for version in outcomes.to_dict()["versions"]] == ["old", "new"]


def test_each_version_further_back_weighs_less_again() -> None:
    outcomes = outcomes_of(("a", 4, 8), ("b", 4, 8), ("c", 4, 8))
    assert outcomes.discounted("t", "p", 0.5) == (4 + 2 + 1, 8 + 4 + 2, 4 + 2 + 1)
    assert outcomes.posterior("t", "p", prior=(1.0, 2.0), discount=0.5) == (8, 9)


def test_a_version_that_has_begun_makes_what_is_known_older() -> None:
    outcomes = outcomes_of(("old", 4, 8))
    outcomes.begin("new")
    outcomes.begin("old")
    assert outcomes.discounted("t", "p", 0.5) == (2.0, 4.0, 2.0)
    outcomes = Outcomes.from_dict(json.loads(json.dumps(outcomes.to_dict())))
    assert outcomes.discounted("t", "p", 0.5) == (2.0, 4.0, 2.0)
    outcomes.record("new", "t", "p", 1.0)
    assert outcomes.discounted("t", "p", 0.5) == (3.0, 5.0, 3.0)


def test_shaped_rewards_are_successes_by_the_threshold_whoever_drew_them() -> None:
    """Of training and of the prompt step: 0.6 succeeds from 0.5 on, and its fraction is no part of a success."""
    outcomes = Outcomes(success=0.5)
    for source in ("training", "prompt step"):
        for reward in (0.6, 0.4):
            outcomes.record("1", "t", "p", reward, source)
    assert outcomes.of("t", "p", "1") == (2, 4, 2.0)
    assert outcomes.posterior("t", "p", prior=(1.0, 1.0), discount=1.0) == (3.0, 3.0)
    assert outcomes.training("1") == {"p": (1, 2, 1.0)}


def test_queries_on_a_small_ledger() -> None:
    """Two versions; `p` failed its first plain rollouts and was solved later, `q` the other way round."""
    ledger = Outcomes()
    for version, template, problem, reward, source in (
        ("1", "plain", "p", 0.0, "training"),
        ("1", "t", "p", 1.0, "training"),
        ("1", "plain", "p", 1.0, "prompt step 1"),
        ("1", "plain", "q", 1.0, "training"),
        ("1", "t", "r", 0.0, "training"),
        ("2", "plain", "p", 1.0, "training"),
        ("2", "plain", "q", 0.0, "training"),
    ):
        ledger.record(version, template, problem, reward, source)
    assert ledger.versions == ("1", "2")
    assert ledger.of("plain", "p", "1") == (1, 2, 1.0)
    assert ledger.of("plain", "p", "1", source="training") == (0, 1, 0.0)
    assert ledger.of("plain", "p", "1", source="prompt step 1") == (1, 1, 1.0)
    assert [ledger.began_hard(problem) for problem in ("p", "q", "r", "never seen")] == [
        True,
        False,
        False,
        False,
    ]
    assert ledger.training("1") == {"p": (1, 2, 1.0), "q": (1, 1, 1.0), "r": (0, 1, 0.0)}
    assert ledger.latest_training() == {"p": (1, 1, 1.0), "q": (0, 1, 0.0), "r": (0, 1, 0.0)}


def test_what_a_source_added_is_withdrawn_and_nothing_else() -> None:
    """Neither other sources nor other versions: a step that runs again leaves the ledger as it was."""
    ledger = Outcomes()
    for version in ("1", "2"):
        for source in ("training", "prompt step 1"):
            ledger.record(version, "t", "p", 1.0, source)
    ledger.withdraw("1", "prompt step 1")
    assert [ledger.of("t", "p", version).trials for version in ("1", "2")] == [1, 2]
    assert ledger.of("t", "p", "1", source="training").trials == 1
    ledger.withdraw("1", "prompt step 1")
    ledger.withdraw("never seen", "training")
    assert ledger.versions == ("1", "2")


def test_context_ratios_of_an_update_make_its_version_known() -> None:
    ledger = Outcomes()
    ledger.observe_context("3", {"t": RatioStatistics(tokens=4, log_sum=-2.0, masked=1)})
    assert ledger.versions == ("3",)


def test_a_reward_that_misses_the_threshold_by_a_rounding_succeeds() -> None:
    outcomes = Outcomes()
    assert outcomes.is_success(sum([0.1] * 10))  # 0.9999999999999999
    assert outcomes.is_success(0.99999994)  # the float32 below 1
    assert not outcomes.is_success(0.9999)


@pytest.mark.parametrize(("success", "verdict"), [(0.5, "correct"), (0.7, "wrong")])
def test_the_verdict_of_a_reflection_prompt_follows_the_same_rule(success: float, verdict: str) -> None:
    problem = Problem("p", ({"role": "user", "content": "1 + 1"},), "2")
    example = make_example(problem, [EvaluationResult(0.6, "2?")], success)
    prompt = load_prompt("default")
    shown = prompt.sections["correct" if verdict == "correct" else "wrong"].replace("{gold}", "2")
    assert shown.replace("{reward}", "0.6") in render_example(prompt, example)


def test_what_another_version_wrote_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="outcomes of schema 2 cannot be read"):
        Outcomes.from_dict({**Outcomes().to_dict(), "schema": 2})
    old = {name: value for name, value in LoopState(Outcomes()).to_dict().items() if name != "schema"}
    with pytest.raises(CheckpointError, match=r"^the checkpoint is of schema 1, .* or start a new run$"):
        LoopState.from_dict(old)
