"""Metrics and rollouts for Weights & Biases, beside the run directory."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from p2o.errors import ConfigError
from p2o.files import write_text
from p2o.track.run_directory import config_values
from p2o.track.tracker import Tracker

if TYPE_CHECKING:
    from p2o.config import Config


@contextmanager
def _one_line() -> Iterator[None]:
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            f"wandb (track.to): {reason}: set WANDB_API_KEY, or WANDB_MODE=offline to keep the metrics here"
        ) from None


class WandB(Tracker):
    """Sends every number of a record at its step, and rollouts as tables, to a run of Weights & Biases.

    The run's id is kept in the run directory, so that a resumed run continues the same one. The service drops the
    steps that are repeated, which are equal.
    """

    packages = ("wandb",)

    def __init__(self, run: Any) -> None:
        """Takes an open run of Weights & Biases."""
        self.run = run

    @classmethod
    def check(cls, config: Config) -> None:
        """Looks for a key and tries it, unless `WANDB_MODE` says that nothing is sent. On a terminal wandb asks for it.

        Raises:
            MissingDependencyError: if wandb is missing.
            ConfigError: if there is no key, it is not valid, or the service cannot be reached.
        """
        super().check(config)
        import wandb

        if os.environ.get("WANDB_MODE", "online") == "online":
            with _one_line():
                wandb.login()

    @classmethod
    def open(cls, folder: Path, config: Config, *, resumed_at: int | None) -> Self:
        """Opens the run. Raises ConfigError if the service cannot be reached, or there is no key for it."""
        import wandb

        identity = folder / "wandb-id"
        if not identity.exists():
            write_text(identity, uuid.uuid4().hex[:12])
        with _one_line():
            run = wandb.init(
                project=config.track.project,
                name=folder.name,
                id=identity.read_text(encoding="utf-8", errors="replace"),  # a damaged one is refused
                dir=folder,
                config=config_values(config),
                resume="allow",
                reinit="create_new",  # `--compare` trains twice in one process
                # The console is p2o's own: wandb would capture it otherwise, and print a summary into it.
                settings=wandb.Settings(console="off", silent=True),
            )
        return cls(run)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See [`Tracker`][]. They are sent with the first ones of a later step, or by `close`."""
        self.run.log(dict(values), step=step)

    def rollouts(self, step: int, table: Sequence[Mapping[str, Any]]) -> None:
        """Adds a table of the step."""
        import wandb

        columns: list[str | int] = [*table[0]]
        rows = [list(row.values()) for row in table]
        self.run.log({"rollouts": wandb.Table(columns=columns, data=rows)}, step=step)

    def close(self) -> None:
        """Sends what is left and marks the run as finished."""
        self.run.finish()
