"""The mean over a rank's own tokens, then over ranks (named as in TRL, `loss_type="bnpo"`)."""

from __future__ import annotations

from p2o.policy.config import LossConfig
from p2o.policy.losses.common import LossOutput, metrics, token_losses
from p2o.policy.streams import GlobalCounts, TokenStreams


def bnpo(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """Σ_t loss / (counted tokens of this rank · ranks).

    With one rank it is `dapo`. With several it depends on how sequences are spread over ranks, by definition;
    never on how a rank splits them into micro-batches (TRL normalises by the micro-batch instead).
    """
    losses, clipped_low, clipped_high = token_losses(streams, config)
    rank_tokens = counts.tokens if counts.rank_tokens is None else counts.rank_tokens
    loss = losses.sum() / (max(rank_tokens, 1.0) * counts.ranks)
    return LossOutput(loss, metrics(streams, counts, clipped_low, clipped_high))
