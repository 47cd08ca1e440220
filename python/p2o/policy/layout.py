"""Layouts: how sequences become micro-batches, and how a micro-batch goes through the model.

`padded` puts sequences of similar length side by side and fills the shorter ones up; `packed` puts them end to end in
one row; `shared` does so with one copy of each prompt. In any case what comes out is the log-prob of every response
token, in row order, so scoring, losses and metrics do not know the layout. To add one: a class with `split` and
`inputs`, a name in `LayoutName`, a line in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from p2o.model.head import logits_dtype
from p2o.packing import IGNORED_LABEL, MicroBatch, Packing, Rows, balance, fill, pack, unpack
from p2o.policy.attention import segment_inputs, supports_varlen, takes_segments, use_varlen, varlen_inputs
from p2o.policy.logprobs import CHUNK_TOKENS, kept, output_head, token_logprobs
from p2o.policy.optimizer_config import LayoutName
from p2o.policy.rows import Sequences
from p2o.policy.segments import Segments
from p2o.policy.shared_layout import SharedLayout
from p2o.sizes import largest

SHARED_FROM = 512
"""Hidden size from which `auto` shares prompts on a processor: it wins at 576 (benches/layouts.md), and not at 96."""

Forward = Callable[..., Tensor]
"""A `LogprobModel`, or an engine around one."""


class LogprobModel(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """A causal language model as a function from ids to log-probs of given tokens: what is trained.

    The language model's own forward pass would hold logits of all tokens; this one never does.
    """

    def __init__(self, model: Any, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.vocabulary = int(model.config.get_text_config(decoder=True).vocab_size)

    def forward(
        self, input_ids: Tensor, predicting: Tensor, targets: Tensor, chunks: int, **inputs: Any
    ) -> Tensor:
        """float32 log-probs of `targets` at the sampling temperature, shape [N].

        Args:
            input_ids: shape [rows, width].
            predicting: places in the flattened `input_ids` at which each target is predicted, shape [N].
            targets: token ids, shape [N].
            chunks: in how many parts their logits are computed: `head_chunks`.
            inputs: what else the language model's body takes.
        """
        hidden = self.model.base_model(input_ids=input_ids, use_cache=False, **inputs).last_hidden_state
        return token_logprobs(
            hidden.flatten(0, 1)[predicting],
            targets,
            output_head(self.model),
            temperature=self.temperature,
            chunks=chunks,
            keep=kept(chunks, self.vocabulary, logits_dtype(self.model).itemsize),
        )


class Layout(Protocol):
    """How sequences share micro-batches."""

    shares_rows: bool
    """Whether several sequences lie in one row: not every architecture keeps them apart."""

    def split(self, lengths: ArrayLike, ranks: int = 1, prompts: Sequence[ArrayLike] = ()) -> Packing:
        """Deals sequences to micro-batches and those to ranks.

        Args:
            lengths: tokens of each sequence.
            ranks: how many there are.
            prompts: prompt ids of each sequence, for a layout in which equal ones have a meaning.
        """
        ...

    def inputs(self, batch: MicroBatch, device: Any) -> dict[str, Any]:
        """The arguments of `LogprobModel.forward` for the labelled tokens of `batch`."""
        ...


class PaddedLayout:
    """Sequences of similar length side by side, padded on the right."""

    shares_rows = False

    def __init__(self, model: Any, *, pad_id: int, token_budget: int) -> None:
        self.pad_id = pad_id
        self.token_budget = token_budget

    def split(self, lengths: ArrayLike, ranks: int = 1, prompts: Sequence[ArrayLike] = ()) -> Packing:
        """Longest first, at most `token_budget` padded tokens together; a longer sequence gets a pass of its own."""
        tokens = np.asarray(lengths, dtype=np.int64).tolist()
        return Packing.of(deal(padded_micro_batches(tokens, self.token_budget), tokens, ranks))

    def inputs(self, batch: MicroBatch, device: Any) -> dict[str, Any]:
        """See [`Layout`][]."""
        width = batch.max_seqlen
        shape = (len(batch.rows), width)
        input_ids = np.full(shape, self.pad_id, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        input_ids[batch.sequence_id, batch.position_ids] = batch.input_ids
        attention_mask[batch.sequence_id, batch.position_ids] = 1
        labelled = batch.labels != IGNORED_LABEL
        return {
            "input_ids": torch.from_numpy(input_ids).to(device),
            "attention_mask": torch.from_numpy(attention_mask).to(device),
            "predicting": torch.from_numpy((batch.sequence_id * width + batch.position_ids)[labelled]).to(
                device
            ),
            "targets": torch.from_numpy(batch.labels[labelled]).to(device),
        }


class PackedLayout:
    """Sequences end to end in one row, positions from 0 in each; see [`p2o.packing.pack`][]."""

    shares_rows = True

    def __init__(self, model: Any, *, pad_id: int, token_budget: int) -> None:
        self.token_budget = token_budget
        # Attention's share of a layer's work on L tokens: 2 L² hidden of 24 L hidden² + 2 L² hidden.
        self.quadratic = 1 / (12 * model.config.get_text_config(decoder=True).hidden_size)
        self.varlen = supports_varlen(model)
        self.segments = not self.varlen and takes_segments(model)
        if self.varlen or self.segments:
            use_varlen(model)

    def split(self, lengths: ArrayLike, ranks: int = 1, prompts: Sequence[ArrayLike] = ()) -> Packing:
        """Bins of at most `token_budget` tokens. A sequence longer than that sets the budget: it must fit anyway."""
        tokens = np.asarray(lengths, dtype=np.int64)
        budget = max(self.token_budget, int(tokens.max(initial=0)))
        return pack(tokens, budget, ranks=ranks, quadratic=self.quadratic)

    def inputs(self, batch: MicroBatch, device: Any) -> dict[str, Any]:
        """See [`Layout`][]."""
        labelled = torch.from_numpy(batch.labels != IGNORED_LABEL)
        # Without a mask transformers isolates rows by their restarting positions, at the cost of the bin's square.
        apart: dict[str, Any] = {"attention_mask": None}
        if self.varlen:
            apart = varlen_inputs(batch, device)
        elif self.segments:
            lengths = np.diff(batch.cu_seqlens).tolist()
            apart = segment_inputs(Segments(lengths, range(len(lengths))), device)
        return {
            "input_ids": torch.from_numpy(batch.input_ids)[None].to(device),
            "position_ids": torch.from_numpy(batch.position_ids)[None].to(device),
            "predicting": labelled.nonzero()[:, 0].to(device),
            "targets": torch.from_numpy(batch.labels)[labelled].to(device),
            **apart,
        }


LAYOUTS: dict[LayoutName, Callable[..., Layout]] = {
    "padded": PaddedLayout,
    "packed": PackedLayout,
    "shared": SharedLayout,
}


def make_layout(name: LayoutName, model: Any, *, pad_id: int, token_budget: int) -> Layout:
    """The layout called `name`, which may make `p2o_varlen` the model's attention."""
    return LAYOUTS[name](model, pad_id=pad_id, token_budget=token_budget)


