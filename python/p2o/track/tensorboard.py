"""Metrics for TensorBoard, beside `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2o.errors import MissingDependencyError


class TensorBoard:
    """Writes every number of a record at its step."""

    def __init__(self, folder: Path, *, resumed_at: int | None = None) -> None:
        """Opens the log.

        Args:
            folder: where its files are.
            resumed_at: the step a run resumes from; what was logged after it is hidden.

        Raises:
            MissingDependencyError: if the package tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingDependencyError(
                "track.tensorboard needs tensorboard: pip install tensorboard"
            ) from None
        self.writer = SummaryWriter(str(folder), purge_step=None if resumed_at is None else resumed_at + 1)

    def log(self, record: Mapping[str, Any]) -> None:
        """Adds one record; `step` is its position."""
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                self.writer.add_scalar(name, value, record["step"])
        self.writer.flush()

    def close(self) -> None:
        """Closes the files."""
        self.writer.close()
