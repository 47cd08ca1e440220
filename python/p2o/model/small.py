"""A model of the same class with tiny sizes and random weights: for what should be tried out before hours are spent."""

from __future__ import annotations

import copy
from typing import Any

import torch

SMALL_PARAMETERS = 5_000_000
"""A model of at most so many weights is taken in its own sizes."""

MOST_PARAMETERS = 50_000_000
"""A smaller one of more weights than this is not worth its name."""

SIZES: dict[str, int] = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
"""Largest sizes, by the names that configurations use."""


def small_model(model: Any) -> tuple[Any | None, bool]:
    """A freshly initialised float32 model of `model`'s class on the CPU, in evaluation mode, with `model`'s vocabulary.

    Returns:
        The model, None where its sizes depend on each other in a way not known here; whether the sizes are its own.
    """
    count = sum(int(getattr(p, "ds_numel", p.numel())) for p in model.parameters())
    own = count <= SMALL_PARAMETERS
    try:
        config = copy.deepcopy(model.config) if own else shrunk(model.config)
        # At the usual range attention is so flat that a change of it hardly shows.
        config.get_text_config(decoder=True).initializer_range = 0.1
        with torch.device("meta"):
            outline = type(model)(config)
        if sum(parameter.numel() for parameter in outline.parameters()) > MOST_PARAMETERS:
            return None, own
        small = type(model)._from_config(config, dtype=torch.float32).eval()
        with torch.no_grad():
            tokens = torch.arange(4)[None]
            logits = small(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    except Exception:  # sizes that do not go together surface as any error
        return None, own
    return (small if bool(logits.isfinite().all()) else None), own


def shrunk(config: Any) -> Any:
    """A copy of a configuration with at most `SIZES`, and as few layers as have one of each kind."""
    small = copy.deepcopy(config)
    text = small.get_text_config(decoder=True)
    layers = text.num_hidden_layers
    heads, shared = text.num_attention_heads, getattr(text, "num_key_value_heads", None)
    for name, most in SIZES.items():
        size = getattr(text, name, None)
        if isinstance(size, int) and size > most:
            setattr(text, name, most)
    if shared:
        text.num_key_value_heads = max(1, text.num_attention_heads * shared // heads)
    if rotated := getattr(text, "qk_rope_head_dim", None):  # multi-head latent attention has sizes of its own
        text.head_dim = rotated
    by_layer = [
        name for name, value in vars(text).items() if isinstance(value, list) and len(value) == layers
    ]
    needed = min(2, layers)
    for name in by_layer:
        kinds = [repr(kind) for kind in getattr(text, name)]
        needed = max(needed, 1 + max(kinds.index(kind) for kind in set(kinds)))
    text.num_hidden_layers = needed
    for name in by_layer:
        setattr(text, name, getattr(text, name)[:needed])
    return small
