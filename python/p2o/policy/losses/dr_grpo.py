"""The sum over a constant, without length bias (Dr. GRPO, arXiv 2503.20783, section 3.2)."""

from __future__ import annotations

from p2o.policy.config import LossConfig
from p2o.policy.losses.common import LossOutput, metrics, token_losses
from p2o.policy.streams import GlobalCounts, TokenStreams


def dr_grpo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Σ_t loss / (sequences · length limit). Its paper leaves advantages undivided: `std_normalize =
    false`."""
    losses, clipped_low, clipped_high = token_losses(streams, config)
    loss = losses.sum() / (max(counts.sequences, 1.0) * counts.max_tokens)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))
