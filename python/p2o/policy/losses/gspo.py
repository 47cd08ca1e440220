"""The sequence ratio (GSPO, arXiv 2507.18071, equations 5 to 7; per token as its GSPO-token, equations 13 and
14)."""

from __future__ import annotations

from p2o.policy.config import LossConfig
from p2o.policy.losses.common import (
    LossOutput,
    clipped_surrogate,
    kl_penalty,
    masked_advantage,
    masked_log_ratio,
    metrics,
    sequence_mean,
    token_weight,
)
from p2o.policy.streams import GlobalCounts, TokenStreams


def gspo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Mean over sequences of the clipped surrogate at the sequence's ratio s = exp(mean_t log ρ_t).

    How the per-token weight enters: s is the geometric mean over *all* loss tokens of the sequence, whatever
    their weights; it is a statement about how far the policy has moved. Each token then takes part with the
    ratio s_t = stopgrad(s) · π_θ / stopgrad(π_θ) (value s, gradient s · ∇log π_θ) and its term is multiplied
    by its weight. With all weights 1 the value and the gradient are GSPO's; a token of weight 0 gets no
    gradient of its own.
    """
    log_ratio = masked_log_ratio(streams)
    lengths = streams.sequence_sums(streams.loss_mask).clamp(min=1.0)
    log_sequence_ratio = streams.sequence_sums(log_ratio.detach() * streams.loss_mask) / lengths
    ratio = (streams.spread(log_sequence_ratio) + log_ratio - log_ratio.detach()).exp()
    losses, clipped_low, clipped_high = clipped_surrogate(ratio, masked_advantage(streams), config)
    losses = token_weight(streams) * (losses + kl_penalty(streams, config))
    loss = sequence_mean(losses, streams, counts)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))
