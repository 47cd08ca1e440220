"""Layouts: how sequences become micro-batches, and how a micro-batch goes through the model.

`padded` puts sequences of similar length side by side and fills the shorter ones up; `packed` puts them end to end in
one row. Either way what comes out is the log-prob of every response token, in row order, so scoring, losses and metrics
do not know the layout. To add one: a class with `split` and `inputs`, a name in `LayoutName`, a line in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from p2o.packing import IGNORED_LABEL, MicroBatch, Packing, Rows, balance, fill, pack
from p2o.policy.attention import supports_varlen, use_varlen, varlen_inputs
from p2o.policy.logprobs import CHUNK_TOKENS, output_head, token_logprobs
from p2o.policy.optimizer_config import LayoutName
from p2o.policy.rows import ScoredRow, Sequences

Split = list[list[list[int]]]
"""Micro-batches of each rank as indices of sequences: [rank][micro-batch][sequence]. All ranks have as many; a
micro-batch is empty only if there are fewer sequences than micro-batches."""

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
        )


class Layout(Protocol):
    """How sequences share micro-batches."""

    def split(self, lengths: Sequence[int], ranks: int = 1) -> Split:
        """Deals sequences to micro-batches and those to ranks."""
        ...

    def inputs(self, batch: MicroBatch, device: Any) -> dict[str, Any]:
        """The arguments of `LogprobModel.forward` for the labelled tokens of `batch`."""
        ...


class PaddedLayout:
    """Sequences of similar length side by side, padded on the right."""

    def __init__(self, model: Any, *, pad_id: int, token_budget: int) -> None:
        self.pad_id = pad_id
        self.token_budget = token_budget

    def split(self, lengths: Sequence[int], ranks: int = 1) -> Split:
        """Longest first, at most `token_budget` padded tokens together; a longer sequence gets a pass of its own."""
        return deal(padded_micro_batches(lengths, self.token_budget), lengths, ranks)

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

    def __init__(self, model: Any, *, pad_id: int, token_budget: int) -> None:
        self.token_budget = token_budget
        # Attention's share of a layer's work on L tokens: 2 L² hidden of 24 L hidden² + 2 L² hidden.
        self.quadratic = 1 / (12 * model.config.hidden_size)
        self.varlen = supports_varlen(model)
        if self.varlen:
            use_varlen(model)

    def split(self, lengths: Sequence[int], ranks: int = 1) -> Split:
        """Bins of at most `token_budget` tokens. A sequence longer than that sets the budget: it must fit anyway."""
        budget = max(self.token_budget, *lengths) if lengths else self.token_budget
        packing = pack(np.asarray(lengths, dtype=np.int64), budget, ranks=ranks, quadratic=self.quadratic)
        return [[packing[bin].tolist() for bin in packing.of_rank(rank)] for rank in range(ranks)]

    def inputs(self, batch: MicroBatch, device: Any) -> dict[str, Any]:
        """See [`Layout`][]."""
        labelled = torch.from_numpy(batch.labels != IGNORED_LABEL)
        return {
            "input_ids": torch.from_numpy(batch.input_ids)[None].to(device),
            "position_ids": torch.from_numpy(batch.position_ids)[None].to(device),
            "predicting": labelled.nonzero()[:, 0].to(device),
            "targets": torch.from_numpy(batch.labels)[labelled].to(device),
            # Without a mask transformers' sdpa isolates rows by their restarting positions.
            **(varlen_inputs(batch, device) if self.varlen else {"attention_mask": None}),
        }


LAYOUTS: dict[LayoutName, Callable[..., Layout]] = {"padded": PaddedLayout, "packed": PackedLayout}


def make_layout(name: LayoutName, model: Any, *, pad_id: int, token_budget: int) -> Layout:
    """The layout called `name`; on a GPU a packed model's attention becomes `p2o_varlen`."""
    return LAYOUTS[name](model, pad_id=pad_id, token_budget=token_budget)


def resolve_layout(name: str, model: Any) -> LayoutName:
    """What `auto` stands for: packed where attention keeps to the rows, padded where it would compute their square."""
    if name == "packed" or (name == "auto" and supports_varlen(model)):
        return "packed"
    return "padded"


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


