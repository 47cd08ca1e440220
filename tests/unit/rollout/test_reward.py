"""Rewards in the trainer: the verifier's profiles, functions of one's own, and errors that are counted."""

from __future__ import annotations

import pytest

from p2o.errors import ConfigError
from p2o.rollout.reward import RewardConfig, make_reward
from p2o.types import Problem, Rollout


def rollout(text: str) -> Rollout:
    return Rollout("p", "plain", 0, (1,), (2,), (-1.0,), "stop", text)


def problem(gold: str) -> Problem:
    return Problem("p", ({"role": "user", "content": "x"},), gold)


def test_the_verifier_rewards_and_counts() -> None:
    reward = make_reward(RewardConfig())
    texts = [r"\boxed{1/2}", r"\boxed{3}", "no idea"]
    assert list(reward([rollout(t) for t in texts], [problem("0.5")] * 3)) == [1.0, 0.0, 0.0]
    counts = reward.take_counts()
    assert reward.metrics(counts)["verify/no_answer"] == pytest.approx(1 / 3)
    assert reward.metrics(counts + counts)["verify/no_answer"] == pytest.approx(1 / 3)
    assert reward.metrics(reward.take_counts())["verify/no_answer"] == 0.0, "counts start anew"


def test_a_box_can_be_required() -> None:
    for required, expected in ((False, 1.0), (True, 0.0)):
        reward = make_reward(RewardConfig(require_boxed=required))
        assert list(reward([rollout("The answer is 7.")], [problem("7")])) == [expected]


def test_a_function_that_never_worked_is_an_error() -> None:
    reward = make_reward(RewardConfig(function=f"{__name__}:length_reward"))
    assert list(reward([], [])) == []
    with pytest.raises(ConfigError, match=r"length_reward' failed on all 2 completions .*RuntimeError: no"):
        reward([rollout("boom"), rollout("boom")], [problem("1")] * 2)


def test_a_function_that_has_worked_does_not_end_the_run() -> None:
    reward = make_reward(RewardConfig(function=f"{__name__}:length_reward"))
    assert list(reward([rollout("12"), rollout("boom")], [problem("1")] * 2)) == [0.2, 0.0]
    assert list(reward([rollout("boom")], [problem("1")])) == [0.0], (
        "a batch of one, or a rank's share of one"
    )
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 2.0}


def test_the_verifier_options_follow_the_profile() -> None:
    assert RewardConfig(profile="math-verify").verifier_options() == {
        "require_boxed": False,
        "compat": "math-verify",
    }
    assert RewardConfig(profile="strict", require_boxed=True).verifier_options() == {
        "require_boxed": True,
        "strict": True,
    }
    assert RewardConfig(function="module:function").verifier_options() is None


def length_reward(problem: Problem, completion: str) -> float:
    if completion == "boom":
        raise RuntimeError("no")
    return len(completion) / 10


def test_a_function_of_ones_own() -> None:
    reward = make_reward(RewardConfig(function=f"{__name__}:length_reward"))
    assert list(reward([rollout("12345"), rollout("boom")], [problem("1")] * 2)) == [0.5, 0.0]
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 1.0}
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 0.0}


@pytest.mark.parametrize("path", ["nowhere", "no_such_module:f", f"{__name__}:missing", f"{__name__}:pytest"])
def test_a_path_without_a_function_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        make_reward(RewardConfig(function=path))
