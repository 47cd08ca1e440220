"""Metrics for TensorBoard, beside the run directory's."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from p2o.files import naming
from p2o.track.tracker import Tracker

if TYPE_CHECKING:
    from p2o.config import Config


class TensorBoard(Tracker):
    """Writes every number of a record at its step.

    At once and in this thread: torch's `SummaryWriter` writes in another one, which shows a full disk as a traceback.
    """

    packages = ("tensorboard",)

    def __init__(self, folder: Path, *, resumed_at: int | None = None) -> None:
        """Opens the log.

        Args:
            folder: where its files are.
            resumed_at: the step a run resumes from; what was logged after it is hidden.

        Raises:
            OSError: if the file cannot be written.
        """
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self.writer = RecordWriter(self.path.open("wb"))
        self._write(file_version="brain.Event:2")
        if resumed_at is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=resumed_at + 1, session_log=start)

    @classmethod
    def open(cls, folder: Path, config: Config, *, resumed_at: int | None) -> Self:
        """The log in `tensorboard/` of the run directory."""
        return cls(folder / "tensorboard", resumed_at=resumed_at)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See [`Tracker`][]; rollouts are not written, for TensorBoard has no tables."""
        shown = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=self._summary(value=shown))

    def _write(self, **fields: Any) -> None:
        with naming(self.path):
            self.writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())
            self.writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self.writer.close()
