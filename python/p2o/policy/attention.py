"""Attention over sequences that share a row: variable-length flash attention where the device has it.

Rows that lie end to end must not see each other. Under transformers' `sdpa` restarting positions see to that, through a
mask of all tokens by all tokens. `p2o_varlen` hands the rows' bounds to `torch.nn.attention.varlen.varlen_attn`
(torch >= 2.11) instead: neither the mask nor the masked products exist. Without bounds it is `sdpa`, so a model keeps
one attention for training, scoring and sampling. Prompts that several responses go on from are `Segments`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from p2o.errors import ModelError
from p2o.packing import MicroBatch
from p2o.policy.segments import Segments
from p2o.sizes import attention_sizes, largest

VARLEN_ATTENTION = "p2o_varlen"
"""The name of our attention function among transformers' (`AttentionInterface`)."""

MAX_HEAD_DIM = 256
"""The widest head of the flash attention kernels."""

_UNKNOWN = ("softcap", "s_aux", "position_bias", "indices", "block_indices")
"""What some architectures ask of their attention that the kernels cannot do."""

_INDEXED = ("index_topk", "index_topk_blocks")
"""Settings of models whose layers choose the tokens they see. They say so by a mask only to an attention by the name of
`sdpa` or `eager`."""


@cache
def find_varlen_attention() -> Callable[..., Tensor] | None:
    """torch's variable-length attention, if this version has one that takes a scale and a window."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    return varlen_attn if "window_size" in known and "scale" in known else None


@cache
def shares_heads(varlen: Callable[..., Tensor]) -> bool:
    """Whether this version of torch's function takes fewer key/value heads than query heads."""
    return "enable_gqa" in inspect.signature(varlen).parameters


def supports_varlen(model: Any) -> bool:
    """Whether packed sequences of `model` can go through `p2o_varlen`: a GPU, 16-bit weights, heads that fit."""
    if model.device.type != "cuda" or model.dtype not in (torch.bfloat16, torch.float16):
        return False
    sizes = attention_sizes(model.config)
    return (
        sizes is not None
        and sizes[2] <= MAX_HEAD_DIM
        and takes_segments(model)
        and find_varlen_attention() is not None
    )


def takes_segments(model: Any) -> bool:
    """Whether the attention of `model` is one that `p2o_varlen` can take the place of."""
    config = model.config.get_text_config(decoder=True)
    asks = any(largest(config, name) is not None for name in ("attn_logit_softcapping", *_INDEXED))
    return not asks and model.config._attn_implementation in ("sdpa", VARLEN_ATTENTION)


def leaves_window_to_mask(layer: Any) -> bool:
    """Whether an attention layer that names no window has one by the model's configuration: Qwen2-MoE's, Phi-MoE's."""
    config = getattr(layer, "config", None)
    kinds, place = getattr(config, "layer_types", None), getattr(layer, "layer_idx", None)
    if kinds is not None:
        return place is not None and any(word in kinds[place] for word in ("sliding", "chunked"))
    window = getattr(config, "sliding_window", None)
    return window is not None and window < (getattr(config, "max_position_embeddings", None) or math.inf)


def use_varlen(model: Any) -> None:
    """Makes `p2o_varlen` the attention of `model`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(VARLEN_ATTENTION, varlen_attention)
    AttentionMaskInterface.register(VARLEN_ATTENTION, sdpa_mask)  # for the passes without bounds
    model.set_attn_implementation(VARLEN_ATTENTION)


def varlen_inputs(batch: MicroBatch, device: Any) -> dict[str, Any]:
    """What a model needs beside ids and positions for its attention to be `p2o_varlen` over the rows of `batch`."""
    bounds = torch.from_numpy(batch.cu_seqlens).to(device)
    return {
        "attention_mask": _no_mask(device),
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": batch.max_seqlen,
        "max_length_k": batch.max_seqlen,
    }


def segment_inputs(segments: Segments, device: Any) -> dict[str, Any]:
    """As `varlen_inputs`, for `segments`."""
    return {"attention_mask": _no_mask(device), "segments": segments}


def _no_mask(device: Any) -> Tensor:
    """A mask of four dimensions is passed on as it is: transformers builds none from the positions."""
    return torch.zeros((1, 1, 1, 1), dtype=torch.bool, device=device)


def varlen_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    segments: Segments | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence of a row, as transformers calls an attention function.

    Args:
        module: the attention layer.
        query: shape [1, heads, tokens, head size].
        key: shape [1, key/value heads, tokens, head size]; query heads share them in groups.
        value: like `key`.
        attention_mask: without bounds and segments who sees whom; beside them what transformers has passed on, which a
            layer may have made more of.
        scaling: factor of the scores; None: 1 / sqrt(head size).
        sliding_window: tokens a token sees, itself included; None: all before it.
        cu_seq_lens_q: start of each row and the end of the last, int32, shape [rows + 1]; None: `sdpa`.
        max_length_q: tokens of the longest row.
        segments: pieces of the row, in place of bounds.
        options: further arguments, passed on to `sdpa`.

    Returns:
        The heads' outputs, shape [1, tokens, heads, head size], and None.

    Raises:
        ModelError: if the architecture asks for what the kernels cannot do.
    """
    if cu_seq_lens_q is None and segments is None:
        if query.shape[2] == 1 and attention_mask is not None and options.get("position_bias") is None:
            return _decode(query, key, value, attention_mask, scaling), None
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        output: tuple[Tensor, None] = sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            sliding_window=sliding_window,
            **options,
        )
        return output
    needed = next((name for name in _UNKNOWN if options.get(name) is not None), None)
    if attention_mask is not None and attention_mask.numel() > 1:
        needed = "a mask of its own making"
    elif sliding_window is None and leaves_window_to_mask(module):
        needed = "its sliding window in the mask"
    if needed is not None:
        raise ModelError(
            f'{type(module).__name__} needs {needed}, which packed rows cannot have: set optimizer.layout = "padded"'
        )
    if segments is not None:
        return segments.attend(query, key, value, scaling, sliding_window), None
    varlen = find_varlen_attention()
    assert varlen is not None, "checked by supports_varlen"
    # [1, heads, tokens, size] -> [tokens, heads, size]
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    grouped = {}
    if query.shape[1] != key.shape[1]:
        if shares_heads(varlen):
            grouped = {"enable_gqa": True}
        else:
            share = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
    packed = varlen(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1 if sliding_window is None else sliding_window - 1, 0),
        **grouped,
    )
    return packed[None], None


def _decode(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, scaling: float | None
) -> Tensor:
    """One query a row: the query heads that share keys and values stand in the place of tokens, and nothing is copied.

    Args:
        query: [rows, heads, 1, head size].
        key: [rows, key/value heads, tokens, head size].
        value: like `key`.
        attention_mask: [rows, 1, 1, tokens], of booleans, or of numbers to be added.
        scaling: factor of the scores.

    Returns:
        [rows, 1, heads, head size].
    """
    rows, heads, _, size = query.shape
    shared = key.shape[1]
    query = query.view(rows, shared, heads // shared, size)
    mask = attention_mask.expand(rows, shared, heads // shared, key.shape[2])
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, scale=scaling)
    return output.reshape(rows, 1, heads, value.shape[-1])
