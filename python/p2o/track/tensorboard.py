"""Metrics for TensorBoard, beside `metrics.jsonl`."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2o.errors import MissingDependencyError
from p2o.files import naming


class TensorBoard:
    """Writes every number of a record at its step.

    At once and in this thread: torch's `SummaryWriter` writes in another one, which shows a full disk as a traceback.
    """

    def __init__(self, folder: Path, *, resumed_at: int | None = None) -> None:
        """Opens the log.

        Args:
            folder: where its files are.
            resumed_at: the step a run resumes from; what was logged after it is hidden.

        Raises:
            MissingDependencyError: if the package tensorboard is not installed.
            OSError: if the file cannot be written.
        """
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            raise MissingDependencyError(
                "track.tensorboard needs tensorboard: pip install tensorboard"
            ) from None
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self.writer = RecordWriter(self.path.open("wb"))
        self._write(file_version="brain.Event:2")
        if resumed_at is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=resumed_at + 1, session_log=start)

    def log(self, record: Mapping[str, Any]) -> None:
        """Adds one record; `step` is its position."""
        values = [
            self._summary.Value(tag=name, simple_value=value)
            for name, value in record.items()
            if name != "step" and isinstance(value, int | float)
        ]
        self._write(step=record["step"], summary=self._summary(value=values))

    def _write(self, **fields: Any) -> None:
        with naming(self.path):
            self.writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())
            self.writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self.writer.close()
