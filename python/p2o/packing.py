"""Packing of rollouts into micro-batches: which rows share one, and the arrays a model takes.

`pack` decides, `fill` writes; both run in Rust without the interpreter lock. Arrays are numpy's and go to
torch by `torch.from_numpy` without a copy. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o import _core
from p2o.errors import InputError

IGNORED_LABEL = -100
"""The label of positions whose prediction does not count."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Which rows go into which bin (micro-batch), and which bins to which rank.

    It is a sequence of bins: `len`, `[bin]` and iteration give the row indices of each; `of_rank` the bins of a rank.
    """

    indices: NDArray[np.uint32]
    """Row indices bin by bin, shape [rows]; those of `pack` ascend within a bin."""

    bins: NDArray[np.uint32]
    """Start of each bin in `indices` and the end of the last, shape [bins + 1]."""

    ranks: NDArray[np.uint32]
    """Rank of each bin, ascending, shape [bins]. Every rank has the same number, its most costly bin first."""

    fill: float
    """Tokens over capacity (bins times budget)."""

    @classmethod
    def of(cls, dealt: Sequence[Sequence[Sequence[int]]], fill: float = 1.0) -> Packing:
        """A packing made elsewhere: rows by rank and bin, the same number of bins for each rank."""
        bins = [rows for own in dealt for rows in own]
        return cls(
            indices=np.array([row for rows in bins for row in rows], dtype=np.uint32),
            bins=np.cumsum([0, *map(len, bins)]).astype(np.uint32),
            ranks=np.repeat(np.arange(len(dealt), dtype=np.uint32), len(dealt[0])),
            fill=fill,
        )

    def share(self, rank: int) -> tuple[NDArray[np.uint32], Packing]:
        """The rows of a rank's bins, bin by bin, and how those alone, taken in this order, are packed."""
        own = self.of_rank(rank)
        edges = self.bins[own.start : own.stop + 1]
        rows = self.indices[edges[0] : edges[-1]]
        numbers = np.arange(len(rows), dtype=np.uint32)
        return rows, Packing(numbers, edges - edges[0], np.zeros(len(own), dtype=np.uint32), self.fill)

    def __len__(self) -> int:
        return len(self.ranks)

    def __getitem__(self, bin: int) -> NDArray[np.uint32]:
        """The rows of a bin; none if there were fewer rows than bins."""
        if not 0 <= bin < len(self):
            raise IndexError(bin)
        return self.indices[self.bins[bin] : self.bins[bin + 1]]

    def __iter__(self) -> Iterator[NDArray[np.uint32]]:
        return (self[bin] for bin in range(len(self)))

    def of_rank(self, rank: int) -> range:
        """The numbers of a rank's bins, in the order to run them."""
        start, end = np.searchsorted(self.ranks, [rank, rank + 1])
        return range(int(start), int(end))


def pack(lengths: ArrayLike, budget: int, *, ranks: int = 1, quadratic: float = 0.0) -> Packing:
    """Packs rows into bins of at most `budget` tokens, the same number of bins for each rank.

    Best-fit decreasing under the hard budget gives the number of bins, rounded up to a multiple of `ranks`. For several
    ranks rows are dealt anew into that many bins of about equal cost where the budget leaves room; where it does not,
    the most costly bins are split. Bins are empty only if there are fewer rows than bins. Ranks cost about the same, in
    total and step by step. Deterministic; ties between rows go to the lower index.

    Args:
        lengths: tokens of each row, shape [rows].
        budget: tokens a bin may hold.
        ranks: number of ranks.
        quadratic: a row of L tokens costs L + quadratic · L² (attention's share).

    Returns:
        The bins, a sequence of arrays of row indices, and their ranks.

    Raises:
        InputError: if a row is longer than the budget (it is named), or an argument makes no sense.

        >>> packing = p2o.pack([900, 300, 650, 120, 700, 80], budget=1_000, ranks=2)
        >>> [rows.tolist() for rows in packing], packing.of_rank(1)
        ([[0], [1, 3, 5], [4], [2]], range(2, 4))
    """
    return Packing(
        *_core.pack_rows(_lengths(lengths), _count("budget", budget), _count("ranks", ranks), quadratic)
    )


