"""Trackers: where a run's metrics and rollouts go beside the run directory. `track.to` names them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from p2o.errors import MissingDependencyError
from p2o.plugins import look_up_class
from p2o.track.config import TRACKERS

if TYPE_CHECKING:
    from p2o.config import Config


class Tracker(ABC):
    """Takes a run's metrics and rollouts as they come, in the order of the steps.

    A run that was killed and resumed gives the steps after its checkpoint once more, with equal values.

    To add one: a class of this kind, and its name in `TrackerName` and `TRACKERS` (`p2o.track.config`); or nothing but
    the class, named by its import path.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    """What must be installed."""

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuses, before anything slow starts, what `open` would refuse.

        Raises:
            MissingDependencyError: if a package is missing.
            ConfigError: if there is no access to where the metrics go.
        """
        for package in cls.packages:
            if find_spec(package) is None:
                raise MissingDependencyError(
                    f"the tracker {cls.__name__} (track.to) needs {package}: pip install {package}"
                )

    @classmethod
    @abstractmethod
    def open(cls, folder: Path, config: Config, *, resumed_at: int | None) -> Self:
        """Begins, or goes on with, the run of the directory `folder`; `resumed_at` is the step that it resumes from."""

    @abstractmethod
    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Adds figures of a step; a step may come twice with different ones, as with an evaluation after it."""

    def rollouts(self, step: int, table: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027  # not all have tables
        """Adds a sample of a step's rollouts (`track.rollouts` of them), a row each, all with the same columns.

        `text` is the model's: whatever shows it as markup must escape it.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the log of a finished run."""


def check_trackers(config: Config) -> None:
    """Checks that the run's trackers can be opened. Raises what their `check` does."""
    for name in config.track.to:
        tracker_class(name).check(config)


def open_trackers(config: Config, folder: Path, *, resumed_at: int | None) -> list[Tracker]:
    """The trackers that the settings ask for, for the run directory `folder`."""
    return [tracker_class(name).open(folder, config, resumed_at=resumed_at) for name in config.track.to]


def tracker_class(name: str) -> type[Tracker]:
    """The class that an entry of `track.to` names."""
    return look_up_class(TRACKERS, name, "track.to", Tracker)
