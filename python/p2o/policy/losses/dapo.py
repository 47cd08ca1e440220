"""The token mean: every token of the batch counts the same (DAPO, arXiv 2503.14476, equation 12)."""

from __future__ import annotations

from p2o.policy.config import LossConfig
from p2o.policy.losses.common import LossOutput, metrics, token_losses, token_mean
from p2o.policy.streams import GlobalCounts, TokenStreams


def dapo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Σ_t loss / counted tokens of the batch. The default."""
    losses, clipped_low, clipped_high = token_losses(streams, config)
    loss = token_mean(losses, counts)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))