def balance(costs: ArrayLike, parts: int) -> NDArray[np.uint32]:
    """Deals items to parts of equal size (give or take one) and about equal cost.

        >>> p2o.balance([5, 1, 4, 2], parts=2)
        array([0, 0, 1, 1], dtype=uint32)

    The k-th items of all parts cost about the same as well. Deterministic: ties go to the lower index.

    Args:
        costs: cost of each item, shape [items].
        parts: number of parts, at least 1.

    Returns:
        Each item's part, from 0, shape [items].

    Raises:
        InputError: if a cost is no finite number or there are no parts.
    """
    values = np.ascontiguousarray(costs, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("costs must be a vector of finite numbers")
    return _core.balance(values, _count("parts", parts))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Prompts with their responses as flat arrays.

    The response tokens of all rows, in row order, form a second flat axis, on which `streams` live.
    """

    tokens: NDArray[np.int64]
    """Token ids of all rows, one after the other, shape [tokens]."""

    offsets: NDArray[np.int64]
    """Start of each row in `tokens` and the end of the last, shape [rows + 1]."""

    prompt_lengths: NDArray[np.int64]
    """Prompt tokens at the start of each row, at least one, shape [rows]."""

    advantages: NDArray[np.float32]
    """Advantage of each row, shape [rows]."""

    trained: NDArray[np.bool_]
    """Whether each row's response enters the loss, shape [rows]."""

    streams: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Named values of every response token (`old_logp`, `context_weight`, ...), shape [response tokens] each."""

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        responses: Sequence[Sequence[int]],
        *,
        advantages: ArrayLike | None = None,
        trained: ArrayLike | None = None,
        streams: Mapping[str, ArrayLike] | None = None,
    ) -> Rows:
        """Flattens token lists; without `advantages` they are 0, without `trained` every row is.

        Raises:
            InputError: if the numbers of prompts and responses differ.
        """
        if len(prompts) != len(responses):
            raise InputError(f"{len(prompts)} prompts but {len(responses)} responses: each row needs both")
        count = len(prompts)
        parts = [part for pair in zip(prompts, responses, strict=True) for part in pair]
        edges = np.zeros(2 * count + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=edges[1:])
        tokens = np.empty(edges[-1], dtype=np.int64)
        for start, part in zip(edges.tolist(), parts, strict=False):
            tokens[start : start + len(part)] = part
        return cls(
            tokens=tokens,
            offsets=edges[::2],
            prompt_lengths=edges[1::2] - edges[:-1:2],
            advantages=np.zeros(count, dtype=np.float32)
            if advantages is None
            else np.asarray(advantages, np.float32),
            trained=np.ones(count, dtype=np.bool_) if trained is None else np.asarray(trained, np.bool_),
            streams={name: np.asarray(values, np.float32) for name, values in (streams or {}).items()},
        )

    def take(self, rows: NDArray[np.uint32]) -> Rows:
        """These rows, in this order."""

        def gather(values: NDArray[Any], edges: NDArray[np.int64]) -> NDArray[Any]:
            return np.concatenate([values[:0], *(values[edges[row] : edges[row + 1]] for row in rows)])

        return Rows(
            tokens=gather(self.tokens, self.offsets),
            offsets=np.cumsum([0, *self.lengths[rows]], dtype=np.int64),
            prompt_lengths=self.prompt_lengths[rows],
            advantages=self.advantages[rows],
            trained=self.trained[rows],
            streams={name: gather(values, self.response_offsets) for name, values in self.streams.items()},
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row: what `pack` takes."""
        return np.diff(self.offsets)

    @property
    def prompts(self) -> list[NDArray[np.int64]]:
        """Prompt ids of each row."""
        starts = self.offsets[:-1].tolist()
        return [
            self.tokens[start : start + length]
            for start, length in zip(starts, self.prompt_lengths.tolist(), strict=True)
        ]

    @property
    def response_lengths(self) -> NDArray[np.int64]:
        """Response tokens of each row, shape [rows]."""
        return self.lengths - self.prompt_lengths

    @property
    def response_offsets(self) -> NDArray[np.int64]:
        """Start of each row's response on the flat response axis and the end of the last, shape [rows + 1]."""
        offsets = np.zeros(len(self.offsets), dtype=np.int64)
        np.cumsum(self.response_lengths, out=offsets[1:])
        return offsets


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """One bin as arrays of shape [T], views of arrays that hold all bins.

    Position t predicts the token at t + 1, so what belongs to a response token stands at the position
    *before* it: hidden states and `labels` line up without a shift.
    """

    rows: NDArray[np.uint32]
    """The rows within, in order, shape [S]."""
    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    """From 0 in each row: attention kernels take a restart for a new sequence."""
    labels: NDArray[np.int64]
    """The token that follows if it is a response token, else -100."""
    loss_mask: NDArray[np.float32]
    """1 where there is a label of a trained row, else 0."""
    advantage: NDArray[np.float32]
    """The row's advantage where there is a label, else 0."""
    sequence_id: NDArray[np.int64]
    """The row's number within the micro-batch, from 0."""
    streams: Mapping[str, NDArray[np.float32]]
    """The named streams, 0 where there is no label."""
    cu_seqlens: NDArray[np.int32]
    """Start of each row and the end of the last, shape [S + 1]."""
    max_seqlen: int
    """Tokens of the longest row."""


def fill(packing: Packing, rows: Rows) -> list[MicroBatch]:
    """The micro-batches of a packing, in its order; their arrays are written in one pass.

    Raises:
        InputError: if arrays contradict each other; the array or the row is named.
    """
    arrays = _core.fill(
        packing.indices,
        packing.bins,
        np.ascontiguousarray(rows.tokens, dtype=np.int64),
        np.ascontiguousarray(rows.offsets, dtype=np.int64),
        np.ascontiguousarray(rows.prompt_lengths, dtype=np.int64),
        np.ascontiguousarray(rows.advantages, dtype=np.float32),
        np.ascontiguousarray(rows.trained, dtype=np.bool_),
        [(name, np.ascontiguousarray(values, dtype=np.float32)) for name, values in rows.streams.items()],
    )
    tokens = [slice(*edges) for edges in pairwise(arrays["token_offsets"].tolist())]
    bounds = [slice(*edges) for edges in pairwise(arrays["cu_seqlens_offsets"].tolist())]
    return [
        MicroBatch(
            rows=packing[bin],
            input_ids=arrays["input_ids"][own],
            position_ids=arrays["position_ids"][own],
            labels=arrays["labels"][own],
            loss_mask=arrays["loss_mask"][own],
            advantage=arrays["advantages"][own],
            sequence_id=arrays["sequence_ids"][own],
            streams={name: values[own] for name, values in arrays["streams"].items()},
            cu_seqlens=arrays["cu_seqlens"][bounds[bin]],
            max_seqlen=int(arrays["max_seqlens"][bin]),
        )
        for bin, own in enumerate(tokens)
    ]


def unpack(batches: Sequence[MicroBatch], values: Sequence[ArrayLike]) -> list[NDArray[np.float32]]:
    """Brings per-label values of the micro-batches back to their rows.

    So scores of a packed pass (of templated prompts, say) land where those of any other pass of the same rows do.

    Args:
        batches: all micro-batches of the rows.
        values: for each the values where `labels` is not -100, in order.

    Returns:
        Values of each row's response tokens, by row.

    Raises:
        InputError: if a micro-batch has another number of values than labels.
    """
    found = [np.asarray(part, dtype=np.float32).ravel() for part in values]
    sequences = [batch.sequence_id[batch.labels != IGNORED_LABEL] for batch in batches]
    wanted, got = [labelled.size for labelled in sequences], [part.size for part in found]
    if wanted != got:
        raise InputError(f"the micro-batches have {wanted} labels but got {got} values")
    unpacked: dict[int, NDArray[np.float32]] = {}
    for batch, labelled, part in zip(batches, sequences, found, strict=True):
        ends = np.bincount(labelled, minlength=len(batch.rows)).cumsum()
        unpacked.update(zip(batch.rows.tolist(), np.split(part, ends[:-1]), strict=False))
    return [unpacked[row] for row in sorted(unpacked)]


def _lengths(lengths: ArrayLike) -> NDArray[np.uint32]:
    values = np.asarray(lengths)
    if values.size == 0:
        return np.zeros(0, dtype=np.uint32)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"lengths must be a vector of whole numbers, not {values.dtype} of shape {values.shape}"
        )
    if values.min() < 0 or values.max() > np.iinfo(np.uint32).max:
        row = int(np.flatnonzero((values < 0) | (values > np.iinfo(np.uint32).max))[0])
        raise InputError(f"row {row} has a length of {values[row]}: it must be from 0 to 2^32 - 1")
    return np.ascontiguousarray(values, dtype=np.uint32)


def _count(name: str, value: int) -> int:
    if not 1 <= value <= np.iinfo(np.uint32).max:
        raise InputError(f"{name} is {value}: it must be from 1 to 2^32 - 1")
    return value