def deal(batches: list[list[int]], lengths: Sequence[int], ranks: int) -> Split:
    """Deals padded micro-batches (longest sequence first in each) to ranks: the same number and about the same cost.

    The most costly ones are halved until their number is a multiple of `ranks`; what cannot be halved is filled up
    with empty ones.
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
    dealt: Split = [[] for _ in range(ranks)]
    for batch, part in zip(batches, parts, strict=True):
        dealt[part].append(batch)
    # The k-th micro-batches of all ranks run at the same time: most costly first everywhere.
    return [sorted(own, key=lambda batch: (-cost(batch), batch)) for own in dealt]


def head_chunks(split: Split, responses: Sequence[int]) -> list[int]:
    """In how many parts the logits of each of a rank's micro-batches are computed: `CHUNK_TOKENS` at most in one.

    The same on all ranks: under ZeRO-3 each part gathers the output matrix, and a rank with more parts than the others
    would wait for ever.

    Args:
        split: micro-batches of all ranks.
        responses: response tokens of each sequence.
    """
    tokens = [[sum(responses[i] for i in batch) for batch in own] for own in split]
    return [max(1, -(-max(step) // CHUNK_TOKENS)) for step in zip(*tokens, strict=True)]


def lengths_of(sequences: Sequences) -> list[int]:
    """Tokens of each sequence, prompt and response."""
    return [len(prompt) + len(response) for prompt, response in sequences]


def micro_batch(sequences: Sequences) -> MicroBatch:
    """Sequences as one micro-batch, without anything but their tokens."""
    return _fill_one(Rows.of([prompt for prompt, _ in sequences], [response for _, response in sequences]))


def training_batch(rows: Sequence[ScoredRow]) -> MicroBatch:
    """Scored rows as one micro-batch, with their streams."""
    streams = {
        "old_logp": [row.old_logp_T for row in rows],
        "context_weight": [row.context_weight_T for row in rows],
        "engine_weight": [row.engine_weight_T for row in rows],
    }
    reference = [row.ref_logp_T for row in rows if row.ref_logp_T is not None]
    if reference and len(reference) == len(rows):
        streams["ref_logp"] = reference
    return _fill_one(
        Rows.of(
            [row.row.prompt_ids for row in rows],
            [row.row.rollout.response_ids for row in rows],
            advantages=[row.row.advantage for row in rows],
            trained=[row.row.counted for row in rows],
            streams={name: np.concatenate(values) for name, values in streams.items()},
        )
    )


def _fill_one(rows: Rows) -> MicroBatch:
    count = len(rows.lengths)
    packing = Packing(
        indices=np.arange(count, dtype=np.uint32),
        bins=np.array([0, count], dtype=np.uint32),
        ranks=np.zeros(1, dtype=np.uint32),
        fill=1.0,
    )
    return fill(packing, rows)[0]


def empty_micro_batch(pad_id: int) -> MicroBatch:
    """The least a model can be run on, for a rank that has nothing to do while the others work."""
    return micro_batch([([pad_id], [pad_id])])


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def score_share(
    forward: Forward,
    layout: Layout,
    sequences: Sequences,
    split: Split,
    *,
    rank: int = 0,
    pad_id: int,
    device: Any,
) -> list[tuple[int, NDArray[np.float32]]]:
    """Scores a rank's micro-batches: index and log-probs of each sequence in them."""
    chunks = head_chunks(split, [len(response) for _, response in sequences])
    scored = []
    for indices, parts_of_head in zip(split[rank], chunks, strict=True):
        chosen = [sequences[i] for i in indices]
        batch = micro_batch(chosen) if chosen else empty_micro_batch(pad_id)
        logp = forward(**layout.inputs(batch, device), chunks=parts_of_head).cpu().numpy()
        ends = np.cumsum([len(response) for _, response in chosen])
        parts = np.split(logp, ends[:-1]) if chosen else []
        scored += [(i, part.copy()) for i, part in zip(indices, parts, strict=True)]
    return scored


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
    split = chosen.split(lengths_of(sequences))
    forward = LogprobModel(model, temperature)
    scored = score_share(forward, chosen, sequences, split, pad_id=pad_id, device=model.device)
    return [logp for _, logp in sorted(scored, key=lambda pair: pair[0])]
