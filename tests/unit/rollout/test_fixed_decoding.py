"""Decoding on a cache of fixed size is decoding on transformers' own, for each kind of attention."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from p2o.policy.attention import varlen_attention
from p2o.rollout.decoding import GrowingDecoder, RecordingError, read_prompts
from p2o.rollout.fixed_decoding import FixedDecoder, stride_up, why_not_fixed
from p2o.rollout.hf import HfSampler, cache_bytes_per_token, default_batch_size
from p2o.rollout.sampler import SampleRequest, SamplingParams

ENDS = tuple(range(4, 8))
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "initializer_range": 0.3,
}
HEADS = {"head_dim": 8}
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 6}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "mistral, a window": ("Mistral", {"sliding_window": 6, **HEADS}),
    "qwen2, a window in some layers": ("Qwen2", {"use_sliding_window": True, **MIXED}),
    "qwen3": ("Qwen3", HEADS),
    "gemma2, capped scores": ("Gemma2", {"query_pre_attn_scalar": 8, **HEADS, **MIXED}),
    "gemma3": ("Gemma3Text", {"query_pre_attn_scalar": 8, **HEADS, **MIXED}),
    "phi3": ("Phi3", {"sliding_window": 5}),
    "olmo2": ("Olmo2", {}),
    "smollm3, layers without positions": ("SmolLM3", {}),
    "gpt-neox": ("GPTNeoX", {}),
    "gpt2": ("GPT2", {}),
}


def make_model(architecture: str) -> Any:
    import transformers

    name, more = ARCHITECTURES[architecture]
    sizes = dict(SIZES)
    if name == "GPT2":
        sizes = {
            "vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256, "initializer_range": 0.3,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
        }  # fmt: skip
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**sizes, **more)
    class_name = {"Gemma3Text": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}.get(
        name, f"{name}ForCausalLM"
    )
    model = getattr(transformers, class_name)(config).eval()
    if name == "Gemma2":  # as it is loaded: sdpa knows no cap
        model.set_attn_implementation("eager")
    return model


def requests() -> list[SampleRequest]:
    prompts = [tuple(range(10, 10 + length)) for length in (3, 17, 9, 17)]
    return [SampleRequest(p, seed=10 * n + k) for n, p in enumerate(prompts) for k in range(4)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_fixed_decoding_gives_what_growing_gives(architecture: str, temperature: float) -> None:
    """Rows leave at different times, the cache passes a stride, prompts are longer and shorter than a window."""
    model = make_model(architecture)
    params = SamplingParams(max_tokens=70, temperature=temperature)
    common = {"end_ids": ENDS, "pad_id": 2}
    fixed = HfSampler(model, decoding="fixed", **common)
    found = fixed.sample(requests(), params)
    assert fixed.fixed, "it must not have fallen back"
    expected = HfSampler(model, decoding="growing", **common).sample(requests(), params)
    assert [s.response_ids for s in found] == [s.response_ids for s in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=2e-4)
    if temperature:
        assert len({len(s.response_ids) for s in found}) > 2, "rows must leave the batch at different times"


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_logits_agree_token_by_token_and_after_rows_have_left(architecture: str) -> None:
    model = make_model(architecture)
    prompts = [(10, 11, 12), (20, 21, 22, 23, 24, 25, 26, 27), (10, 11, 12)]
    with torch.inference_mode():
        growing = GrowingDecoder(model, read_prompts(model, prompts, 2))
        fixed = FixedDecoder(model, read_prompts(model, prompts, 2), max_tokens=90)
        torch.manual_seed(1)
        for step in range(90):
            tokens = torch.randint(8, 64, (3 if step < 40 else 2,))
            torch.testing.assert_close(fixed.step(tokens), growing.step(tokens), atol=2e-4, rtol=1e-3)
            if step == 39:
                left = torch.tensor([0, 2])
                growing.keep(left)
                fixed.keep(left)


def test_a_model_that_cannot_says_why_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model("llama")
    model._can_compile_fullgraph = False
    sampler = HfSampler(model, end_ids=ENDS, pad_id=2, batch_size=3, decoding="fixed")
    with caplog.at_level(logging.WARNING):
        found = sampler.sample(requests(), SamplingParams(max_tokens=5))
    assert [record.getMessage() for record in caplog.records] == [
        "LlamaForCausalLM decodes step by step: its forward pass depends on its input"
    ]
    plain = HfSampler(model, end_ids=ENDS, pad_id=2, batch_size=3, decoding="growing")
    assert found == plain.sample(requests(), SamplingParams(max_tokens=5))


def test_a_model_that_takes_no_such_mask_goes_on_step_by_step(caplog: pytest.LogCaptureFixture) -> None:
    """Bloom reads its biases off a mask of two dimensions."""
    import transformers

    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4}
    model = transformers.BloomForCausalLM(transformers.BloomConfig(**sizes, initializer_range=0.3)).eval()
    common = {"end_ids": ENDS, "pad_id": 2}
    sampler = HfSampler(model, decoding="fixed", **common)
    with caplog.at_level(logging.WARNING):
        found = sampler.sample(requests(), SamplingParams(5))
    assert not sampler.fixed
    (said,) = caplog.messages
    assert said.startswith("BloomForCausalLM decodes step by step: too many values to unpack")
    growing = HfSampler(model, decoding="growing", **common)
    assert found == growing.sample(requests(), SamplingParams(5))


@pytest.mark.parametrize("at", [1, 12])
def test_a_step_that_cannot_be_recorded_costs_nothing_but_time(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one, or one when completions have been handed on, which are drawn only once."""
    model, steps = make_model("llama"), 0
    counted: list[int] = []
    step_of = FixedDecoder.step

    def step(decoder: FixedDecoder, tokens: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == at:
            raise RecordingError("not while a stream is capturing")
        return step_of(decoder, tokens)

    monkeypatch.setattr(FixedDecoder, "step", step)
    sampler = HfSampler(model, end_ids=ENDS, pad_id=2, decoding="fixed")
    parts = list(sampler.stream(requests(), SamplingParams(30), counted.append))
    found = [each for ended in parts for each in ended]
    assert not sampler.fixed
    assert sorted(number for number, _ in found) == list(range(16)), "each is handed on once"
    assert sum(counted) == 16
    growing = HfSampler(model, end_ids=ENDS, pad_id=2, decoding="growing")
    expected = growing.sample(requests(), SamplingParams(30))
    assert [sample.response_ids for _, sample in sorted(found, key=lambda each: each[0])] == [
        sample.response_ids for sample in expected
    ]


def test_chunks_of_tokens_are_no_window() -> None:
    """Llama 4: a token sees those of its own chunk of 6, where a window of 6 would show it the five before."""
    import transformers

    torch.manual_seed(0)
    layers = {"layer_types": ["chunked_attention", "full_attention"], "attention_chunk_size": 6}
    experts = {"num_local_experts": 2, "intermediate_size_mlp": 48}
    sizes = {**SIZES, **HEADS, **experts, **layers, "num_hidden_layers": 2}
    model = transformers.Llama4ForCausalLM(transformers.Llama4TextConfig(**sizes)).eval()
    common = {"end_ids": ENDS, "pad_id": 2}
    found = HfSampler(model, decoding="fixed", **common).sample(requests(), SamplingParams(20))
    expected = HfSampler(model, decoding="growing", **common).sample(requests(), SamplingParams(20))
    assert [s.response_ids for s in found] == [s.response_ids for s in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.logprobs, theirs.logprobs, atol=2e-4)


def test_a_cache_of_more_than_keys_and_values_is_left_alone() -> None:
    model = make_model("llama")
    prompts = read_prompts(model, [(10, 11)], 2)
    assert why_not_fixed(model, prompts) is None
    prompts.cache.layers[1] = object()
    assert why_not_fixed(model, prompts) == "its cache is more than keys and values"


@pytest.mark.parametrize(("columns", "length"), [(1, 64), (64, 64), (65, 128), (1025, 1152), (4096, 4096)])
def test_strides(columns: int, length: int) -> None:
    assert stride_up(columns) == length


def test_a_longer_cache_is_never_read_shorter() -> None:
    lengths = [stride_up(columns) for columns in range(1, 20_000)]
    assert lengths == sorted(lengths)
    assert all(length - columns < max(64, columns / 8) for columns, length in enumerate(lengths, start=1))


def test_one_query_a_row_shares_keys_as_attention_over_repeated_keys_does() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 6, 1, 8), torch.randn(3, 2, 5, 8), torch.randn(3, 2, 5, 8)
    seen = torch.rand(3, 1, 1, 5) < 0.7
    seen[..., -1] = True
    ours, _ = varlen_attention(torch.nn.Identity(), query, key, value, seen, scaling=0.3)
    scores = (query @ key.repeat_interleave(3, dim=1).transpose(2, 3)) * 0.3
    expected = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value.repeat_interleave(3, dim=1)
    torch.testing.assert_close(ours, expected.transpose(1, 2))


def test_the_default_batch_is_what_a_share_of_the_gpu_holds() -> None:
    model = make_model("llama")
    per_token = cache_bytes_per_token(model.config, itemsize=2)
    assert per_token == 2 * 3 * 2 * 8 * 2  # keys and values, layers, key/value heads, size, bytes
    assert default_batch_size(per_token * 100, None) == 64
    assert default_batch_size(10**6, 10**9) == 200
    assert default_batch_size(10**6, 10**12) == 4096
    assert default_batch_size(10**12, 10**9) == 1
