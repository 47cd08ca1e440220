"""Code of one's own that is told how a run goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from p2o.track.console import Console, RunProgress


class Callback:
    """Override what is of interest. It is called on rank 0; what it raises ends the run, which can be resumed.

    Records are those of `metrics.jsonl` and of the run's history: don't change them.
    """

    def on_step(self, metrics: Mapping[str, Any]) -> None:
        """After a training step, with its line of metrics."""

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """After an evaluation: `step`, `epoch`, `generated_tokens`, `accuracy`, `by_family`, `hard` (or None)."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """At an epoch's end, after `on_evaluation` and with the same record."""

    def on_prompt_step(self, record: Mapping[str, Any]) -> None:
        """After a prompt step: `step`, `templates` (texts), `tokens`, `reason` (a few words), `refusals`."""


class TellingConsole(Console):
    """A console that passes on to callbacks what it shows; `shown` tells whether it shows anything."""

    def __init__(self, callbacks: Sequence[Callback], *, shown: bool) -> None:
        super().__init__(None if shown else Console.silent().rich)
        self.callbacks = callbacks

    def stepped(self, record: Mapping[str, Any], progress: RunProgress) -> None:
        """See [`Console`][p2o.track.console.Console]."""
        super().stepped(record, progress)
        for callback in self.callbacks:
            callback.on_step(record)

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """See [`Console`][p2o.track.console.Console]."""
        super().evaluated(record)
        for callback in self.callbacks:
            callback.on_evaluation(record)
            if record["hard"] is not None and "within" not in record:
                callback.on_epoch(record)

    def guided(self, record: Mapping[str, Any]) -> None:
        """See [`Console`][p2o.track.console.Console]."""
        super().guided(record)
        for callback in self.callbacks:
            callback.on_prompt_step(record)
