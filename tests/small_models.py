"""Two-layer models of several kinds, from transformers' configuration classes."""

from __future__ import annotations

from typing import Any

import torch
import transformers

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
STATES = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaForCausalLM", SIZES),
    "tied": ("LlamaForCausalLM", {**SIZES, "tie_word_embeddings": True}),
    "Gemma2": ("Gemma2ForCausalLM", SIZES),
    "GPT2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}),
    "Qwen3Moe": ("Qwen3MoeForCausalLM", {**SIZES, **EXPERTS}),
    "Mixtral": ("MixtralForCausalLM", {**SIZES, "num_local_experts": 4}),
    "GptOss": ("GptOssForCausalLM", {**SIZES, "num_local_experts": 4}),
    "Mamba": ("MambaForCausalLM", STATES),
    "FalconMamba": ("FalconMambaForCausalLM", STATES),
    "Mamba2": ("Mamba2ForCausalLM", {**STATES, "num_heads": 8, "head_dim": 8, "n_groups": 1}),
}


def make_model(kind: str, tokenizer: Any, **changes: Any) -> Any:
    """The model called `kind`, the same every time, with the tokenizer's vocabulary."""
    name, sizes = KINDS[kind]
    model_class = getattr(transformers, name)
    config = model_class.config_class(
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        initializer_range=0.1,
        **{**sizes, **changes},
    )
    torch.manual_seed(3)
    return model_class(config).eval()
