"""Gemma 3's architecture: layers with a sliding window beside layers that see everything, a base model's prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from p2o.policy.layout import score_sequences
from p2o.policy.logprobs import check_output_head
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams

ENDS = range(4, 14)
PROMPTS = [(2, 10, 11, 3), (2, *range(20, 34), 3), (2, 3), (2, 40, 41, 42, 43, 44, 45, 46, 3)]


@pytest.fixture(scope="module")
def model() -> Any:
    """Small and random; the window is shorter than the sequences."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        initializer_range=0.1,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return Gemma3ForCausalLM(config).eval()


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_trainer_scores_what_the_sampler_drew(model: Any, layout: Any) -> None:
    """Left padding, the window and its cache in the sampler; right padding or packed rows in the trainer."""
    check_output_head(model)
    sampler = HfSampler(model, end_ids=ENDS, pad_id=0, batch_size=8)
    requests = [SampleRequest(prompt, seed) for prompt in PROMPTS for seed in range(3)]
    samples = sampler.sample(requests, SamplingParams(max_tokens=20))
    assert len({len(sample.response_ids) for sample in samples}) > 2
    sequences = [(r.prompt_ids, s.response_ids) for r, s in zip(requests, samples, strict=True)]
    scored = score_sequences(
        model, sequences, pad_id=0, temperature=1.0, micro_batch_tokens=256, layout=layout
    )
    for sample, logprobs in zip(samples, scored, strict=True):
        np.testing.assert_allclose(sample.logprobs, logprobs, atol=2e-4)


def test_a_batch_gives_what_single_requests_give(model: Any) -> None:
    sampler = HfSampler(model, end_ids=ENDS, pad_id=0, batch_size=8)
    requests = [SampleRequest(prompt, seed) for prompt in PROMPTS for seed in range(2)]
    params = SamplingParams(max_tokens=20)
    alone = [sampler.sample([request], params)[0].response_ids for request in requests]
    assert [sample.response_ids for sample in sampler.sample(requests, params)] == alone
