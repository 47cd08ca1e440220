"""The policy backend `torch`: padding, micro-batches and skipped rows must not change the update."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from p2o.config import build_config
from p2o.errors import TrainingError
from p2o.policy.config import LossConfig
from p2o.policy.losses import LossOutput
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.rows import prepare
from p2o.policy.schedule import learning_rate
from p2o.policy.streams import GlobalCounts, TokenStreams
from p2o.policy.torch_backend import TorchPolicy
from p2o.types import Group, Problem, Rollout


def negative(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """A loss of one's own: the negative log-likelihood of what was rewarded."""
    chosen = streams.loss_mask * (streams.advantage > 0)
    return LossOutput(-(chosen * streams.logp).sum() / counts.tokens, {"chosen": chosen.sum()})


def make_group(name: str, rewards: list[float], first_token: int) -> Group:
    rollouts = [
        Rollout(
            problem_id=name,
            template_id="z" if index % 2 else "plain",
            index=index,
            prompt_ids=[2, 50, 51, first_token, 3] if index % 2 else [2, first_token, 3],
            response_ids=[first_token + index, 30, *range(40, 40 + 2 * index), 4],
            sampler_logprobs=[-2.0] * (3 + 2 * index),
            finish_reason="stop",
            text="",
            reward=reward,
        )
        for index, reward in enumerate(rewards)
    ]
    return Group(Problem(name, ({"role": "user", "content": name},), "1"), rollouts)


GROUPS = [
    make_group("a", [1, 0, 0, 1], 10),
    make_group("b", [0, 0, 0, 0], 15),
    make_group("c", [0, 1, 1, 1], 20),
]


def prepared(policy: Any, groups: Any = GROUPS, *, context: str = "asymmetric", **loss: Any) -> Any:
    """Rows and counts of an update on `groups`."""
    config = build_config(
        {
            "model": {"source": "x"},
            "data": {"kind": "tiny"},
            "rollout": {"max_tokens": 16},
            "context": {"mode": context},
            "loss": loss,
        }
    )

    def plain(problem: Problem) -> list[int]:
        return [2, {"a": 10, "b": 15, "c": 20}[problem.id], 3]

    return prepare(groups, plain, policy.score, None, config)[:2]


def updated(model: Any, name: Any, *, budget: int, steps: int = 2) -> dict[str, torch.Tensor]:
    """Parameters after `steps` updates on GROUPS."""
    model = copy.deepcopy(model)
    policy = TorchPolicy(
        model,
        OptimizerConfig(learning_rate=1e-2, micro_batch_tokens=budget),
        LossConfig(name=name),
        pad_id=0,
        temperature=1.0,
        planned_steps=10,
    )
    for _ in range(steps):
        policy.update(*prepared(policy, context="truncated", name=name))
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["dapo", "grpo", "dr_grpo", "gspo", "cispo"])
def test_the_split_into_micro_batches_does_not_change_the_update(random_model: Any, name: Any) -> None:
    together = updated(random_model, name, budget=100_000)
    split = updated(random_model, name, budget=1)
    for key, value in together.items():
        torch.testing.assert_close(split[key], value, atol=2e-5, rtol=1e-4)
    moved = max((together[key] - value).abs().max() for key, value in random_model.named_parameters())
    assert moved > 1e-3


