"""Clipped importance weights: no token loses its gradient (CISPO, arXiv 2506.13585, equation 4)."""

from __future__ import annotations

import torch

from p2o.policy.config import LossConfig
from p2o.policy.losses.common import (
    LossOutput,
    kl_penalty,
    masked_advantage,
    masked_log_ratio,
    metrics,
    token_mean,
    token_weight,
)
from p2o.policy.streams import GlobalCounts, TokenStreams


def cispo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Token mean of -stopgrad(clip(ρ, 1 - clip_low, 1 + clip_high)) · A · log π_θ.

    The ratio is clipped around 1, as its paper has it: a bound of `clip_high` alone would scale every weight
    down. The paper leaves the lower side open: `clip_low = 1`.
    """
    ratio = masked_log_ratio(streams).detach().exp()
    low, high = 1.0 - config.clip_low, 1.0 + config.clip_high
    logp = torch.where(streams.loss_mask > 0, streams.logp, 0.0)
    losses = -ratio.clamp(low, high) * masked_advantage(streams) * logp
    losses = token_weight(streams) * (losses + kl_penalty(streams, config))
    clipped_low, clipped_high = (ratio < low).to(ratio.dtype), (ratio > high).to(ratio.dtype)
    return LossOutput(token_mean(losses, counts), metrics(streams, counts, clipped_low, clipped_high))
