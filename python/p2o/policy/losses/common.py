"""What the losses share: the clipped surrogate, the KL term, the metrics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from p2o.errors import InputError
from p2o.policy.config import LossConfig
from p2o.policy.context import LOG_RATIO_LIMIT
from p2o.policy.streams import GlobalCounts, TokenStreams, counted_tokens


@dataclass(frozen=True, eq=False, slots=True)
class LossOutput:
    """A micro-batch's share of the loss, to be summed over micro-batches and ranks."""

    loss: Tensor
    """Scalar with a gradient."""

    metrics: dict[str, Tensor]
    """Detached scalars; each, too, summed over micro-batches and ranks, is the figure of the whole batch."""


def masked_log_ratio(streams: TokenStreams) -> Tensor:
    """log ρ_t, the policy ratio; 0 outside the loss mask, whatever stands there. Clamped to ±20."""
    inside = streams.loss_mask > 0
    difference = torch.where(inside, streams.logp - streams.old_logp, 0.0)
    return difference.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def token_weight(streams: TokenStreams) -> Tensor:
    """What each token's term is multiplied by: mask, context weight and engine weight; 0 outside the mask."""
    inside = streams.loss_mask > 0
    return streams.loss_mask * torch.where(inside, streams.context_weight * streams.engine_weight, 0.0)


def clipped_surrogate(ratio: Tensor, advantage: Tensor, config: LossConfig) -> tuple[Tensor, Tensor, Tensor]:
    """The negated clipped objective of PPO (arXiv 1707.06347, equation 7), with clip-higher and dual clip.

    Args:
        ratio: ρ_t, any shape.
        advantage: A, the same shape.
        config: clip bounds; `dual_clip` c bounds the objective below by c·A where A < 0 (arXiv 1912.09729,
            equation 5).

    Returns:
        The loss of each token, and where the lower and the upper clip bind (0/1).
    """
    low, high = 1.0 - config.clip_low, 1.0 + config.clip_high
    objective = torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    if config.dual_clip is not None:
        bounded = torch.maximum(objective, config.dual_clip * advantage)
        objective = torch.where(advantage < 0, bounded, objective)
    clipped_low = ((ratio < low) & (advantage < 0)).to(ratio.dtype)
    clipped_high = ((ratio > high) & (advantage > 0)).to(ratio.dtype)
    return -objective, clipped_low, clipped_high


def masked_advantage(streams: TokenStreams) -> Tensor:
    """The advantage; 0 outside the loss mask, whatever stands there."""
    return torch.where(streams.loss_mask > 0, streams.advantage, 0.0)


def kl_penalty(streams: TokenStreams, config: LossConfig) -> Tensor:
    """`kl_coef` times the k3 estimate of KL(π_θ ‖ π_ref) per token (http://joschu.net/blog/kl-approx.html).

    It is weighted like the rest of a token's term: a masked token contributes nothing at all.
    """
    if config.kl_coef == 0.0:
        return torch.zeros_like(streams.logp)
    return config.kl_coef * _k3(streams, _required_ref(streams))


def token_losses(streams: TokenStreams, config: LossConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted loss of each token for the losses that clip token by token; and where the clips bind."""
    ratio = masked_log_ratio(streams).exp()
    loss, clipped_low, clipped_high = clipped_surrogate(ratio, masked_advantage(streams), config)
    return token_weight(streams) * (loss + kl_penalty(streams, config)), clipped_low, clipped_high


def token_mean(values: Tensor, counts: GlobalCounts) -> Tensor:
    """Σ values over the counted tokens of the whole batch."""
    return values.sum() / max(counts.tokens, 1.0)


def sequence_mean(values: Tensor, streams: TokenStreams, counts: GlobalCounts) -> Tensor:
    """The mean over sequences of the mean over each sequence's counted tokens."""
    counted = counted_tokens(streams.loss_mask, streams.context_weight, counts.renormalize)
    lengths = streams.sequence_sums(counted).clamp(min=1.0)
    return (streams.sequence_sums(values) / lengths).sum() / max(counts.sequences, 1.0)


def metrics(
    streams: TokenStreams, counts: GlobalCounts, clipped_low: Tensor, clipped_high: Tensor
) -> dict[str, Tensor]:
    """Token means over the loss mask: clip fractions, the KL of old to new policy, and to the reference.

    `policy_kl` is the k3 estimate from tokens of the old policy, ρ - 1 - log ρ.
    """
    with torch.no_grad():
        mask = counted_tokens(streams.loss_mask, streams.context_weight, counts.renormalize)
        log_ratio = masked_log_ratio(streams)
        values = {
            "clip_ratio/low_mean": token_mean(clipped_low * mask, counts),
            "clip_ratio/high_mean": token_mean(clipped_high * mask, counts),
            "policy_kl": token_mean((log_ratio.exp() - 1.0 - log_ratio) * mask, counts),
        }
        if streams.ref_logp is not None:
            values["kl"] = token_mean(_k3(streams, streams.ref_logp) * mask, counts)
    return values


def _required_ref(streams: TokenStreams) -> Tensor:
    if streams.ref_logp is None:
        raise InputError("kl_coef is positive but the stream ref_logp is missing: score the reference policy")
    return streams.ref_logp


def _k3(streams: TokenStreams, ref_logp: Tensor) -> Tensor:
    difference = torch.where(streams.loss_mask > 0, ref_logp - streams.logp, 0.0)
    difference = difference.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return difference.exp() - 1.0 - difference
