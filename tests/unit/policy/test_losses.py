import dataclasses
import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from p2o.errors import InputError
from p2o.policy.config import LossConfig, LossName
from p2o.policy.losses import LOSSES
from p2o.policy.streams import GlobalCounts, TokenStreams

NAMES = sorted(LOSSES)
MAX_TOKENS = 8


def make_streams(rows=4, tokens=6, seed=0, zero_weights=True):
    """Random float64 streams with ragged masks, off-policy ratios and weights other than 1."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, tokens + 1, rows)
    mask = (np.arange(tokens) < lengths[:, None]).astype(float)
    old = -random.exponential(1.0, (rows, tokens))
    values = {
        "logp": np.minimum(old + random.normal(0, 0.3, old.shape), 0),
        "old_logp": old,
        "advantage": np.repeat(random.normal(size=(rows, 1)), tokens, axis=1),
        "context_weight": random.choice([0.0, 1.0, 2.5] if zero_weights else [1.0], old.shape),
        "engine_weight": random.uniform(0.5, 1.5, old.shape) if zero_weights else np.ones_like(old),
        "loss_mask": mask,
        "ref_logp": old - 0.1,
    }
    return padded(**{name: torch.tensor(value) for name, value in values.items()})


def padded(**tensors):
    """Streams of shape [sequences, tokens]: a row is a sequence."""
    rows, tokens = tensors["logp"].shape
    return TokenStreams(
        **tensors, sequence_id=torch.arange(rows)[:, None].expand(rows, tokens), sequence_count=rows
    )


def tensors_of(streams):
    """The floating-point streams by name."""
    found = {field.name: getattr(streams, field.name) for field in dataclasses.fields(streams)}
    return {name: v for name, v in found.items() if isinstance(v, torch.Tensor) and v.is_floating_point()}


def rows_of(streams, rows):
    return padded(**{name: tensor[rows] for name, tensor in tensors_of(streams).items()})


def with_grad(streams):
    return dataclasses.replace(streams, logp=streams.logp.detach().clone().requires_grad_())


def loss_and_grad(name, streams, counts, **config):
    streams = with_grad(streams)
    output = LOSSES[name](streams, counts, LossConfig(name=name, **config))
    output.loss.backward()
    return output.loss.item(), streams.logp.grad


def counts_of(streams):
    """Tokens of the loss mask, and sequences that have one."""
    inside = streams.loss_mask > 0
    sequences = streams.sequence_id[inside].unique().numel()
    return GlobalCounts(float(inside.sum()), float(sequences), max_tokens=MAX_TOKENS)


CLIPS = {"gspo": (3e-4, 4e-4), "cispo": (1.0, 4.0)}
"""Bounds that are the default with these losses; with the others they are 0.2 both."""


def reference(name, s, clip=None, kl_coef=0.0, dual_clip=math.inf):
    """The losses written out, one token after the other."""
    clip = clip or CLIPS.get(name, (0.2, 0.2))
    total, tokens, sequences = 0.0, 0, 0
    per_sequence = []
    for row in range(s.logp.shape[0]):
        span = [t for t in range(s.logp.shape[1]) if s.loss_mask[row, t] > 0]
        log_ratios = [float(s.logp[row, t] - s.old_logp[row, t]) for t in span]
        sequence_ratio = math.exp(sum(log_ratios) / len(log_ratios)) if span else 1.0
        terms = []
        for t, log_ratio in zip(span, log_ratios, strict=True):
            advantage = float(s.advantage[row, t])
            ratio = sequence_ratio if name == "gspo" else math.exp(log_ratio)
            clipped = min(max(ratio, 1 - clip[0]), 1 + clip[1])
            if name == "cispo":
                objective = clipped * advantage * float(s.logp[row, t])
            else:
                objective = min(ratio * advantage, clipped * advantage)
                if advantage < 0:
                    objective = max(objective, dual_clip * advantage)
            gap = float(s.ref_logp[row, t] - s.logp[row, t])
            kl = math.exp(gap) - gap - 1
            weight = float(s.context_weight[row, t] * s.engine_weight[row, t])
            terms.append(weight * (kl_coef * kl - objective))
        counted = len(span)
        total += sum(terms)
        tokens += counted
        sequences += counted > 0
        per_sequence.append(sum(terms) / max(counted, 1))
    if name in ("grpo", "gspo"):
        return sum(per_sequence) / max(sequences, 1)
    if name == "dr_grpo":
        return total / (max(sequences, 1) * MAX_TOKENS)
    return total / max(tokens, 1)


@pytest.mark.parametrize("extra", [{}, {"kl_coef": 0.3, "clip": (0.1, 0.28)}])
@pytest.mark.parametrize("name", NAMES)
def test_value_against_a_token_by_token_reference(name, extra):
    for seed in range(5):
        streams = make_streams(seed=seed)
        value, _ = loss_and_grad(name, streams, counts_of(streams), **extra)
        assert value == pytest.approx(reference(name, streams, **extra), rel=1e-9)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"cispo"}))
def test_the_dual_clip_bounds_what_a_token_of_negative_advantage_costs(name):
    """Against the reference; tokens that it binds have no gradient, and the others keep theirs."""
    streams = make_streams(rows=8, zero_weights=False)
    counts = counts_of(streams)
    value, grad = loss_and_grad(name, streams, counts, dual_clip=1.1)
    assert value == pytest.approx(reference(name, streams, dual_clip=1.1), rel=1e-9)
    free, free_grad = loss_and_grad(name, streams, counts)
    assert value < free
    assert ((grad == free_grad) | (grad == 0)).all()
    assert ((grad == 0) & (free_grad != 0)).sum() > 0


def test_the_dual_clip_is_refused_where_nothing_is_clipped():
    with pytest.raises(ValidationError, match="dual_clip = 3 bounds a clipped surrogate"):
        LossConfig(name="cispo", dual_clip=3.0)


def test_dapo_worked_by_hand():
    # Ratios 1.5 and 0.5, advantage 1: the first is clipped at 1.2, the second is not (0.8 is more).
    # Second row: ratio 0.5, advantage -1 clipped at 0.8. Loss -(1.2 + 0.5 - 0.8) / 3 = -0.3.
    streams = padded(
        logp=torch.log(torch.tensor([[0.6, 0.2], [0.2, 0.9]])),
        old_logp=torch.log(torch.tensor([[0.4, 0.4], [0.4, 0.1]])),
        advantage=torch.tensor([[1.0, 1.0], [-1.0, -1.0]]),
        context_weight=torch.ones(2, 2),
        engine_weight=torch.ones(2, 2),
        loss_mask=torch.tensor([[1.0, 1.0], [1.0, 0.0]]),
    )
    output = LOSSES["dapo"](streams, counts_of(streams), LossConfig())
    assert output.loss.item() == pytest.approx(-0.3, rel=1e-6)
    assert output.metrics["clip_ratio/high_mean"].item() == pytest.approx(1 / 3)
    assert output.metrics["clip_ratio/low_mean"].item() == pytest.approx(1 / 3)
    # grpo: means -(1.2 + 0.5) / 2 = -0.85 and 0.8, halved.
    assert LOSSES["grpo"](streams, counts_of(streams), LossConfig(name="grpo")).loss.item() == pytest.approx(
        -0.025
    )
    # dr_grpo: -0.9 / (2 sequences x 8).
    assert LOSSES["dr_grpo"](
        streams, counts_of(streams), LossConfig(name="dr_grpo")
    ).loss.item() == pytest.approx(-0.9 / 16)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 6), max_size=4))
def test_micro_batches_add_up_to_the_whole_batch(name, seed, cuts):
    streams = make_streams(rows=6, seed=seed)
    edges = [0, *sorted(cuts), 6]
    parts = [rows_of(streams, slice(a, b)) for a, b in pairwise(edges)]
    counts = counts_of(streams)
    config = {"kl_coef": 0.1}
    whole, whole_grad = loss_and_grad(name, streams, counts, **config)
    outputs = [loss_and_grad(name, part, counts, **config) for part in parts]
    assert sum(value for value, _ in outputs) == pytest.approx(whole, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(torch.cat([grad for _, grad in outputs]), whole_grad)
    metrics_whole = LOSSES[name](streams, counts, LossConfig(name=name)).metrics
    metrics_parts = [LOSSES[name](part, counts, LossConfig(name=name)).metrics for part in parts]
    for key, value in metrics_whole.items():
        torch.testing.assert_close(sum(part[key] for part in metrics_parts), value)


@pytest.mark.parametrize("name", NAMES)
def test_packed_layout_equals_padded_layout(name):
    streams = make_streams(rows=4, seed=5)
    counts = counts_of(streams)
    expected, padded_grad = loss_and_grad(name, streams, counts, kl_coef=0.1)
    keep = streams.loss_mask > 0
    order = torch.tensor([2, 0, 3, 1])  # packed in another order than the rows
    tensors = {
        name: torch.cat([value[row][keep[row]] for row in order])
        for name, value in tensors_of(streams).items()
    }
    lengths = torch.tensor([int(keep[row].sum()) for row in order])
    packed = TokenStreams(
        **tensors, sequence_id=torch.repeat_interleave(torch.arange(4), lengths), sequence_count=4
    )
    assert counts_of(packed) == counts
    value, grad = loss_and_grad(name, packed, counts, kl_coef=0.1)
    assert value == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(grad, torch.cat([padded_grad[row][keep[row]] for row in order]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", ["context_weight", "engine_weight"])
def test_every_loss_honours_the_weights(name, stream):
    streams = make_streams(zero_weights=False, seed=1)
    counts = counts_of(streams)
    _, plain = loss_and_grad(name, streams, counts)
    assert (plain[:2, 0] != 0).all()
    weights = torch.ones_like(streams.logp)
    weights[0, 0], weights[1, 0] = 0.0, 3.0
    _, weighted = loss_and_grad(name, dataclasses.replace(streams, **{stream: weights}), counts)
    expected = plain.clone()
    expected[0, 0], expected[1, 0] = 0.0, 3 * plain[1, 0]
    torch.testing.assert_close(weighted, expected)


def test_tokens_of_weight_0_stay_in_the_denominator():
    streams = make_streams(rows=2, tokens=4, zero_weights=False, seed=2)
    streams = dataclasses.replace(streams, loss_mask=torch.ones_like(streams.logp))
    half = torch.ones_like(streams.logp)
    half[:, ::2] = 0.0
    whole, _ = loss_and_grad("dapo", streams, counts_of(streams))
    other = dataclasses.replace(streams, context_weight=1.0 - half)
    kept, _ = loss_and_grad("dapo", dataclasses.replace(streams, context_weight=half), counts_of(streams))
    left, _ = loss_and_grad("dapo", other, counts_of(streams))
    assert kept + left == pytest.approx(whole), "two halves of one mean"


def test_gspo_is_the_published_objective_when_weights_are_one():
    streams = make_streams(zero_weights=False, seed=1)
    value, grad = loss_and_grad("gspo", streams, counts_of(streams))
    logp = streams.logp.clone().requires_grad_()
    mask = streams.loss_mask
    ratio = torch.exp(((logp - streams.old_logp) * mask).sum(1) / mask.sum(1))
    advantage = streams.advantage[:, 0]
    objective = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
    objective.backward()
    assert value == pytest.approx(objective.item(), rel=1e-9)
    torch.testing.assert_close(grad, logp.grad)


def test_gspo_ratio_is_over_all_tokens_and_weights_multiply_terms():
    # One sequence, log-ratios 0.1 and 0.3, advantage 1, weights 1 and 0: s = e^0.2 over both, not e^0.1;
    # the loss is -(1 s + 0 s) / 2, and only the first token has a gradient: -s / 2.
    streams = padded(
        logp=torch.tensor([[-0.9, -0.7]], dtype=torch.float64),
        old_logp=torch.full((1, 2), -1.0, dtype=torch.float64),
        advantage=torch.ones(1, 2, dtype=torch.float64),
        context_weight=torch.tensor([[1.0, 0.0]], dtype=torch.float64),
        engine_weight=torch.ones(1, 2, dtype=torch.float64),
        loss_mask=torch.ones(1, 2, dtype=torch.float64),
    )
    value, grad = loss_and_grad("gspo", streams, counts_of(streams), clip=(0.2, 0.5))
    assert value == pytest.approx(-math.exp(0.2) / 2)
    torch.testing.assert_close(grad, torch.tensor([[-math.exp(0.2) / 2, 0.0]], dtype=torch.float64))


def test_cispo_clips_around_one_and_keeps_every_gradient():
    # Ratios 2, 1, 0.5 at advantage 1: weights 1.2, 1, 0.8, never the bound 0.2 itself.
    streams = padded(
        logp=torch.log(torch.tensor([[0.4, 0.2, 0.1]], dtype=torch.float64)),
        old_logp=torch.full((1, 3), math.log(0.2), dtype=torch.float64),
        advantage=torch.ones(1, 3, dtype=torch.float64),
        context_weight=torch.ones(1, 3, dtype=torch.float64),
        engine_weight=torch.ones(1, 3, dtype=torch.float64),
        loss_mask=torch.ones(1, 3, dtype=torch.float64),
    )
    _, grad = loss_and_grad("cispo", streams, counts_of(streams), clip=(0.2, 0.2))
    torch.testing.assert_close(grad * -3, torch.tensor([[1.2, 1.0, 0.8]], dtype=torch.float64))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gspo", "cispo")])
def test_gradient_is_policy_gradient_on_policy(name):
    # At ratio 1 the gradient of each token's loss is -w·A over the denominator.
    streams = make_streams(seed=4)
    streams = dataclasses.replace(streams, old_logp=streams.logp)
    counts = counts_of(streams)
    _, grad = loss_and_grad(name, streams, counts)
    denominator = {
        "dapo": counts.tokens,
        "dr_grpo": counts.sequences * MAX_TOKENS,
        "grpo": counts.sequences * streams.loss_mask.sum(1, keepdim=True),
    }[name]
    weight = streams.loss_mask * streams.context_weight * streams.engine_weight
    torch.testing.assert_close(grad, -weight * streams.advantage / denominator)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gspo", "cispo")])
def test_gradient_against_finite_differences(name):
    streams = make_streams(rows=2, tokens=3, seed=7)
    counts = counts_of(streams)
    config = LossConfig(name=name, kl_coef=0.2)

    def value(logp):
        return LOSSES[name](dataclasses.replace(streams, logp=logp), counts, config).loss

    assert torch.autograd.gradcheck(value, (streams.logp.clone().requires_grad_(),))


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_outside_the_mask_does_not_matter(name):
    streams = make_streams(seed=6)
    outside = streams.loss_mask == 0
    assert outside.any()
    counts = counts_of(streams)
    expected, expected_grad = loss_and_grad(name, streams, counts, kl_coef=0.1)
    garbage = {
        field: torch.where(outside, value, getattr(streams, field))
        for field, value in [
            ("old_logp", torch.tensor(float("nan"), dtype=torch.float64)),
            ("advantage", torch.tensor(float("inf"), dtype=torch.float64)),
            ("context_weight", torch.tensor(float("nan"), dtype=torch.float64)),
            ("ref_logp", torch.tensor(-float("inf"), dtype=torch.float64)),
            ("logp", torch.tensor(-float("inf"), dtype=torch.float64)),
        ]
    }
    value, grad = loss_and_grad(name, dataclasses.replace(streams, **garbage), counts, kl_coef=0.1)
    assert value == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gap", [500.0, -500.0])
def test_huge_ratios_stay_finite(name, gap):
    streams = make_streams(seed=8)
    streams = dataclasses.replace(streams, old_logp=streams.logp - gap, ref_logp=streams.logp - 2 * gap)
    # float32, as in training: e^500 is a number in float64.
    streams = padded(**{name: tensor.float() for name, tensor in tensors_of(streams).items()})
    value, grad = loss_and_grad(name, streams, counts_of(streams), kl_coef=0.1)
    assert math.isfinite(value)
    assert grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_mask_gives_zero(name):
    streams = make_streams()
    streams = dataclasses.replace(streams, loss_mask=torch.zeros_like(streams.loss_mask))
    value, grad = loss_and_grad(name, streams, counts_of(streams))
    assert value == 0.0
    assert (grad == 0).all()


def test_metrics_worked_by_hand():
    # Ratios above and below the clips at advantages 1 and -1: they bind for (2, 1) and (1/2, -1). The fifth token is
    # masked, the sixth has a ratio of 1. k3 of a ratio r: r - 1 - log r.
    ratios = torch.tensor([[2.0, 0.5, 3.0], [0.5, 2.0, 1.0]], dtype=torch.float64)
    ones = torch.ones_like(ratios)
    streams = padded(
        logp=torch.log(0.1 * ratios),
        old_logp=torch.log(0.1 * ones),
        advantage=torch.tensor([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64),
        context_weight=ones,
        engine_weight=ones,
        loss_mask=torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]], dtype=torch.float64),
    )
    metrics = LOSSES["dapo"](streams, counts_of(streams), LossConfig()).metrics
    assert metrics["clip_ratio/high_mean"].item() == pytest.approx(1 / 5)
    assert metrics["clip_ratio/low_mean"].item() == pytest.approx(1 / 5)
    k3 = (2 - 1 - math.log(2)) + (3 - 1 - math.log(3)) + 2 * (0.5 - 1 - math.log(0.5))
    assert metrics["policy_kl"].item() == pytest.approx(k3 / 5)


def test_kl_metric_and_missing_reference():
    streams = make_streams(rows=1, tokens=2, zero_weights=False)
    streams = dataclasses.replace(
        streams, loss_mask=torch.ones_like(streams.loss_mask), ref_logp=streams.logp - 1.0
    )
    output = LOSSES["dapo"](streams, counts_of(streams), LossConfig())
    assert output.metrics["kl"].item() == pytest.approx(math.exp(-1))  # e^-1 + 1 - 1
    with pytest.raises(InputError, match="ref_logp is missing"):
        LOSSES["dapo"](
            dataclasses.replace(streams, ref_logp=None), counts_of(streams), LossConfig(kl_coef=0.1)
        )


def test_streams_must_be_aligned():
    streams = make_streams()
    with pytest.raises(InputError, match=r"stream old_logp has the shape \(4, 5\) but logp \(4, 6\)"):
        dataclasses.replace(streams, old_logp=streams.old_logp[:, :5])
    with pytest.raises(InputError, match="advantage carries a gradient: detach it"):
        dataclasses.replace(streams, advantage=streams.advantage.clone().requires_grad_())
    with pytest.raises(InputError, match=r"sequence_id has the wrong type torch.float64"):
        dataclasses.replace(streams, sequence_id=streams.loss_mask)
    with pytest.raises(InputError, match=r"loss_mask has the wrong type torch.int64"):
        dataclasses.replace(streams, loss_mask=streams.loss_mask.long())


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "ppo"},
        {"clip": (-0.1, 0.2)},
        {"clip": (1.1, 0.2)},
        {"clip": (0.2, -0.1)},
        {"clip": (0.2,)},
        {"name": "my_losses"},
        {"kl_coef": -1.0},
        {"overlong_buffer": -1},
        {"dual_clip": 0.9},
        {"clip": 0.2},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        LossConfig(**wrong)


def test_dr_grpo_leaves_advantages_undivided_by_default():
    assert LossConfig().advantage == "grpo"
    assert LossConfig(name="dr_grpo").advantage == "dr_grpo"
    assert LossConfig(name="dr_grpo", advantage="max_rl").advantage == "max_rl"


def test_the_bounds_of_the_ratio_go_by_the_loss() -> None:
    assert LossConfig(name="dapo").clip == (0.2, 0.2)
    assert LossConfig(name="gspo").clip == (3e-4, 4e-4)
    assert LossConfig(name="cispo").clip == (1.0, 4.0)
    assert LossConfig(name="gspo", clip=(0.2, 0.2)).clip == (0.2, 0.2)


def test_every_named_loss_is_registered():
    assert set(LOSSES) == set(get_args(LossName))
