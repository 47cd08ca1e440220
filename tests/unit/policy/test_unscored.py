"""Rows whose old log-probs are those of their own update: the same step as with a scoring pass, without the pass."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from p2o.config import build_config
from p2o.errors import InputError, TrainingError
from p2o.policy.config import CorrectionConfig, LossConfig
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.rows import Prepared, prepare
from p2o.policy.torch_backend import TorchPolicy
from p2o.types import Group, Problem, Rollout

PLAIN = (2, 10, 3)
TEMPLATED = (2, 50, 51, 10, 3)


def rollout(reward: float, *, templated: bool = False, length: int = 3, **more: Any) -> Rollout:
    return Rollout(
        problem_id="a",
        template_id="z" if templated else "plain",
        index=0,
        prompt_ids=TEMPLATED if templated else PLAIN,
        response_ids=[10 + length, *range(40, 39 + length)],
        sampler_logprobs=more.pop("sampler", [-2.0 - 0.5 * i for i in range(length)]),
        finish_reason="stop",
        text="",
        reward=reward,
        **more,
    )


def group(*rollouts: Rollout) -> Group:
    return Group(Problem("a", ({"role": "user", "content": "a"},), "1"), rollouts)


GROUP = group(
    rollout(1), rollout(0, length=5), rollout(1, templated=True, length=4), rollout(0, templated=True)
)


class Recorded:
    """A policy's scores, and which prompts they were asked for."""

    def __init__(self, score: Any) -> None:
        self.score, self.prompts = score, []

    def __call__(self, sequences: Any) -> Any:
        self.prompts += [tuple(prompt) for prompt, _ in sequences]
        return self.score(sequences)


def made(
    score: Any, groups: Sequence[Group], *, fresh: bool, distillation: str = "rollouts", **correction: Any
) -> Prepared:
    config = build_config(
        {
            "model": {"source": "x"},
            "data": {"kind": "tiny"},
            "rollout": {"max_tokens": 16},
            "context": {"distillation": distillation},
            "guidance": {"train_on_evaluations": False},
            "correction": correction,
        }
    )
    return prepare(groups, lambda _: PLAIN, score, None, config, fresh=fresh)


def constant(value: float) -> Any:
    return lambda sequences: [np.full(len(response), value, np.float32) for _, response in sequences]


def policy_of(model: Any, *, loss: Any = "dapo", budget: int = 100_000, **correction: Any) -> TorchPolicy:
    policy = TorchPolicy(
        copy.deepcopy(model),
        OptimizerConfig(learning_rate=1e-2, micro_batch_tokens=budget),
        LossConfig(name=loss),
        pad_id=0,
        temperature=1.0,
        planned_steps=10,
        correction=CorrectionConfig(**correction),
    )
    # A gradient that is 0 but for rounding must not move a weight.
    for weights in policy.optimizer.param_groups:
        weights["eps"] = 1e-3
    return policy


@pytest.mark.parametrize("loss", ["dapo", "grpo", "dr_grpo", "gspo", "cispo"])
@pytest.mark.parametrize(
    "correction", [{"mode": "token"}, {"mode": "sequence", "bounds": [0.01, 1.0]}, {"mode": "none"}]
)
@pytest.mark.parametrize("budget", [100_000, 1])
def test_the_step_is_the_same(random_model: Any, loss: Any, correction: dict[str, Any], budget: int) -> None:
    """Weights, loss, and the statistics of the engine ratio: over all rows, scored before or in the update."""
    found, metrics = {}, {}
    for fresh in (False, True):
        policy = policy_of(random_model, loss=loss, budget=budget, **correction)
        for step in range(2):
            ready = made(policy.score, [GROUP], fresh=fresh, **correction)
            assert np.isnan(ready.rows.streams["old_logp"]).any() == fresh
            got = policy.update(ready.rows, ready.counts, ready.engine) | ready.metrics
            metrics[fresh, step] = got
        found[fresh] = {name: p.detach() for name, p in policy.model.named_parameters()}
    for step in range(2):
        assert metrics[True, step] == pytest.approx(metrics[False, step], abs=2e-5, rel=1e-4)
        assert metrics[True, step]["engine_ratio/mean"] > 0
    for name, value in found[False].items():
        torch.testing.assert_close(found[True][name], value, atol=2e-5, rtol=1e-4)
    moved = max((found[True][name] - p).abs().max() for name, p in random_model.named_parameters())
    assert moved > 1e-3


