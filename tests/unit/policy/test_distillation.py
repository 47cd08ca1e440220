"""On-policy context distillation: its advantages against the divergence over the whole vocabulary, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_rows import PLAIN_PROMPT, TEMPLATED_PROMPT, group, prepared, rollout

from p2o.errors import ConfigError, InputError
from p2o.packing import fill, pack
from p2o.policy.config import LossConfig
from p2o.policy.context import Distillation, ReverseKLConfig
from p2o.policy.distillation import DISTILLATIONS, ReverseKLStatistics, reverse_kl_advantages
from p2o.policy.rows import teaches
from p2o.policy.streams import TokenStreams
from p2o.templates import PLAIN, make_template
from p2o.types import Rollout

Z = make_template("z")
NO_CLIP = ReverseKLConfig(clip=1e9)


def test_advantages_by_hand() -> None:
    """The teacher says a token twice as often, a hundredth as often, as often."""
    plain, teacher = np.log([0.25, 0.5, 0.5]), np.log([0.5, 0.005, 0.5])
    found = reverse_kl_advantages(plain, teacher, ReverseKLConfig(weight=0.5, clip=2.0))
    np.testing.assert_allclose(found, [0.5 * np.log(2), -0.5 * 2.0, 0.0], rtol=1e-6)
    assert found.dtype == np.float32
    assert np.isfinite(reverse_kl_advantages([-1.0], [-np.inf], ReverseKLConfig())).all()
    with pytest.raises(InputError, match="teacher"):
        reverse_kl_advantages([-1.0, -1.0], [-1.0], NO_CLIP)


def test_the_expected_update_descends_the_divergence_over_the_whole_vocabulary() -> None:
    """A policy of a table: 3 tokens, 2 places, the second depends on the first. All 9 sequences, each by its chance,
    against the gradient of the sum over places of KL(policy || teacher), each place reached as by the old policy."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(3, generator=generator, dtype=torch.float64, requires_grad=True)
    second = torch.randn(3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher_first = torch.randn(3, generator=generator, dtype=torch.float64).log_softmax(-1)
    teacher_second = torch.randn(3, 3, generator=generator, dtype=torch.float64).log_softmax(-1)

    p, q = first.log_softmax(-1), second.log_softmax(-1)
    reached = p.exp().detach()
    divergence = (p.exp() * (p - teacher_first)).sum()
    divergence = divergence + (reached[:, None] * q.exp() * (q - teacher_second)).sum()
    wanted = torch.autograd.grad(-divergence, [first, second])

    p, q = first.log_softmax(-1), second.log_softmax(-1)
    objective = torch.zeros((), dtype=torch.float64)
    for a, b in product(range(3), repeat=2):
        plain = torch.stack([p[a], q[a, b]])
        teacher = torch.stack([teacher_first[a], teacher_second[a, b]])
        advantages = reverse_kl_advantages(plain.detach().numpy(), teacher.numpy(), NO_CLIP)
        chance = plain.sum().exp().detach()
        objective = objective + chance * (plain * torch.from_numpy(advantages.astype(np.float64))).sum()
    for found, expected in zip(torch.autograd.grad(objective, [first, second]), wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def taught(reward: float, **more: Any) -> Rollout:
    return replace(rollout(reward, **more), teacher_ids=TEMPLATED_PROMPT)


class ByPlace:
    """Scores of three tokens: on the plain prompt 1/2 each; under the template 1/2, 1/4 and 1/1000."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, ...]]] = []

    def __call__(self, sequences: Any) -> list[np.ndarray]:
        self.calls.append([tuple(prompt) for prompt, _ in sequences])
        scores = {PLAIN_PROMPT: [0.5, 0.5, 0.5], TEMPLATED_PROMPT: [0.5, 0.25, 0.001]}
        return [np.log(np.float32(scores[tuple(prompt)])) for prompt, _ in sequences]


def token_advantages(rows: Any) -> list[list[float]]:
    """As the loss sees them, by row."""
    (batch,) = fill(pack(rows.lengths, 1000), rows)
    streams = TokenStreams.from_micro_batch(batch, torch.zeros(int((batch.labels >= 0).sum())))
    found: list[list[float]] = [[] for _ in batch.rows]
    for value, sequence in zip(streams.advantage.tolist(), streams.sequence_id.tolist(), strict=True):
        found[batch.rows.tolist()[sequence]].append(value)
    return found


def settings(**reverse_kl: float) -> dict[str, Any]:
    return {
        "context": {"distillation": "reverse_kl", "reverse_kl": reverse_kl},
        "guidance": {"train_on_evaluations": False},
        "loss": {"advantage": "dr_grpo"},
    }


def test_a_failed_group_learns_from_its_teacher_alone() -> None:
    """Nobody solved it. Of two rollouts one has a teacher: 0, -log 2 and -log 500, clipped to 2 nats."""
    score = ByPlace()
    found, counts, metrics = prepared(
        [group(taught(0, response=(5, 6, 7)), rollout(0, response=(5, 6, 7)))], score, **settings()
    )
    assert counts.sequences == 2, "the other one counts in the denominator"
    assert score.calls == [[PLAIN_PROMPT], [], [TEMPLATED_PROMPT]]
    assert token_advantages(found) == [pytest.approx([0.0, -np.log(2), -2.0])]
    assert metrics["reverse_kl/mean"] == pytest.approx((np.log(2) + np.log(500)) / 3)
    assert metrics["reverse_kl/clipped"] == pytest.approx(1 / 3)
    assert not any(name.startswith("context_") for name in metrics), "it was drawn on the plain prompt"


@pytest.mark.parametrize(("reward_weight", "first"), [(1.0, 0.5), (0.5, 0.25), (0.0, 0.0)])
def test_the_teacher_stands_beside_the_reward(reward_weight: float, first: float) -> None:
    """Rewards 1 and 0 are advantages of 1/2 and -1/2, weighed where there is a teacher."""
    rollouts = [taught(1, response=(5, 6, 7)), rollout(0, response=(5, 6, 7))]
    rows, _, _ = prepared([group(*rollouts)], ByPlace(), **settings(weight=0.1, reward_weight=reward_weight))
    with_teacher, without = token_advantages(rows)
    assert with_teacher == pytest.approx([first, first - 0.1 * np.log(2), first - 0.1 * 2.0])
    assert without == pytest.approx([-0.5] * 3)


def test_a_group_that_has_a_teacher_is_not_dropped() -> None:
    loss = LossConfig(zero_variance="drop")
    assert teaches(group(taught(0), rollout(0)), loss, 16)
    assert not teaches(group(rollout(0), rollout(0)), loss, 16)
    rows, _, _ = prepared([group(taught(0), rollout(0))], **settings() | {"loss": {"zero_variance": "drop"}})
    assert len(rows.lengths) == 1


def test_each_value_says_under_what_rollouts_are_drawn_and_learnt() -> None:
    assert set(DISTILLATIONS) == set(get_args(Distillation))
    under: dict[str, Sequence[Any]] = {
        "rollouts": ((Z, PLAIN), PLAIN_PROMPT),
        "none": ((Z, PLAIN), TEMPLATED_PROMPT),
        "reverse_kl": ((PLAIN, Z), PLAIN_PROMPT),
    }
    for name, (drawn, prompt) in under.items():
        guided = DISTILLATIONS[name]  # type: ignore[index]
        assert guided.drawn(Z) == drawn
        assert guided.drawn(PLAIN) == (PLAIN, PLAIN)
        assert guided.prompt(rollout(1, template="z"), PLAIN_PROMPT) == prompt


def test_statistics_add_up() -> None:
    one = ReverseKLStatistics.of([-1.0, -1.0], [-2.0, -4.0], clip=2.0)
    assert one == ReverseKLStatistics(2, 4.0, 1)
    assert (one + one).metrics() == {"reverse_kl/mean": 2.0, "reverse_kl/clipped": 0.5}
    assert ReverseKLStatistics().metrics() == {}


def test_rollouts_under_templates_are_not_trained_on_beside_it() -> None:
    with pytest.raises(ConfigError, match=r"guidance\.train_on_evaluations"):
        prepared([], context={"distillation": "reverse_kl"})
    with pytest.raises(ValidationError):
        ReverseKLConfig(clip=0.0)
