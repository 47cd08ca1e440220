"""The policy backend `torch`: padding, micro-batches and skipped rows must not change the update."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from p2o.config import build_config
from p2o.errors import TrainingError
from p2o.policy.config import ContextConfig, CorrectionConfig, LossConfig
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.rows import make_rows, needs_forward, score_rows
from p2o.policy.schedule import learning_rate
from p2o.policy.torch_backend import TorchPolicy
from p2o.train import count
from p2o.types import Group, Problem, Rollout


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


def updated(
    model: Any, loss: LossConfig, *, budget: int, skip: bool, steps: int = 2
) -> dict[str, torch.Tensor]:
    """Parameters after `steps` updates on GROUPS, with or without skipping rows that have no gradient."""
    model = copy.deepcopy(model)
    context = ContextConfig(mode="truncated")
    policy = TorchPolicy(
        model,
        OptimizerConfig(learning_rate=1e-2, micro_batch_tokens=budget),
        loss,
        pad_id=0,
        temperature=1.0,
        planned_steps=10,
    )
    config = build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}})
    for _ in range(steps):
        rows = make_rows(GROUPS, lambda group: group.rollouts[0].prompt_ids, loss, context, max_tokens=16)
        chosen = [row for row in rows if not skip or needs_forward(row, loss, context)]
        scored, _ = score_rows(chosen, policy.score, None, context, CorrectionConfig())
        policy.update(scored, count(rows, scored, config))
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["dapo", "grpo", "dr_grpo", "bnpo", "gspo", "cispo"])
def test_the_split_into_micro_batches_does_not_change_the_update(random_model: Any, name: Any) -> None:
    loss = LossConfig(name=name)
    together = updated(random_model, loss, budget=100_000, skip=False)
    split = updated(random_model, loss, budget=1, skip=False)
    for key, value in together.items():
        torch.testing.assert_close(split[key], value, atol=2e-5, rtol=1e-4)
    moved = max((together[key] - value).abs().max() for key, value in random_model.named_parameters())
    assert moved > 1e-3


@pytest.mark.parametrize("name", ["dapo", "grpo", "dr_grpo", "bnpo", "gspo", "cispo"])
def test_skipping_rows_without_a_gradient_does_not_change_the_update(random_model: Any, name: Any) -> None:
    loss = LossConfig(name=name)
    everything = updated(random_model, loss, budget=100_000, skip=False)
    skipped = updated(random_model, loss, budget=100_000, skip=True)
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
    context = ContextConfig(mode="none")
    plain = list(group.rollouts[0].prompt_ids)
    rows = make_rows([group], lambda _: plain, LossConfig(), context, max_tokens=16)
    before = [logp.sum() for logp in policy.score([(plain, r.response_ids) for r in group.rollouts])]
    scored, _ = score_rows(rows, policy.score, None, context, CorrectionConfig())
    config = build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}})
    policy.update(scored, count(rows, scored, config))
    after = [logp.sum() for logp in policy.score([(plain, r.response_ids) for r in group.rollouts])]
    assert after[1] > before[1]
    assert after[0] < before[0]


def test_a_step_is_adamw_on_the_clipped_gradient(random_model: Any) -> None:
    """The first step on a gradient of 1 everywhere, worked by hand: decay, then the rate along the sign."""
    settings = {"learning_rate": 1.0, "betas": [0.8, 0.9], "weight_decay": 0.1, "max_grad_norm": 0.5}
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
        torch.testing.assert_close(moments["exp_avg"], torch.full_like(parameter, 0.2 * clipped))
        torch.testing.assert_close(moments["exp_avg_sq"], torch.full_like(parameter, 0.1 * clipped**2))
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
    config = build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}})
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
        rows = make_rows(
            GROUPS, lambda g: g.rollouts[0].prompt_ids, LossConfig(), ContextConfig(), max_tokens=16
        )
        scored, _ = score_rows(rows, policy.score, None, ContextConfig(), CorrectionConfig())
        counts = count(rows, scored, config)
        found[budget] = [policy.update(scored, counts)]
        weights = [p.detach().clone() for p in policy.model.parameters()]
        found[budget].append(policy.update([], counts))
        pairs = zip(policy.model.parameters(), weights, strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
        found[budget].append(policy.update(scored, counts))
        assert [metrics["learning_rate"] for metrics in found[budget]] == pytest.approx([1e-3, 2e-3, 3e-3])
        assert [metrics["grad_norm"] > 0 for metrics in found[budget]] == [True, False, True]
    for split, whole in zip(*found.values(), strict=True):
        assert split == pytest.approx(whole, rel=1e-3, abs=1e-6)
    assert abs(found[1][2]["policy_loss"]) > 1e-3


def test_the_learning_rate_warms_up_and_decays() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=3, schedule="linear")
    factors = [learning_rate(config, step, 7) for step in range(8)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0])
    for schedule in (
        "linear",
        "cosine",
    ):  # beyond the plan it stays at the end: neither negative nor up again
        beyond = learning_rate(OptimizerConfig(learning_rate=1.0, schedule=schedule), 12, 7)
        assert beyond == pytest.approx(0.0, abs=1e-12)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_weights(random_model: Any) -> None:
    config = build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}})
    policy = TorchPolicy(
        random_model, OptimizerConfig(), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )
    rows = make_rows(GROUPS, lambda g: g.rollouts[0].prompt_ids, LossConfig(), ContextConfig(), max_tokens=16)
    scored, _ = score_rows(rows, policy.score, None, ContextConfig(), CorrectionConfig())
    scored[0].context_weight_T[:] = np.inf
    before = {name: p.detach().clone() for name, p in random_model.named_parameters()}
    with pytest.raises(TrainingError, match=r"not finite.*learning_rate"):
        policy.update(scored, count(rows, scored, config))
    for name, parameter in random_model.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)


def test_the_optimizer_state_survives_saving(random_model: Any, tokenizer: Any, tmp_path: Any) -> None:
    def step(policy: TorchPolicy) -> None:
        config = build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}})
        rows = make_rows(
            GROUPS, lambda g: g.rollouts[0].prompt_ids, LossConfig(), ContextConfig(), max_tokens=16
        )
        scored, _ = score_rows(rows, policy.score, None, ContextConfig(), CorrectionConfig())
        policy.update(scored, count(rows, scored, config))

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
