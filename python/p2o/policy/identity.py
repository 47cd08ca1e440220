"""What a checkpoint of a policy says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, Self

from p2o.errors import CheckpointError

IDENTITY = "policy.json"
"""File of a checkpoint that says what wrote it."""

FORMAT = 2
"""Of the checkpoint's files."""


class Identity(NamedTuple):
    """Who wrote a checkpoint, and what its weights must lead back to."""

    ranks: int
    """Processes that wrote it, a file each."""
    lora: int
    """Rank of the adapters; 0 without."""
    steps: int
    """Optimizer steps done."""
    probe: list[list[float]]
    """Log-probs of `p2o.policy.readback.probe_sequences` under its weights."""

    def write(self, folder: Path) -> None:
        """Into the checkpoint at `folder`."""
        text = json.dumps({"format": FORMAT, **self._asdict()})
        (folder / IDENTITY).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """That of the checkpoint at `folder`.

        Raises:
            CheckpointError: if it is incomplete, or another version of p2o wrote it.
        """
        try:
            values = json.loads((folder / IDENTITY).read_bytes())
            written = values.get("format", 1)
            if written == FORMAT:
                ranks, lora, steps = (int(values[name]) for name in ("ranks", "lora", "steps"))
                return cls(ranks, lora, steps, values["probe"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{folder / IDENTITY} cannot be read: the checkpoint is damaged; "
                "without its folder --resume takes the one before"
            ) from error
        raise CheckpointError(
            f"{folder} is of format {written}, and this version of p2o reads {FORMAT}: go on with the version that "
            "wrote it, or start a new run"
        )
