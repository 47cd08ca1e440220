"""Decoding recorded as CUDA graphs, beside transformers' growing cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from p2o.policy.layout import score_sequences
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams

pytestmark = pytest.mark.gpu

ENDS = tuple(range(4, 24))
SIZES = {
    "vocab_size": 2048,
    "hidden_size": 384,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 1024,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "initializer_range": 0.08,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": 32},
    "Gemma3Text": {
        "query_pre_attn_scalar": 64,
        "initializer_range": 0.02,  # its embeddings are scaled: more, and one token has all the probability
        "sliding_window": 32,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
}


def make_model(name: str, dtype: torch.dtype) -> Any:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**(SIZES | ARCHITECTURES[name]))
    model = getattr(transformers, f"{name.removesuffix('Text')}ForCausalLM")(config).to("cuda").eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def requests() -> list[SampleRequest]:
    prompts = [tuple(range(30, 30 + length)) for length in (3, 60, 9, 40)]
    return [SampleRequest(p, seed=100 * n + k) for n, p in enumerate(prompts) for k in range(24)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_graphs_give_what_the_growing_cache_gives(name: str) -> None:
    """In float32; rows leave and strides are passed, so several graphs are recorded."""
    model = make_model(name, torch.float32)
    params = SamplingParams(max_tokens=150)
    sampler = HfSampler(model, end_ids=ENDS, pad_id=2, batch_size=64)
    found = sampler.sample(requests(), params)
    assert sampler.fixed, "it fell back"
    growing = HfSampler(model, end_ids=ENDS, pad_id=2, batch_size=64, decoding="growing")
    expected = growing.sample(requests(), params)
    same = sum(ours.response_ids == theirs.response_ids for ours, theirs in zip(found, expected, strict=True))
    assert same >= len(found) - 1, "a draw may fall on a rounding"
    for ours, theirs in zip(found, expected, strict=True):
        if ours.response_ids == theirs.response_ids:
            np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=2e-3)
    assert len({len(sample.response_ids) for sample in found}) > 2


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_bfloat16_log_probs_are_the_trainers(name: str) -> None:
    model = make_model(name, torch.bfloat16)
    sampler = HfSampler(model, end_ids=ENDS, pad_id=2)
    asked = requests()
    samples = sampler.sample(asked, SamplingParams(max_tokens=100))
    assert sampler.fixed, "it fell back"
    sequences = [(r.prompt_ids, s.response_ids) for r, s in zip(asked, samples, strict=True)]
    scored = score_sequences(model, sequences, pad_id=2, temperature=1.0, micro_batch_tokens=4000)
    gaps = np.concatenate([np.abs(s.logprobs - t) for s, t in zip(samples, scored, strict=True)])
    print(f"{name}: mean gap {gaps.mean():.3g}, largest {gaps.max():.3g}")
    assert gaps.mean() < 0.03
