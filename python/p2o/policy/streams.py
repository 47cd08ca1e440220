"""What a loss sees of a micro-batch: aligned per-token streams, and the counts of the whole optimizer
batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2o.errors import InputError
from p2o.packing import IGNORED_LABEL, MicroBatch


@dataclass(frozen=True, eq=False, slots=True)
class TokenStreams:
    """Per-token streams of one micro-batch, each float32 of shape [rows_B, tokens_T].

    Position (b, t) is the same response token in every stream. In the padded layout a row is one sequence; in
    the packed layout a row holds several and `sequence_id` tells them apart. Only `logp` carries a gradient.
    """

    logp: Tensor
    """Log-probabilities under the current weights and the prompt of the update, in nats."""

    old_logp: Tensor
    """Log-probabilities under the weights that sampled, same prompt as `logp`."""

    advantage: Tensor
    """The advantage of the token's sequence."""

    context_weight: Tensor
    """Weight of the context ratio (1 for rows without a template)."""

    engine_weight: Tensor
    """Weight of the engine ratio (1 without correction)."""

    loss_mask: Tensor
    """1 for response tokens that enter the loss, else 0. Elsewhere the other streams may hold anything."""

    ref_logp: Tensor | None = None
    """Log-probabilities under the reference policy; needed when `kl_coef` is positive."""

    sequence_id: Tensor | None = None
    """int64, the sequence of each token, numbered from 0 within the micro-batch. None: each row is one
    sequence. A sequence lies wholly within one micro-batch."""

    sequence_count: int = 0
    """Number of sequences in `sequence_id`; without it, it is looked up (which waits for the device)."""

    def __post_init__(self) -> None:
        shape = self.logp.shape
        if len(shape) != 2:
            raise InputError(f"the stream logp must have the shape [rows, tokens], not {tuple(shape)}")
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
        if self.sequence_id is None:
            object.__setattr__(self, "sequence_count", shape[0])
        elif self.sequence_count == 0 and self.sequence_id.numel():
            object.__setattr__(self, "sequence_count", int(self.sequence_id.max()) + 1)

    @classmethod
    def from_micro_batch(cls, batch: MicroBatch, logp_N: Tensor) -> TokenStreams:
        """The streams of a packed micro-batch, one row over its N labelled positions.

        `old_logp`, `context_weight`, `engine_weight` and `ref_logp` are taken from the streams it was packed
        with; the weights are 1 where there is none.

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
            return torch.from_numpy(values[labelled])[None].to(logp_N.device)

        ones = np.ones_like(batch.loss_mask)
        return cls(
            logp=logp_N[None],
            old_logp=stream(batch.streams["old_logp"]),
            advantage=stream(batch.advantage),
            context_weight=stream(batch.streams.get("context_weight", ones)),
            engine_weight=stream(batch.streams.get("engine_weight", ones)),
            loss_mask=stream(batch.loss_mask),
            ref_logp=stream(batch.streams["ref_logp"]) if "ref_logp" in batch.streams else None,
            sequence_id=stream(batch.sequence_id),
            sequence_count=len(batch.rows),
        )

    def sequence_sums(self, values: Tensor) -> Tensor:
        """Sums of [rows_B, tokens_T] over each sequence, shape [sequences]."""
        if self.sequence_id is None:
            return values.sum(dim=1)
        sums = values.new_zeros(self.sequence_count)
        return sums.index_add(0, self.sequence_id.flatten(), values.flatten())

    def spread(self, values: Tensor) -> Tensor:
        """Gives each token the value of its sequence: [sequences] to [rows_B, tokens_T]."""
        if self.sequence_id is None:
            return values[:, None].expand_as(self.logp)
        return values[self.sequence_id]


@dataclass(frozen=True, slots=True)
class GlobalCounts:
    """Denominators over the whole optimizer batch, all ranks and micro-batches.

    Every loss divides by these, so the micro-batches' losses (and metrics) add up to those of the whole batch
    however it is split. A *counted* token is one of the loss mask; with `renormalize`, one whose context
    weight is not 0 as well.
    """

    tokens: float
    """Counted tokens."""

    sequences: float
    """Sequences with at least one counted token."""

    max_tokens: int
    """The length limit of responses (the constant of `dr_grpo`)."""

    renormalize: bool = False
    """Whether tokens of context weight 0 leave the denominators."""

    @classmethod
    def of(
        cls,
        micro_batches: Iterable[TokenStreams | tuple[Tensor, Tensor, Tensor | None]],
        *,
        max_tokens: int,
        renormalize: bool = False,
    ) -> GlobalCounts:
        """Counts of all micro-batches, before or after their forward pass.

        Args:
            micro_batches: streams, or tuples (loss_mask, context_weight, sequence_id or None).
            max_tokens: the length limit of responses.
            renormalize: `ContextConfig.renormalize`.
        """
        tokens = 0.0
        sequences = 0.0
        for batch in micro_batches:
            if isinstance(batch, TokenStreams):
                mask, weight, sequence_id = batch.loss_mask, batch.context_weight, batch.sequence_id
            else:
                mask, weight, sequence_id = batch
            counted = counted_tokens(mask, weight, renormalize)
            tokens += float(counted.sum(dtype=torch.float64))
            if sequence_id is None:
                sequences += float((counted.sum(dim=1) > 0).sum())
            else:
                sequences += float(torch.unique(sequence_id[counted > 0]).numel())
        return cls(tokens=tokens, sequences=sequences, max_tokens=max_tokens, renormalize=renormalize)


def counted_tokens(loss_mask: Tensor, context_weight: Tensor, renormalize: bool) -> Tensor:
    """1 for tokens in the denominators, else 0: the loss mask, without tokens of weight 0 if
    `renormalize`."""
    if not renormalize:
        return loss_mask
    return loss_mask * (context_weight != 0)