def resolve_layout(name: LayoutName | Literal["auto"], model: Any) -> LayoutName:
    """What `auto` stands for: packed where a kernel keeps to the rows; on a processor shared, if the model is not so
    small that calls of attention count; else padded."""
    if name != "auto":
        return name
    if supports_varlen(model):
        return "packed"
    hidden = largest(model.config.get_text_config(decoder=True), "hidden_size") or 0
    wins = model.device.type == "cpu" and takes_segments(model) and hidden >= SHARED_FROM
    return "shared" if wins else "padded"


def padded_micro_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of sequences of similar length, at most `token_budget` padded tokens together; longest first."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    for i in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def deal(batches: list[list[int]], lengths: Sequence[int], ranks: int) -> list[list[list[int]]]:
    """Deals padded micro-batches (longest sequence first in each) to ranks: the same number and about the same cost.

    The most costly ones are halved until their number is a multiple of `ranks`; what cannot be halved is filled up
    with empty ones: there are fewer sequences than micro-batches.

    Returns:
        Indices by rank and micro-batch.
    """
    batches = list(batches)

    def cost(batch: Sequence[int]) -> int:
        return len(batch) * lengths[batch[0]] if batch else 0

    while len(batches) % ranks:
        largest = max(
            range(len(batches)), key=lambda k: (cost(batches[k]) if len(batches[k]) > 1 else -1, -k)
        )
        batch = batches[largest]
        if len(batch) <= 1:
            batches.append([])
        else:
            half = (len(batch) + 1) // 2
            batches[largest : largest + 1] = [batch[:half], batch[half:]]
    parts = balance([float(cost(batch)) for batch in batches], ranks)
    dealt: list[list[list[int]]] = [[] for _ in range(ranks)]
    for batch, part in zip(batches, parts, strict=True):
        dealt[part].append(batch)
    # The k-th micro-batches of all ranks run at the same time: most costly first everywhere.
    return [sorted(own, key=lambda batch: (-cost(batch), batch)) for own in dealt]


