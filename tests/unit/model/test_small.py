"""Small models of classes whose sizes depend on each other: made, and sampled from a cache as in one full pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from p2o.model.small import of_configuration, shrunk
from p2o.rollout.hf import HfSampler
from p2o.rollout.probe import full_forward
from p2o.rollout.sampler import SampleRequest, SamplingParams

CLASSES: dict[str, dict[str, Any]] = {
    "Mamba": {},
    "Mamba2": {},
    "FalconMamba": {},
    "Bamba": {"attn_layer_indices": [1]},
    "Jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "Zamba2": {},
    "GPTJ": {},
    "CodeGen": {},
    "Gemma4": {},
}


def small(name: str, values: dict[str, Any]) -> Any:
    found = getattr(transformers, f"{name}ForCausalLM")
    config = found.config_class(vocab_size=200, **values)
    config.pad_token_id = config.eos_token_id = config.bos_token_id = 1
    config = shrunk(config)
    if hasattr(config, "vocab_size_per_layer_input"):
        config.vocab_size_per_layer_input = 200
    torch.manual_seed(0)
    return of_configuration(found, config)


@pytest.mark.parametrize("name", CLASSES)
def test_a_small_one_is_made_and_its_cache_is_right(name: str) -> None:
    model = small(name, CLASSES[name])
    assert sum(parameter.numel() for parameter in model.parameters()) < 2_000_000
    params = SamplingParams(max_tokens=6)
    requests = [SampleRequest(prompt, seed) for seed, prompt in enumerate([(5, 6, 7), (8, 9, 10, 11, 12)])]
    samples = HfSampler(model, end_ids=(), pad_id=1).sample(requests, params)
    pairs = [(r.prompt_ids, s.response_ids) for r, s in zip(requests, samples, strict=True)]
    scored = full_forward(model, 1.0, pairs)
    for sample, logprobs in zip(samples, scored, strict=True):
        np.testing.assert_allclose(sample.logprobs, logprobs, atol=1e-4)


def test_the_part_that_sees_is_made_small_too() -> None:
    config = shrunk(transformers.Gemma3Config())
    assert config.vision_config.hidden_size == config.text_config.hidden_size == 64
    assert config.vision_config.num_hidden_layers == 2
    assert config.text_config.layer_types == ["sliding_attention"] * 5 + ["full_attention"]
    config.text_config.vocab_size = 200
    config.text_config.pad_token_id = 1
    of_configuration(transformers.Gemma3ForConditionalGeneration, config)


def test_layers_with_sizes_of_their_own_keep_them_in_small() -> None:
    config = shrunk(transformers.Gemma4TextConfig())
    assert len(config.layer_types) == config.num_hidden_layers
    assert {layer.head_dim for layer in config.per_layer_config} == {16}
    again = type(config).from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
