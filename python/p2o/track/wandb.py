"""Metrics for Weights & Biases, beside `metrics.jsonl`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2o.errors import ConfigError
from p2o.files import write_text


def check_access() -> None:
    """Looks for a key and tries it, unless `WANDB_MODE` says that nothing is sent. On a terminal wandb asks for one.

    Raises:
        ConfigError: if there is none, it is not valid, or the service cannot be reached.
    """
    import wandb

    if os.environ.get("WANDB_MODE", "online") == "online":
        with _one_line():
            wandb.login()


@contextmanager
def _one_line() -> Iterator[None]:
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            f"track.wandb: {reason}: set WANDB_API_KEY, or WANDB_MODE=offline to keep the metrics here"
        ) from None


class WandB:
    """Sends every number of a record at its step to a run of Weights & Biases.

    The run's id is kept in the run directory, so that a resumed run continues the same one. The service drops the
    steps that are repeated, which are equal.
    """

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any]) -> None:
        """Opens the run.

        Args:
            folder: the run directory; the run takes its name.
            project: where the run is listed.
            config: the settings shown with it.

        Raises:
            ConfigError: if the service cannot be reached, or there is no key for it.
        """
        import wandb

        identity = folder / "wandb-id"
        if not identity.exists():
            write_text(identity, uuid.uuid4().hex[:12])
        with _one_line():
            self.run = wandb.init(
                project=project,
                name=folder.name,
                id=identity.read_text(encoding="utf-8", errors="replace"),  # a damaged one is refused
                dir=folder,
                config=dict(config),
                resume="allow",
                reinit="create_new",  # `--compare` trains twice in one process
                # The console is p2o's own: wandb would capture it otherwise, and print a summary into it.
                settings=wandb.Settings(console="off", silent=True),
            )

    def log(self, record: Mapping[str, Any]) -> None:
        """Sends one record; `step` is its position. It is sent with the first one of a later step, or by `close`."""
        numbers = {
            name: value for name, value in record.items() if name != "step" and isinstance(value, int | float)
        }
        self.run.log(numbers, step=record["step"])

    def close(self) -> None:
        """Sends what is left and marks the run as finished."""
        self.run.finish()