@pytest.mark.parametrize("name", ["dapo", "grpo", "dr_grpo", "gspo", "cispo"])
def test_skipping_rows_without_a_gradient_does_not_change_the_update(
    random_model: Any, name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = updated(random_model, name, budget=100_000)
    monkeypatch.setattr("p2o.policy.rows.has_gradient", lambda rollout, advantage, counted, loss: counted)
    everything = updated(random_model, name, budget=100_000)
    for key, value in everything.items():
        torch.testing.assert_close(skipped[key], value, atol=2e-5, rtol=1e-4)


def test_a_rewarded_response_becomes_more_likely_on_the_plain_prompt(random_model: Any) -> None:
    group = make_group("a", [0, 1], 10)  # the rewarded rollout is the templated one
    policy = TorchPolicy(
        random_model,
        OptimizerConfig(learning_rate=1e-3),
        LossConfig(),
        pad_id=0,
        temperature=1.0,
        planned_steps=1,
    )
    plain = list(group.rollouts[0].prompt_ids)
    rows, counts = prepared(policy, [group], context="none")
    before = [logp.sum() for logp in policy.score([(plain, r.response_ids) for r in group.rollouts])]
    with torch.no_grad():  # as a reward function may leave it
        policy.update(rows, counts)
    after = [logp.sum() for logp in policy.score([(plain, r.response_ids) for r in group.rollouts])]
    assert after[1] > before[1]
    assert after[0] < before[0]


def test_a_loss_from_outside_the_package_trains(random_model: Any) -> None:
    """It is found by its import path, given the streams of each micro-batch, and its metrics are reported."""
    policy = TorchPolicy(
        random_model,
        OptimizerConfig(learning_rate=1e-2, micro_batch_tokens=1),
        LossConfig(name=f"{__name__}:negative"),
        pad_id=0,
        temperature=1.0,
        planned_steps=1,
    )
    rows, counts = prepared(policy)
    found = [policy.update(rows, counts) for _ in range(3)]
    assert found[2]["policy_loss"] < found[0]["policy_loss"]
    rewarded = [3 + 2 * i for group in GROUPS[::2] for i, one in enumerate(group.rollouts) if one.reward > 0]
    assert [metrics["chosen"] for metrics in found] == [sum(rewarded)] * 3


def test_a_step_is_adamw_on_the_clipped_gradient(random_model: Any) -> None:
    """The first step on a gradient of 1 everywhere, worked by hand: decay, then the rate along the sign."""
    settings = {"learning_rate": 1.0, "weight_decay": 0.1, "max_grad_norm": 0.5}
    policy = TorchPolicy(
        random_model, OptimizerConfig(**settings), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )
    before = {name: p.detach().clone() for name, p in random_model.named_parameters()}
    policy._backward(sum(parameter.sum() for parameter in random_model.parameters()))
    norm = policy._step(1e-3)
    assert norm == pytest.approx(np.sqrt(sum(p.numel() for p in before.values())), rel=1e-5)
    clipped = 0.5 / norm
    for name, parameter in random_model.named_parameters():
        torch.testing.assert_close(
            parameter.detach(), before[name] * (1 - 1e-3 * 0.1) - 1e-3, atol=1e-6, rtol=0
        )
        moments = policy.optimizer.state[parameter]
        torch.testing.assert_close(moments["exp_avg"], torch.full_like(parameter, 0.1 * clipped))
        torch.testing.assert_close(moments["exp_avg_sq"], torch.full_like(parameter, 0.001 * clipped**2))
    assert all(parameter.grad is None for parameter in random_model.parameters())


def test_a_gradient_that_is_not_finite_is_not_applied(random_model: Any) -> None:
    policy = TorchPolicy(
        random_model, OptimizerConfig(), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )
    before = [parameter.detach().clone() for parameter in random_model.parameters()]
    policy._backward(np.inf * sum(parameter.sum() for parameter in random_model.parameters()))
    assert not np.isfinite(policy._step(1e-3))
    pairs = zip(random_model.parameters(), before, strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert not policy.optimizer.state, "the moments have not seen it either"
    assert all(parameter.grad is None for parameter in random_model.parameters())


def test_gradients_of_micro_batches_add_up_on_bfloat16_weights(random_model: Any) -> None:
    policy = TorchPolicy(
        random_model.bfloat16(), OptimizerConfig(), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )
    for share in (1.0, 2.0):
        policy._backward(share * sum(parameter.sum() for parameter in random_model.parameters()))
    assert all((master.grad == 3.0).all() for master in policy.master.values())
    assert all(master.grad.dtype == torch.float32 for master in policy.master.values())


def test_an_update_takes_the_rate_of_its_step_and_reports_the_whole_batch(random_model: Any) -> None:
    """Metrics are sums over the micro-batches; a step without rows moves nothing and counts for the schedule."""
    found: dict[int, list[dict[str, float]]] = {}
    for budget in (1, 100_000):
        policy = TorchPolicy(
            copy.deepcopy(random_model),
            OptimizerConfig(learning_rate=4e-3, warmup_steps=3, micro_batch_tokens=budget),
            LossConfig(),
            pad_id=0,
            temperature=1.0,
            planned_steps=9,
        )
        rows, counts = prepared(policy)
        found[budget] = [policy.update(rows, counts)]
        weights = [p.detach().clone() for p in policy.model.parameters()]
        found[budget].append(policy.update(prepared(policy, [])[0], counts))
        pairs = zip(policy.model.parameters(), weights, strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
        found[budget].append(policy.update(rows, counts))
        assert [metrics["learning_rate"] for metrics in found[budget]] == pytest.approx([1e-3, 2e-3, 3e-3])
        assert [metrics["grad_norm"] > 0 for metrics in found[budget]] == [True, False, True]
    for split, whole in zip(*found.values(), strict=True):
        assert split == pytest.approx(whole, rel=1e-3, abs=1e-6)
    assert abs(found[1][2]["policy_loss"]) > 1e-3


def test_the_learning_rate_warms_up_and_decays() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=3, schedule="linear")
    factors = [learning_rate(config, step, 7) for step in range(8)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0])
    # Steps beside the plan: the warm-up goes by those that were made, what follows by those that are over.
    assert [learning_rate(config, 2, 7, over) for over in (0, 9)] == [0.75, 0.75]
    assert [learning_rate(config, 9, 7, over) for over in (1, 3, 5, 7)] == [1.0, 1.0, 0.5, 0.0]
    for schedule in (
        "linear",
        "cosine",
    ):  # beyond the plan it stays at the end: neither negative nor up again
        beyond = learning_rate(OptimizerConfig(learning_rate=1.0, schedule=schedule), 12, 7)
        assert beyond == pytest.approx(0.0, abs=1e-12)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_weights(random_model: Any) -> None:
    policy = TorchPolicy(
        random_model, OptimizerConfig(), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )
    rows, counts = prepared(policy)
    rows.streams["context_weight"][: rows.response_lengths[0]] = np.inf
    before = {name: p.detach().clone() for name, p in random_model.named_parameters()}
    with pytest.raises(TrainingError, match=r"not finite.*learning_rate"):
        policy.update(rows, counts)
    for name, parameter in random_model.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)


def test_the_optimizer_state_survives_saving(random_model: Any, tokenizer: Any, tmp_path: Any) -> None:
    def step(policy: TorchPolicy) -> None:
        policy.update(*prepared(policy))

    def make(model: Any) -> TorchPolicy:
        return TorchPolicy(
            model,
            OptimizerConfig(learning_rate=1e-2),
            LossConfig(),
            pad_id=0,
            temperature=1.0,
            planned_steps=9,
        )

    unbroken = make(random_model)
    step(unbroken)
    unbroken.save(tmp_path, tokenizer)
    resumed = make(copy.deepcopy(random_model))
    resumed.load(tmp_path)
    step(unbroken)
    step(resumed)
    assert resumed.steps == unbroken.steps == 2
    pairs = zip(unbroken.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
