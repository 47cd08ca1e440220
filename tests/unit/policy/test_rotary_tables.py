"""Rotary tables stay float32 in models that DeepSpeed loads in partitions."""

from __future__ import annotations

from typing import Any

import torch

from p2o.policy.deepspeed_backend import restore_rotary_tables


def tables(model: Any) -> dict[str, torch.Tensor]:
    return {name: buffer for name, buffer in model.named_buffers() if "rotary" in name}


def test_tables_of_the_weights_type_are_made_anew() -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

    sizes = {
        "vocab_size": 32,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
    }
    llama3 = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    for model in (
        LlamaForCausalLM(LlamaConfig(**sizes)),
        LlamaForCausalLM(LlamaConfig(**sizes, rope_parameters=llama3)),
        Gemma3ForCausalLM(Gemma3TextConfig(**sizes)),
    ):
        exact = {name: table.clone() for name, table in tables(model).items()}
        assert exact
        model.to(torch.bfloat16)  # the tables too, as DeepSpeed makes them
        assert any((table.float() != exact[name]).any() for name, table in tables(model).items())
        restore_rotary_tables(model)
        assert tables(model).keys() == exact.keys()
        for name, table in tables(model).items():
            torch.testing.assert_close(table, exact[name], rtol=0, atol=0)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
