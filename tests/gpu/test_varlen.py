"""Packed rows through variable-length flash attention on a GPU, beside one sequence at a time."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from p2o.packing import Packing, Rows, fill
from p2o.policy.attention import VARLEN_ATTENTION, supports_varlen
from p2o.policy.backends import make_policy
from p2o.policy.config import LossConfig
from p2o.policy.layout import LogprobModel, make_layout
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.streams import GlobalCounts
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams

pytestmark = pytest.mark.gpu

VOCABULARY = 512


def make_model(
    dtype: torch.dtype = torch.bfloat16, key_value_heads: int = 2, window: int | None = None
) -> Any:
    """A model of random weights with grouped heads of size 64."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=key_value_heads,
        max_position_embeddings=2048,
        sliding_window=window,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.05,
    )
    # As models are loaded: weights of the type, the rotary table in float32.
    model = MistralForCausalLM(config).to("cuda").eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def make_pairs(count: int = 24, longest: int = 300) -> list[tuple[list[int], list[int]]]:
    random = np.random.default_rng(0)
    return [
        (
            random.integers(3, VOCABULARY, random.integers(2, 60)).tolist(),
            random.integers(3, VOCABULARY, random.integers(1, longest)).tolist(),
        )
        for _ in range(count)
    ]


def logprobs(model: Any, layout: str, pairs: Any) -> torch.Tensor:
    rows = Rows.of(*zip(*pairs, strict=True))
    batch = fill(Packing.of([[range(len(pairs))]]), rows)[0]
    inputs = make_layout(layout, model, pad_id=2, token_budget=10**6).inputs(batch, "cuda")  # type: ignore[arg-type]
    result: torch.Tensor = LogprobModel(model, 1.0)(**inputs, chunks=4)
    return result


def one_by_one(model: Any, pairs: Any) -> torch.Tensor:
    return torch.cat([logprobs(model, "padded", [pair]) for pair in pairs])


@pytest.mark.parametrize("key_value_heads", [2, 8])
@pytest.mark.parametrize("window", [None, 64])
def test_packed_log_probs_are_those_of_single_sequences(key_value_heads: int, window: int | None) -> None:
    """As near to float32 as sdpa's own bfloat16 is, one sequence at a time."""
    model = make_model(key_value_heads=key_value_heads, window=window)
    plain, pairs = copy.deepcopy(model), make_pairs()
    exact = copy.deepcopy(model).float()
    assert supports_varlen(model)
    with torch.no_grad():
        packed = logprobs(model, "packed", pairs)
        assert model.config._attn_implementation == VARLEN_ATTENTION
        single, truth = one_by_one(plain, pairs), one_by_one(exact, pairs)
    ours, theirs = (packed - truth).abs(), (single - truth).abs()
    print(f"mean / largest gap to float32: varlen {ours.mean():.2g} / {ours.max():.2g}, ", end="")
    print(f"sdpa {theirs.mean():.2g} / {theirs.max():.2g}")
    assert ours.mean() < 1.5 * theirs.mean()
    assert ours.max() < 2.5 * theirs.max()


def test_packed_gradients_are_those_of_single_sequences() -> None:
    model, pairs = make_model(), make_pairs()

    def gradient(module: Any, compute: Any) -> torch.Tensor:
        compute(module).mean().backward()
        return torch.cat([p.grad.float().flatten() for p in module.parameters()])

    exact = gradient(copy.deepcopy(model).float(), lambda m: one_by_one(m, pairs))
    single = gradient(copy.deepcopy(model), lambda m: one_by_one(m, pairs))
    packed = gradient(model, lambda m: logprobs(m, "packed", pairs))
    ours, theirs = ((g - exact).norm() / exact.norm() for g in (packed, single))
    print(f"relative error of the gradient: varlen packed {ours:.2g}, sdpa one by one {theirs:.2g}")
    assert ours < 1.5 * theirs


def test_changing_one_sequence_never_changes_another() -> None:
    model, pairs = make_model(), make_pairs(6)
    changed = [*pairs]
    changed[2] = ([3 + t % 500 for t in pairs[2][0]], [3 + (t + 7) % 500 for t in pairs[2][1]])
    ends = np.cumsum([len(response) for _, response in pairs]).tolist()
    with torch.no_grad():
        before, after = (logprobs(model, "packed", rows).tensor_split(ends[:-1]) for rows in (pairs, changed))
    assert (before[2] - after[2]).abs().max() > 0.1
    for row in (0, 1, 3, 4, 5):
        torch.testing.assert_close(before[row], after[row], atol=0, rtol=0)


def test_the_square_of_the_tokens_is_never_held() -> None:
    """32,768 tokens in one row: a mask of all by all alone would take 1 GiB."""
    model = make_model()
    pairs = make_pairs(200)
    while sum(len(p) + len(r) for p, r in pairs) < 32_768:
        pairs += pairs
    torch.cuda.reset_peak_memory_stats()
    start = torch.cuda.memory_allocated()
    with torch.no_grad():
        logprobs(model, "packed", pairs)
    assert torch.cuda.max_memory_allocated() - start < 2**30


def test_a_sampler_draws_from_a_packed_policy_s_model() -> None:
    """One model for both: passes without bounds go through sdpa, cache and masks included."""
    model = make_model()
    plain = copy.deepcopy(model)
    make_layout("packed", model, pad_id=2, token_budget=100)
    assert model.config._attn_implementation == VARLEN_ATTENTION
    requests = [SampleRequest(tuple(range(3, 3 + length)), length) for length in (4, 9, 17)]
    ours, theirs = (
        HfSampler(m, end_ids=[1], pad_id=2).sample(requests, SamplingParams(max_tokens=12))
        for m in (model, plain)
    )
    assert [s.response_ids for s in ours] == [s.response_ids for s in theirs]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_float32_falls_back_and_bfloat16_trains(checkpointing: bool) -> None:
    assert not supports_varlen(make_model(torch.float32))
    pairs = make_pairs(8)
    tokens = sum(len(response) for _, response in pairs)
    ones = np.ones(tokens, np.float32)
    rows = Rows.of(
        *zip(*pairs, strict=True),
        advantages=np.ones(len(pairs)),
        streams={"old_logp": -6 * ones, "context_weight": ones, "engine_weight": ones},
    )
    counts = GlobalCounts(tokens=float(tokens), sequences=8.0, max_tokens=300)
    losses = {}
    for layout in ("packed", "padded"):
        policy = make_policy(
            make_model(),
            OptimizerConfig(
                layout=layout,  # type: ignore[arg-type]
                learning_rate=1e-4,
                micro_batch_tokens=1000,
                gradient_checkpointing=checkpointing,
            ),
            LossConfig(clip=(1.0, 1e6)),
            pad_id=2,
            temperature=1.0,
            planned_steps=3,
        )
        losses[layout] = [policy.update(rows, counts)["policy_loss"] for _ in range(3)]
    assert losses["packed"] == pytest.approx(losses["padded"], rel=0.05)
    assert losses["packed"][2] < losses["packed"][0]  # likelier responses of advantage 1
