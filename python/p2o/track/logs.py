"""Where a run's metrics go besides `metrics.jsonl`. To add a place: a class with `log`, a setting, a line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from p2o.config import Config
from p2o.errors import MissingDependencyError
from p2o.track.run_directory import config_values
from p2o.track.tensorboard import TensorBoard
from p2o.track.wandb import WandB, check_access


class MetricLog(Protocol):
    """Takes the records of `metrics.jsonl` as they come."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Adds one record; `step` is its position."""
        ...

    def close(self) -> None:
        """Closes the log of a finished run."""
        ...


def check_logs(config: Config) -> None:
    """Checks that the logs can be opened, before anything slow starts.

    Raises:
        MissingDependencyError: if a package is missing.
        ConfigError: if there is no access to Weights & Biases.
    """
    for name, wanted in (("tensorboard", config.track.tensorboard), ("wandb", config.track.wandb)):
        if wanted and find_spec(name) is None:
            raise MissingDependencyError(f"track.{name} needs {name}: pip install {name}")
    if config.track.wandb is not None:
        check_access()


def open_logs(config: Config, folder: Path, *, resumed_at: int | None) -> list[MetricLog]:
    """The logs that the settings ask for, for the run directory `folder`; `resumed_at` is the step it resumes from."""
    logs: list[MetricLog] = []
    if config.track.tensorboard:
        logs.append(TensorBoard(folder / "tensorboard", resumed_at=resumed_at))
    if config.track.wandb is not None:
        logs.append(WandB(folder, config.track.wandb, config_values(config)))
    return logs
