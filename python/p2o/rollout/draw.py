"""Drawing a token a row from logits, by inverting the cumulative distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from p2o.rollout.sampler import SamplingParams

_BLOCK = 512
"""Tokens summed up together before the one that was drawn is looked for among them."""

_AT_ONCE = 2**26
"""Most probabilities held at once: half a GiB in float64."""


def draw(logits: Tensor, uniforms: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Draws one token a row by inverting the cumulative distribution at `uniforms`.

    Args:
        logits: [rows, vocabulary].
        uniforms: [rows], in [0, 1).

    Returns:
        Tokens [rows] and their log-probs [rows] under the distribution that was sampled (after temperature, top-k
        and top-p), in float32.
    """
    at_once = max(1, _AT_ONCE // logits.shape[-1])
    if len(logits) <= at_once:
        return _draw_rows(logits, uniforms, params)
    parts = [
        _draw_rows(some, targets, params)
        for some, targets in zip(logits.split(at_once), uniforms.split(at_once), strict=True)
    ]
    return torch.cat([tokens for tokens, _ in parts]), torch.cat([logprobs for _, logprobs in parts])


def _draw_rows(logits: Tensor, uniforms: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    logits = logits.float()
    if params.temperature == 0:
        logprobs = logits.log_softmax(-1)
        tokens = logits.argmax(-1)
        return tokens, logprobs.gather(1, tokens[:, None])[:, 0]
    logits = logits / params.temperature
    if params.top_k or params.top_p < 1:
        logits = _truncate(logits, params)
    logprobs = logits.log_softmax(-1)
    tokens = invert(logprobs.double().exp_(), uniforms.double())
    return tokens, logprobs.gather(1, tokens[:, None])[:, 0]


def invert(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The tokens [rows] at which the cumulative sum of `probabilities` [rows, vocabulary] first exceeds `uniforms`.

    A long vocabulary is summed up in blocks first: a running sum over 50,000 tokens is the slowest part of a draw.
    The sum need not be exactly 1: `uniforms` [rows] are scaled by what it is. A token of probability 0 is never drawn.
    """
    size = probabilities.shape[-1]
    if size <= 2 * _BLOCK:
        return _first_above(probabilities.cumsum(-1), uniforms)
    if missing := -size % _BLOCK:  # padding by nothing would copy
        probabilities = pad(probabilities, (0, missing))
    blocks = probabilities.unflatten(-1, (-1, _BLOCK))
    sums = blocks.sum(-1).cumsum(-1)
    block = _first_above(sums, uniforms)
    before = sums.gather(1, (block - 1).clamp(min=0)[:, None])[:, 0].where(block > 0, 0)
    inside = blocks[torch.arange(len(blocks), device=blocks.device), block].cumsum(-1)
    # Summed in another order the block may end a rounding below its share: stay under its end.
    targets = torch.minimum(uniforms * sums[:, -1] - before, inside[:, -1] * (1 - 2**-52))
    tokens = block * _BLOCK + torch.searchsorted(inside, targets[:, None], right=True)[:, 0]
    return tokens.clamp(max=size - 1)  # only numbers that are none get there


def _first_above(cumulative: Tensor, uniforms: Tensor) -> Tensor:
    targets = uniforms[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True)[:, 0].clamp(max=cumulative.shape[-1] - 1)


def _truncate(logits: Tensor, params: SamplingParams) -> Tensor:
    """Logits with everything outside the top-k and the nucleus at minus infinity."""
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    keep = torch.ones_like(ranked, dtype=torch.bool)
    if params.top_k:
        keep[:, params.top_k :] = False
    if params.top_p < 1:
        before = ranked.masked_fill(~keep, -torch.inf).softmax(-1).cumsum(-1)
        keep &= before - ranked.masked_fill(~keep, -torch.inf).softmax(-1) < params.top_p
    return logits.masked_fill(~torch.zeros_like(keep).scatter(1, order, keep), -torch.inf)