def head_chunks(packing: Packing, response_lengths: NDArray[np.int64], ranks: int) -> list[int]:
    """In how many parts the logits of each of a rank's micro-batches are computed: `CHUNK_TOKENS` at most in one.

    The same on all ranks: under ZeRO-3 each part gathers the output matrix, and a rank with more parts than the others
    would wait for ever.

    Args:
        packing: micro-batches of all ranks.
        response_lengths: response tokens of each row.
        ranks: how many there are.
    """
    tokens = np.array([response_lengths[rows].sum() for rows in packing], dtype=np.int64).reshape(ranks, -1)
    return [max(1, -(-int(most) // CHUNK_TOKENS)) for most in tokens.max(axis=0)]


def empty_micro_batch(pad_id: int) -> MicroBatch:
    """The least a model can be run on, for a rank that has nothing to do while the others work."""
    return fill(pack([2], 2), Rows.of([[pad_id]], [[pad_id]]))[0]


def split_sequences(layout: Layout, sequences: Sequences, ranks: int = 1) -> Packing:
    """How `layout` deals sequences to micro-batches and ranks."""
    lengths = [len(prompt) + len(response) for prompt, response in sequences]
    return layout.split(lengths, ranks, [prompt for prompt, _ in sequences])


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def score_share(
    forward: Forward,
    layout: Layout,
    sequences: Sequences,
    packing: Packing,
    *,
    rank: int = 0,
    ranks: int = 1,
    pad_id: int,
    device: Any,
) -> list[tuple[int, NDArray[np.float32]]]:
    """Scores a rank's micro-batches: index and log-probs of each sequence in them."""
    chunks = head_chunks(packing, np.array([len(response) for _, response in sequences]), ranks)
    indices, own = packing.share(rank)
    rows = Rows.of([sequences[i][0] for i in indices], [sequences[i][1] for i in indices])
    batches = fill(own, rows)
    scored = []
    for batch, parts in zip(batches, chunks, strict=True):
        used = batch if len(batch.rows) else empty_micro_batch(pad_id)
        logp = forward(**layout.inputs(used, device), chunks=parts).cpu().numpy()
        scored.append(logp if used is batch else logp[:0])
    return list(zip(indices.tolist(), unpack(batches, scored), strict=True))


def score_sequences(
    model: Any,
    sequences: Sequences,
    *,
    pad_id: int,
    temperature: float,
    micro_batch_tokens: int,
    layout: LayoutName = "padded",
) -> list[NDArray[np.float32]]:
    """Log-probs of each response given its prompt under `model`, in this process: [T] each, in the order given."""
    chosen = make_layout(layout, model, pad_id=pad_id, token_budget=micro_batch_tokens)
    packing = split_sequences(chosen, sequences)
    forward = LogprobModel(model, temperature)
    scored = score_share(forward, chosen, sequences, packing, pad_id=pad_id, device=model.device)
    return [logp for _, logp in sorted(scored, key=lambda pair: pair[0])]