def test_the_engine_weight_is_that_of_the_updates_log_probs(random_model: Any) -> None:
    """A plain pair alone, its tokens' ratios truncated at 1.5: the statistics are those of the scored rows."""
    pair = group(rollout(1, sampler=[-9.0, -0.1, -4.0]), rollout(0, sampler=[-4.0] * 3))
    policy = policy_of(random_model, mode="token", bounds=[0, 1.5])
    logp = np.concatenate(policy.score([(PLAIN, r.response_ids) for r in pair.rollouts]))
    ratio = np.exp(logp - np.concatenate([r.sampler_logprobs for r in pair.rollouts]))
    assert (ratio > 1.5).any()
    assert (ratio < 1.5).any()
    ready = made(policy.score, [pair], fresh=True, mode="token", bounds=[0, 1.5])
    metrics = policy.update(ready.rows, ready.counts, ready.engine)
    assert metrics["engine_ratio/mean"] == pytest.approx(ratio.mean(), rel=1e-4)
    assert metrics["engine_ratio/max"] == pytest.approx(ratio.max(), rel=1e-4)
    assert metrics["engine_mask/high"] == pytest.approx((ratio > 1.5).mean())
    weighted = np.minimum(ratio, 1.5) * np.repeat([-1, 1], 3)  # advantages ±1/√2, six tokens
    assert metrics["policy_loss"] == pytest.approx(weighted.sum() / np.sqrt(2) / 6, rel=1e-3)
    assert metrics["policy_kl"] == metrics["clip_ratio/low_mean"] == 0.0, "the policy ratio is 1, exactly"


@pytest.mark.parametrize(
    ("settings", "fresh", "asked"),
    [
        ({}, True, [PLAIN, PLAIN, TEMPLATED, TEMPLATED]),
        ({}, False, [PLAIN] * 4 + [TEMPLATED] * 2),
        ({"old_logprobs": "trainer"}, True, [PLAIN] * 4 + [TEMPLATED] * 2),
        ({"old_logprobs": "sampler"}, False, [PLAIN, PLAIN, TEMPLATED, TEMPLATED]),
        ({"distillation": "none"}, True, []),  # learnt on the prompt that they were drawn under
    ],
)
def test_what_is_scored(settings: dict[str, Any], fresh: bool, asked: list[tuple[int, ...]]) -> None:
    score = Recorded(constant(-1.0))
    made(score, [GROUP], fresh=fresh, **settings)
    assert score.prompts == asked


def test_a_rollout_with_a_teacher_is_compared_with_it_and_therefore_scored() -> None:
    score = Recorded(constant(-1.0))
    taught = group(rollout(1), rollout(0, teacher_ids=TEMPLATED))
    ready = made(score, [taught], fresh=True, distillation="reverse_kl")
    assert score.prompts == [PLAIN, TEMPLATED]
    assert np.isnan(ready.rows.streams["old_logp"]).tolist() == [True] * 3 + [False] * 3


def test_log_probs_of_the_sampler_as_they_are() -> None:
    """A plain row's ratio then holds the difference of the engines: no weight corrects for it a second time."""
    ready = made(constant(-1.0), [GROUP], fresh=True, old_logprobs="sampler")
    streams, plain = ready.rows.streams, slice(0, 3 + 5)
    assert streams["old_logp"][plain].tolist() == [-2.0, -2.5, -3.0, -2.0, -2.5, -3.0, -3.5, -4.0]
    assert streams["engine_weight"][plain].tolist() == [1.0] * 8
    assert streams["old_logp"][8:].tolist() == [-1.0] * 7
    assert streams["engine_weight"][8:].tolist() == [2.0] * 7, "e^1 and more, truncated"
    assert ready.engine.tokens == 7


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ([-1.0, -1.0], "a rollout of 3 tokens has 2 log-probabilities of the sampler"),
        ([-1.0, float("nan"), -1.0], "a sampler log-probability is NaN or positive"),
    ],
)
def test_log_probs_that_are_not_the_samplers_are_refused(sampler: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(constant(-1.0), [group(rollout(1, sampler=sampler), rollout(0))], fresh=True)


def test_a_model_whose_outputs_are_no_numbers_stops_every_rank(random_model: Any) -> None:
    """By the loss, which all ranks share; an error on the rank that sees them would leave the others waiting."""
    policy = policy_of(random_model)
    ready = made(policy.score, [group(rollout(1), rollout(0))], fresh=True)
    with torch.no_grad():
        next(policy.model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan, not finite"):
        policy.update(ready.rows, ready.counts, ready.engine)
