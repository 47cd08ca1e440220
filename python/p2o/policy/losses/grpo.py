"""The mean over sequences of token means (GRPO, arXiv 2402.03300, equation 3)."""

from __future__ import annotations

from p2o.policy.config import LossConfig
from p2o.policy.losses.common import LossOutput, metrics, sequence_mean, token_losses
from p2o.policy.streams import GlobalCounts, TokenStreams


def grpo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Mean over sequences of the mean over each one's counted tokens: tokens of short sequences weigh
    more."""
    losses, clipped_low, clipped_high = token_losses(streams, config)
    loss = sequence_mean(losses, streams, counts)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))
