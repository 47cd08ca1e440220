"""A model of the same class with tiny sizes and random weights: for what should be tried out before hours are spent."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch

SMALL_PARAMETERS = 5_000_000
"""A model of at most so many weights is taken in its own sizes."""

MOST_PARAMETERS = 50_000_000
"""A smaller one of more weights than this is not worth its name."""

SIZES: dict[str, int] = {
    **dict.fromkeys(
        ("hidden_size", "intermediate_size", "d_model", "decoder_ffn_dim", "encoder_ffn_dim"), 64
    ),
    **dict.fromkeys(("attention_hidden_size", "lru_width", "out_hidden_size", "q_lora_rank", "mlp_dim"), 64),
    "embedding_dim": 64,
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "num_heads", "index_n_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_decoder_attention_heads", "num_encoder_attention_heads"), 4),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("head_dim", "global_head_dim", "hidden_size_per_layer_input"), 16),
    **dict.fromkeys(("chunk_size", "mamba_chunk_size"), 16),  # of tokens: shorter sequences are padded to it
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace"), 1),
    **dict.fromkeys(("num_experts_per_tok", "top_k_experts"), 2),
}
"""Largest sizes, by the names that configurations use."""

LAYERS = (
    *("num_hidden_layers", "decoder_layers", "encoder_layers", "num_decoder_layers", "num_encoder_layers"),
    *("num_blocks", "depth"),
)
"""Names of the number of layers."""

MAMBA_HEADS = {
    "num_heads": "head_dim",
    "mamba_n_heads": "mamba_d_head",
    "n_mamba_heads": "mamba_headdim",
    "mamba_num_heads": "mamba_head_dim",
}
"""Names of the number of heads of a state-space layer, and of their size."""

MAMBA_GROUPS = ("n_groups", "mamba_n_groups", "mamba_ngroups", "n_mamba_groups")


def small_model(model: Any) -> tuple[Any | None, bool]:
    """A freshly initialised float32 model of `model`'s class on the CPU, in evaluation mode, with `model`'s vocabulary.

    Returns:
        The model, None where its sizes depend on each other in a way not known here; whether the sizes are its own.
    """
    count = sum(int(getattr(p, "ds_numel", p.numel())) for p in model.parameters())
    own = count <= SMALL_PARAMETERS
    try:
        config = copy.deepcopy(model.config) if own else shrunk(model.config)
        return of_configuration(type(model), config), own
    except Exception:  # sizes that do not go together surface as any error
        return None, own


def of_configuration(found: Any, config: Any) -> Any:
    """A freshly initialised float32 model of class `found` on the CPU that gives finite logits.

    Raises:
        ValueError: if it is large, or its logits are not finite.
        Exception: whatever the class raises.
    """
    # At the usual range attention is so flat that a change of it hardly shows.
    config.get_text_config(decoder=True).initializer_range = 0.1
    with torch.device("meta"):
        outline = found(config)
    count = sum(parameter.numel() for parameter in outline.parameters())
    if count > MOST_PARAMETERS:
        raise ValueError(f"the smallest one has {count:,} parameters")
    small = found._from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        tokens = torch.arange(4)[None]
        logits = small(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    if not bool(logits.isfinite().all()):
        raise ValueError("its logits are not finite")
    return small


def shrunk(config: Any, sizes: Mapping[str, int] = SIZES) -> Any:
    """A copy of a configuration with at most `sizes`, and as few layers as have one of each kind, in all its parts."""
    small = copy.deepcopy(config)
    for part in _parts(small):
        _shrink(part, sizes)
    return small


def _parts(config: Any) -> Iterator[Any]:
    """A configuration and those inside it: of the text, of images, of sound."""
    yield config
    for value in list(vars(config).values()):
        if hasattr(value, "get_text_config"):
            yield from _parts(value)


def _shrink(part: Any, sizes: Mapping[str, int]) -> None:
    own_sizes: dict[int, dict[str, Any]] = {}
    if getattr(part, "is_heterogeneous", False):  # layers with sizes of their own, which hide the common ones
        own_sizes = {int(layer): own for layer, own in part.to_dict()["per_layer_config"].items()}
        part.per_layer_config = None
    kinds = {**_by_layer(part), "own sizes": [own_sizes.get(layer) for layer in range(_layers(part))]}
    written = [name for name in kinds if name in vars(part)]
    hidden, heads = getattr(part, "hidden_size", None), getattr(part, "num_attention_heads", None)
    shared, inner = getattr(part, "num_key_value_heads", None), _mamba_size(part)
    attention, head = getattr(part, "attention_hidden_size", None), getattr(part, "head_dim", None)
    for name, most in sizes.items():
        _at_most(part, name, most)
    if heads and shared:
        part.num_key_value_heads = max(1, part.num_attention_heads * shared // heads)
    if latent := getattr(part, "qk_rope_head_dim", None):  # multi-head latent attention has sizes of its own
        part.head_dim = head if head and "partial_rotary_factor" in str(part.rope_parameters) else latent
    if hidden and heads and attention:  # of the widths of two layers in Zamba
        part.attention_hidden_size = part.hidden_size * attention // hidden
        part.head_dim = part.attention_hidden_size // part.num_attention_heads
    if hidden and heads and (rotated := getattr(part, "rotary_dim", None)):
        part.rotary_dim = min(rotated, part.hidden_size // part.num_attention_heads)
    if hidden and inner:
        _shrink_mamba(part, part.hidden_size * inner // hidden, attends=bool(heads))
    needed = _needed(kinds)
    if stack := getattr(part, "num_layers_per_stack", None):  # stacks that are run through again and again
        part.num_layers_per_stack, needed = 1, _layers(part) // stack
    for name in written:
        setattr(part, name, [_cut(name, value, sizes) for value in kinds[name][:needed]])
    if shares := getattr(part, "num_kv_shared_layers", 0):
        part.num_kv_shared_layers = 0 if shares < _layers(part) else needed
    for name in LAYERS:
        _at_most(part, name, needed)
    if isinstance(hybrid := getattr(part, "hybrid_layer_ids", None), list):
        part.hybrid_layer_ids = [layer for layer in hybrid if layer < needed]
    if own_sizes:
        part.per_layer_config = {
            layer: {
                name: size if name == "head_dim" and "qk_rope_head_dim" in own else _cut(name, size, sizes)
                for name, size in own.items()
            }
            for layer, own in own_sizes.items()
            if layer < needed
        }


def _at_most(part: Any, name: str, most: int) -> None:
    size = getattr(part, name, None)
    if isinstance(size, int) and size > most:
        with suppress(NotImplementedError):  # ProphetNet computes some, which cannot be set
            setattr(part, name, most)


def _cut(name: str, size: Any, sizes: Mapping[str, int]) -> Any:
    return min(size, sizes.get(name, size)) if isinstance(size, int) else size


def _layers(part: Any) -> int:
    return int(next((n for name in LAYERS if isinstance(n := getattr(part, name, None), int)), 0))


def _by_layer(part: Any) -> dict[str, list[Any]]:
    """What is said layer by layer, in lists that are written or computed."""
    computed = [name for name, _ in inspect.getmembers_static(type(part), lambda m: isinstance(m, property))]
    lists = {}
    for name in [*vars(part), *(name for name in computed if name.startswith("layer"))]:
        with suppress(Exception):  # what a property of others raises is of any type
            value = getattr(part, name)
            if isinstance(value, list | tuple) and len(value) == _layers(part):
                lists[name] = list(value)
    return lists


def _needed(kinds: Mapping[str, list[Any]]) -> int:
    """How many layers have one of each kind, two at least."""
    firsts = [
        values.index(value) for said in kinds.values() if (values := [*map(repr, said)]) for value in values
    ]
    return max(2, 1 + max(firsts, default=0))


def _mamba_size(part: Any) -> int | None:
    """Width inside a state-space layer."""
    hidden = getattr(part, "hidden_size", None)
    expand = getattr(part, "mamba_expand", None) or getattr(part, "expand", None)
    own = getattr(part, "mamba_d_ssm", None)
    return own or (int(expand * hidden) if expand and hidden else None)


def _shrink_mamba(part: Any, width: int, *, attends: bool) -> None:
    """Heads, their size and groups of heads that fit the width."""
    if hasattr(part, "mamba_d_ssm"):
        part.mamba_d_ssm = width
    if not attends and getattr(part, "intermediate_size", None) is not None:
        part.intermediate_size = width  # that of Mamba is no feed-forward layer's
    for name, size in MAMBA_HEADS.items():
        if getattr(part, name, None) and (hasattr(part, size) or name == "n_mamba_heads"):
            heads = min(getattr(part, name), 4)
            setattr(part, name, heads)
            if hasattr(part, size):
                setattr(part, size, width // heads)
            for groups in MAMBA_GROUPS:
                _at_most(part, groups, heads)
