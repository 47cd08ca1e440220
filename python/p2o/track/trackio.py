"""Metrics and rollouts for Trackio, beside the run directory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from p2o.errors import ConfigError, in_one_line
from p2o.track.run_directory import config_values
from p2o.track.tracker import Tracker

if TYPE_CHECKING:
    from p2o.config import Config

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$&])")
"""Characters that may mean something in Markdown."""


class Trackio(Tracker):
    """Writes every number of a record at its step, and rollouts as tables, to a run of Trackio that has the name of the
    run directory: a resumed run continues it.

    Trackio keeps them on this machine unless its variables name a Space or a server.
    """

    packages = ("trackio",)

    def __init__(self, run: Any) -> None:
        """Takes an open run of Trackio."""
        self.run = run

    @classmethod
    def open(cls, folder: Path, config: Config, *, resumed_at: int | None) -> Self:
        """Opens the run. Raises ConfigError if Trackio refuses the project or its variables."""
        import trackio

        try:
            with redirect_stdout(StringIO()):  # the console is p2o's own
                run = trackio.init(
                    project=config.track.project,
                    name=folder.name,
                    config=config_values(config),
                    resume="never" if resumed_at is None else "allow",
                    embed=False,
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
        except Exception as error:  # of its own, of the hub, of the network
            raise ConfigError(f"trackio (track.to) cannot be opened: {in_one_line(error)}") from None
        return cls(run)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See [`Tracker`][]; what cannot be sent is kept by Trackio, which warns."""
        self.run.log(dict(values), step=step)

    def rollouts(self, step: int, table: Sequence[Mapping[str, Any]]) -> None:
        """Adds a table, whose texts Trackio shows as Markdown: they are escaped."""
        import trackio

        rows = [{name: _literal(value) for name, value in row.items()} for row in table]
        self.run.log({"rollouts": trackio.Table(data=rows)}, step=step)

    def close(self) -> None:
        """Writes what is left."""
        import trackio

        with redirect_stdout(StringIO()):
            trackio.finish()  # of the run that was opened last, as a process has one at a time


def _literal(value: Any) -> Any:
    return _MARKUP.sub(r"\\\1", value) if isinstance(value, str) else value
