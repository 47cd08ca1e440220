"""The layout `shared`: rows with the same prompt lie behind one copy of it, so that a group's prompt is read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from p2o.errors import ModelError
from p2o.packing import IGNORED_LABEL, MicroBatch, Packing, pack
from p2o.policy.attention import segment_inputs, takes_segments, use_varlen
from p2o.policy.segments import Segments


class SharedLayout:
    """Prompt, response, response, ... of each group, end to end in one row; positions go on from the prompt.

    Raises:
        ModelError: if the architecture's attention cannot be told who sees whom.
    """

    shares_rows = True

    def __init__(self, model: Any, *, pad_id: int, token_budget: int) -> None:
        if not takes_segments(model):
            raise ModelError(
                f"{type(model).__name__} cannot share prompts: its attention is not transformers' sdpa over keys and "
                'values alone; set optimizer.layout = "padded"'
            )
        self.token_budget = token_budget
        use_varlen(model)

    def split(self, lengths: ArrayLike, ranks: int = 1, prompts: Sequence[ArrayLike] = ()) -> Packing:
        """Bins of at most `token_budget` tokens, a shared prompt counted once. Rows with the same prompt stay together
        where they fit, and where that leaves no rank without work."""
        tokens = np.asarray(lengths, dtype=np.int64).tolist()
        budget = max([self.token_budget, *tokens])
        ids = [np.asarray(prompt, dtype=np.int64) for prompt in prompts]
        by_prompt: dict[bytes | int, list[int]] = defaultdict(list)
        for row in range(len(tokens)):
            by_prompt[ids[row].tobytes() if ids else row].append(row)

        def size(rows: list[int]) -> int:
            copies = len(ids[rows[0]]) * (len(rows) - 1) if ids else 0
            total: int = sum(tokens[row] for row in rows) - copies
            return total

        units = [part for rows in by_prompt.values() for part in _cut(rows, size, budget)]

        def packed() -> Packing:
            return pack([size(rows) for rows in units], budget, ranks=ranks)

        bins = packed()
        # A rank would have nothing to do.
        while len(units) < len(bins) and max(map(len, units), default=0) > 1:
            widest = max(range(len(units)), key=lambda unit: (len(units[unit]) > 1, size(units[unit]), -unit))
            rows = units[widest]
            half = (len(rows) + 1) // 2
            units[widest : widest + 1] = [rows[:half], rows[half:]]
            bins = packed()
        return Packing.of(
            [
                [[row for unit in bins[bin] for row in units[unit]] for bin in bins.of_rank(rank)]
                for rank in range(ranks)
            ],
            bins.fill,
        )

    def inputs(self, batch: MicroBatch, device: Any) -> dict[str, Any]:
        """See [`p2o.policy.layout.Layout`][]."""
        labelled = batch.labels != IGNORED_LABEL
        groups: dict[bytes, list[int]] = defaultdict(list)
        bounds: list[tuple[int, int, int]] = []  # of each row: where it begins, its response begins, it ends
        for row, (start, end) in enumerate(zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True)):
            response = (
                int(start + np.argmax(labelled[start:end])) + 1 if labelled[start:end].any() else int(end)
            )
            bounds.append((int(start), response, int(end)))
            groups[batch.input_ids[start:response].tobytes()].append(row)
        taken: list[range] = []  # pieces of the batch's tokens, in the order of the row
        parents: list[int] = []
        predicting: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(bounds)
        width = 0
        for rows in groups.values():
            start, response, _ = bounds[rows[0]]
            prompt = len(taken)
            taken.append(range(start, response))
            parents.append(prompt)
            width += response - start
            last = width - 1
            for row in rows:
                _, response, end = bounds[row]
                if response < end:
                    taken.append(range(response, end))
                    parents.append(prompt)
                    # A token is predicted at the one before it: the first at the end of the prompt.
                    predicting[row] = np.array([last, *range(width, width + end - response - 1)])
                    width += end - response
        order = np.concatenate([np.arange(piece.start, piece.stop) for piece in taken])
        return {
            "input_ids": torch.from_numpy(batch.input_ids[order])[None].to(device),
            "position_ids": torch.from_numpy(batch.position_ids[order])[None].to(device),
            "predicting": torch.from_numpy(np.concatenate(predicting)).to(device),
            "targets": torch.from_numpy(batch.labels[labelled]).to(device),
            **segment_inputs(Segments(list(map(len, taken)), parents), device),
        }


def _cut(rows: list[int], size: Callable[[list[int]], int], budget: int) -> list[list[int]]:
    """Rows with the same prompt in parts that fit into `budget`, each with a copy of the prompt."""
    parts: list[list[int]] = [[]]
    for row in rows:
        if parts[-1] and size([*parts[-1], row]) > budget:
            parts.append([])
        parts[-1].append(row)
    return parts
