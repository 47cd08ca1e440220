"""What a policy backend is: weights that score and learn, and that a sampler can take over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from p2o.packing import Rows
from p2o.policy.rows import Sequences
from p2o.policy.streams import GlobalCounts

WEIGHT_GROUP_BYTES = 2**30
"""About how much of a model is gathered at once when its weights move to a sampler."""


class Weights(Protocol):
    """What a sampler takes over."""

    model: Any
    """The module (a transformers model)."""

    shares_model: bool
    """Whether `model` holds the whole current weights, so that a sampler in this process can draw from it."""

    def weights(self) -> Iterator[list[tuple[str, Any]]]:
        """The current weights under their Hugging Face names, whole, in groups of about `WEIGHT_GROUP_BYTES`.

        Tied weights come once. LoRA is merged. A group's tensors are only good until the next one is asked for.
        """
        ...


class Policy(Weights, Protocol):
    """A causal language model under training.

    In a run of several processes every method is called by all ranks with the same arguments, and returns the same
    on all of them; the backend shares out the work.
    """

    def score(self, sequences: Sequences) -> list[NDArray[np.float32]]:
        """Log-probs of each response given its prompt under the current weights, [T] each, at the sampling
        temperature."""
        ...

    def update(self, rows: Rows, counts: GlobalCounts) -> dict[str, float]:
        """One optimizer step over `rows`, with the streams of `prepare`; `counts` are those of the whole batch.

        Raises:
            TrainingError: if the loss or the gradient is not finite (the weights are left as they were).
        """
        ...

    def save(self, folder: Path, tokenizer: Any) -> None:
        """Writes into `folder` what `load` needs to go on exactly: weights and optimizer state."""
        ...

    def load(self, folder: Path) -> None:
        """Restores what `save` wrote.

        Raises:
            CheckpointError: if it was written by another backend or number of ranks.
        """
        ...

    def export(self, folder: Path, tokenizer: Any) -> None:
        """Writes the model in Hugging Face format: a new directory, complete or absent."""
        ...
