"""What is on disk is what is in memory: log-probs of a few fixed sequences tell, whatever went wrong in between.

A merge that is lost or transposed, tied weights that are torn apart, a layout that loads as fresh weights: none of
them raises an error where the model is written. After an export the folder is loaded as its users would load it; a
checkpoint holds the log-probs of its weights, and they are compared when it is taken up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o.errors import ModelError, P2oError
from p2o.model.checks import embedding_rows
from p2o.model.load import load_model, longest_sequence
from p2o.policy.layout import score_sequences
from p2o.policy.rows import Sequences

TOLERANCE = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.5}
"""Largest mean difference in nats a token, by the type of the weights, at a temperature of 1 or more.

Random tokens are unlikely ones, whose log-probs round more coarsely than those of sampled ones. Measured on
SmolLM2-135M: adapters and the weights they are merged into differ by 7e-6 in float32 and by 0.08 in bfloat16; the same
weights in bfloat16 and float32 by 0.09, in float16 and float32 by 0.015.
"""


def probe_sequences(model: Any) -> Sequences:
    """Four sequences of random tokens, always the same for a vocabulary: (prompt, response) pairs."""
    head = getattr(model.get_output_embeddings(), "out_features", None)
    rows = min(embedding_rows(model), head or embedding_rows(model))  # one of the two may be padded
    length = min(16, longest_sequence(model) or 16)
    tokens = np.random.default_rng(0).integers(rows, size=(4, length)).tolist()
    return [(row[: length // 4], row[length // 4 :]) for row in tokens]


def difference(found: Sequence[ArrayLike], expected: Sequence[ArrayLike]) -> float:
    """Mean difference of log-probs in nats a token; infinite where one is no number."""
    gaps = np.abs(np.concatenate([np.subtract(a, b) for a, b in zip(found, expected, strict=True)]))
    return float(gaps.mean()) if np.isfinite(gaps).all() else float("inf")


def tolerance(model: Any, temperature: float) -> float:
    """How far log-probs at this temperature may be apart: below 1 it magnifies roundings."""
    return TOLERANCE[str(model.dtype).removeprefix("torch.")] / min(temperature, 1.0)


def read_back(
    folder: Path,
    model: Any,
    expected: list[NDArray[np.float32]],
    *,
    temperature: float,
    trust_remote_code: bool,
) -> None:
    """Loads what was written into `folder` and compares it with the model in memory.

    Args:
        folder: an export that has no name yet. It is loaded into the host's memory.
        model: what was exported.
        expected: log-probs of `probe_sequences` by the model in memory.
        temperature: that of the log-probs.
        trust_remote_code: whether the model's code may come from the folder.

    Raises:
        ModelError: if the folder cannot be loaded, or gives other log-probs.
    """
    kept = "nothing is kept of it (checkpoints are)"
    try:
        loaded, _ = load_model(
            folder, dtype=str(model.dtype).removeprefix("torch."), trust_remote_code=trust_remote_code
        )
        found = score_sequences(
            loaded, probe_sequences(model), pad_id=0, temperature=temperature, micro_batch_tokens=1024
        )
    except P2oError as error:
        reason = str(error).replace(str(folder), "the folder")
        raise ModelError(
            f"the {type(model).__name__} as it was written cannot be loaded ({reason}): {kept}"
        ) from error
    limit = tolerance(model, temperature)
    apart = difference(found, expected)
    if not apart <= limit:
        raise ModelError(
            f"the {type(model).__name__} as it was written is not what was trained: loaded afresh, its log-probs "
            f"differ by {apart:.2g} nats a token, over {limit:g}; {kept}"
        )
