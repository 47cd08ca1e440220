"""Policy losses: pure functions of the streams of a micro-batch and the counts of the whole optimizer batch.

To add one: a function `(streams, counts, config) -> LossOutput` beside `dapo`, a name in `LossName`, a line in
`LOSSES`; or a function of your own, named by its import path. Each token's term is multiplied by its context weight and
its engine weight, and the sum of the losses of all micro-batches must be the loss of the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from p2o.errors import InputError
from p2o.policy.config import LossConfig, LossName
from p2o.policy.ratios import LOG_RATIO_LIMIT
from p2o.policy.streams import GlobalCounts, TokenStreams


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
    """The negated clipped objective of PPO (arXiv 1707.06347, equation 7), with clip-higher and `dual_clip` (arXiv
    1912.09729, equation 5).

    Args:
        ratio: ρ_t, any shape.
        advantage: A, the same shape.
        config: `clip` and `dual_clip`.

    Returns:
        The loss of each token, and where the lower and the upper clip bind (0/1).
    """
    low, high = 1.0 - config.clip[0], 1.0 + config.clip[1]
    objective = torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    if config.dual_clip < math.inf:
        lowest = config.dual_clip * advantage
        objective = torch.where(advantage < 0, torch.maximum(objective, lowest), objective)
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
    if streams.ref_logp is None:
        raise InputError("kl_coef is positive but the stream ref_logp is missing: score the reference policy")
    return config.kl_coef * _k3(streams, streams.ref_logp)


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
    lengths = streams.sequence_sums(streams.loss_mask).clamp(min=1.0)
    return (streams.sequence_sums(values) / lengths).sum() / max(counts.sequences, 1.0)


def metrics(
    streams: TokenStreams, counts: GlobalCounts, clipped_low: Tensor, clipped_high: Tensor
) -> dict[str, Tensor]:
    """Token means over the loss mask: clip fractions, the KL of old to new policy, and to the reference.

    `policy_kl` is the k3 estimate from tokens of the old policy, ρ - 1 - log ρ.
    """
    with torch.no_grad():
        mask = streams.loss_mask
        log_ratio = masked_log_ratio(streams)
        values = {
            "clip_ratio/low_mean": token_mean(clipped_low * mask, counts),
            "clip_ratio/high_mean": token_mean(clipped_high * mask, counts),
            "policy_kl": token_mean((log_ratio.exp() - 1.0 - log_ratio) * mask, counts),
        }
        if streams.ref_logp is not None:
            values["kl"] = token_mean(_k3(streams, streams.ref_logp) * mask, counts)
    return values


def dapo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """The token mean: every token of the batch counts the same (DAPO, arXiv 2503.14476, equation 12). The default."""
    losses, clipped_low, clipped_high = token_losses(streams, config)
    loss = token_mean(losses, counts)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))


def grpo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """The mean over sequences of token means (GRPO, arXiv 2402.03300, equation 3): tokens of short sequences weigh
    more."""
    losses, clipped_low, clipped_high = token_losses(streams, config)
    loss = sequence_mean(losses, streams, counts)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))


def dr_grpo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Σ_t loss / (sequences · length limit), without length bias (Dr. GRPO, arXiv 2503.20783, section 3.2).

    Its paper leaves advantages undivided: `advantage = "dr_grpo"`.
    """
    losses, clipped_low, clipped_high = token_losses(streams, config)
    loss = losses.sum() / (max(counts.sequences, 1.0) * counts.max_tokens)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))


def gspo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Mean over sequences of the clipped surrogate at the sequence's ratio s = exp(mean_t log ρ_t).

    (GSPO, arXiv 2507.18071, equations 5 to 7; per token as its GSPO-token, equations 13 and 14.)

    How the per-token weight enters: s is the geometric mean over *all* loss tokens of the sequence, whatever their
    weights; it is a statement about how far the policy has moved. Each token then takes part with the ratio s_t =
    stopgrad(s) · π_θ / stopgrad(π_θ) (value s, gradient s · ∇log π_θ) and its term is multiplied by its weight. With
    all weights 1 the value and the gradient are GSPO's; a token of weight 0 gets no gradient of its own.
    """
    log_ratio = masked_log_ratio(streams)
    lengths = streams.sequence_sums(streams.loss_mask).clamp(min=1.0)
    log_sequence_ratio = streams.sequence_sums(log_ratio.detach() * streams.loss_mask) / lengths
    ratio = (streams.spread(log_sequence_ratio) + log_ratio - log_ratio.detach()).exp()
    losses, clipped_low, clipped_high = clipped_surrogate(ratio, masked_advantage(streams), config)
    losses = token_weight(streams) * (losses + kl_penalty(streams, config))
    loss = sequence_mean(losses, streams, counts)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))


def cispo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Token mean of -stopgrad(clip(ρ, 1 - clip[0], 1 + clip[1])) · A · log π_θ: no token loses its gradient.

    (CISPO, arXiv 2506.13585, equation 4.) The ratio is clipped around 1, as its paper has it: a bound of `clip[1]`
    alone would scale every weight down. The paper leaves the lower side open: `clip[0]` is 1, the default with it.
    """
    ratio = masked_log_ratio(streams).detach().exp()
    low, high = 1.0 - config.clip[0], 1.0 + config.clip[1]
    logp = torch.where(streams.loss_mask > 0, streams.logp, 0.0)
    losses = -ratio.clamp(low, high) * masked_advantage(streams) * logp
    losses = token_weight(streams) * (losses + kl_penalty(streams, config))
    clipped_low, clipped_high = (ratio < low).to(ratio.dtype), (ratio > high).to(ratio.dtype)
    return LossOutput(token_mean(losses, counts), metrics(streams, counts, clipped_low, clipped_high))


Loss = Callable[[TokenStreams, GlobalCounts, LossConfig], LossOutput]

LOSSES: dict[LossName, Loss] = {
    "dapo": dapo,
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "gspo": gspo,
    "cispo": cispo,
}


def _k3(streams: TokenStreams, ref_logp: Tensor) -> Tensor:
    difference = torch.where(streams.loss_mask > 0, ref_logp - streams.logp, 0.0)
    difference = difference.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return difference.exp() - 1.0 - difference
