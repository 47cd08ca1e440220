"""What a loss sees of a micro-batch: aligned per-token streams, and the counts of the whole optimizer batch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2o.errors import InputError
from p2o.packing import IGNORED_LABEL, MicroBatch


@dataclass(frozen=True, eq=False, slots=True)
class TokenStreams:
    """Per-token streams of one micro-batch, each float32 of one shape: [N] for its N response tokens.

    A position is the same token in every stream; `sequence_id` tells the sequences apart. Only `logp` carries a
    gradient.
    """

    logp: Tensor
    """Log-probabilities under the current weights and the prompt of the update, in nats."""

    old_logp: Tensor
    """Log-probabilities under the weights that sampled, same prompt as `logp`."""

    advantage: Tensor
    """The advantage of the token's sequence, and what it gets from the rollout's teacher."""

    context_weight: Tensor
    """Weight of the context ratio (1 for rows without a template)."""

    engine_weight: Tensor
    """Weight of the engine ratio (1 without correction)."""

    loss_mask: Tensor
    """1 for response tokens that enter the loss, else 0. Elsewhere the other streams may hold anything."""

    sequence_id: Tensor
    """int64, the sequence of each token, numbered from 0. A sequence lies wholly within one micro-batch."""

    sequence_count: int
    """Number of sequences."""

    ref_logp: Tensor | None = None
    """Log-probabilities under the reference policy; needed when `kl_coef` is positive."""

    def __post_init__(self) -> None:
        shape = self.logp.shape
        for field in fields(self):
            stream = getattr(self, field.name)
            if not isinstance(stream, Tensor):
                continue
            if stream.shape != shape:
                raise InputError(
                    f"the stream {field.name} has the shape {tuple(stream.shape)} but logp {tuple(shape)}: "
                    "all streams must be of the same tokens"
                )
            if stream.device != self.logp.device:
                raise InputError(
                    f"the stream {field.name} is on {stream.device} but logp on {self.logp.device}"
                )
            if field.name != "logp" and stream.requires_grad:
                raise InputError(f"the stream {field.name} carries a gradient: detach it, only logp may")
            if (field.name == "sequence_id") == stream.is_floating_point():
                raise InputError(f"the stream {field.name} has the wrong type {stream.dtype}")

    @classmethod
    def from_micro_batch(cls, batch: MicroBatch, logp_N: Tensor) -> TokenStreams:
        """The streams of a micro-batch at its N labelled positions.

        `old_logp`, `context_weight`, `engine_weight`, `token_advantage` and `ref_logp` are taken from the streams it
        was packed with; where there is none the weights are 1 and nothing is added to the advantage.

        Args:
            batch: a micro-batch packed with at least the stream `old_logp`.
            logp_N: log-probabilities where `batch.labels` is not -100, in order, shape [N].

        Raises:
            InputError: if the micro-batch has no `old_logp` or another number of labels.
        """
        labelled = batch.labels != IGNORED_LABEL
        if "old_logp" not in batch.streams:
            raise InputError("the micro-batch has no stream old_logp: pack the rows with it")

        def stream(values: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(values[labelled]).to(logp_N.device)

        ones, zeros = np.ones_like(batch.loss_mask), np.zeros_like(batch.loss_mask)
        return cls(
            logp=logp_N,
            old_logp=stream(batch.streams["old_logp"]),
            advantage=stream(batch.advantage + batch.streams.get("token_advantage", zeros)),
            context_weight=stream(batch.streams.get("context_weight", ones)),
            engine_weight=stream(batch.streams.get("engine_weight", ones)),
            loss_mask=stream(batch.loss_mask),
            sequence_id=stream(batch.sequence_id),
            sequence_count=len(batch.rows),
            ref_logp=stream(batch.streams["ref_logp"]) if "ref_logp" in batch.streams else None,
        )

    def sequence_sums(self, values: Tensor) -> Tensor:
        """Sums of token values over each sequence, shape [sequences]."""
        sums = values.new_zeros(self.sequence_count)
        return sums.index_add(0, self.sequence_id.flatten(), values.flatten())

    def spread(self, values: Tensor) -> Tensor:
        """Gives each token the value of its sequence, of shape [sequences]."""
        return values[self.sequence_id]


@dataclass(frozen=True, slots=True)
class GlobalCounts:
    """Denominators over the whole optimizer batch, all ranks and micro-batches.

    Every loss divides by these, so the micro-batches' losses (and metrics) add up to those of the whole batch
    however it is split. Tokens of context weight 0 count as well.
    """

    tokens: float
    """Tokens of the loss mask."""

    sequences: float
    """Sequences with at least one of them."""

    max_tokens: int
    """The length limit of responses (the constant of `dr_grpo`)."""
