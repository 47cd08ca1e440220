"""What a report is made of: the files of a run directory, or of one that `p2o evolve` wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2o.errors import P2oError, RunDirectoryError
from p2o.files import read_jsonl, read_toml
from p2o.rollout.reward import RewardConfig
from p2o.track.about import read_about
from p2o.track.run_directory import RunDirectory, flatten

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RunRecords:
    """The records of one run, as its files have them."""

    name: str
    metrics: Sequence[Record] = ()
    templates: Sequence[Record] = ()
    transfer: Sequence[Record] = ()
    rollouts: Iterable[Record] = ()
    """Of all steps, each with its `step`; may be gone through several times."""
    settings: Record = field(default_factory=dict)
    """By their dotted names."""
    about: Record = field(default_factory=dict)
    reward: RewardConfig | None = None
    """None where the settings cannot be read by this version of p2o."""
    success: float = 1.0
    """Reward from which a rollout is a success (`mining.success`)."""

    @property
    def evaluations(self) -> list[Record]:
        """The lines of metrics that hold an evaluation."""
        return [record for record in self.metrics if "evaluation/accuracy" in record]

    @property
    def steps(self) -> list[Record]:
        """Those of training steps."""
        return [record for record in self.metrics if "reward" in record]

    @property
    def prompt_steps(self) -> list[Record]:
        """Those of prompt steps."""
        return [record for record in self.metrics if "guidance/outcome" in record]

    @property
    def families(self) -> list[str]:
        """The families of evaluation problems, in alphabetical order."""
        prefix = "evaluation/accuracy/"
        return sorted({key.removeprefix(prefix) for r in self.metrics for key in r if key.startswith(prefix)})


@dataclass(frozen=True, slots=True)
class RolloutFiles:
    """The rollouts of a run, read one file after the other whenever they are gone through: all may not fit into memory.

    Raises:
        RunDirectoryError: when a damaged line is come to.
    """

    folder: Path

    def __iter__(self) -> Iterator[Record]:
        for file in sorted(self.folder.glob("step-*.jsonl")):
            step = int(file.stem.removeprefix("step-"))
            for record in read_jsonl(file):
                yield {"step": step, **record}


BEGINS_WITH = ("config.toml", "journal.jsonl", "metrics.jsonl", "templates.jsonl")
"""Files of a run of which one is there from its start: the second of `p2o evolve` on a file of problems."""


def require_begun(path: Path) -> None:
    """Raises RunDirectoryError for a folder in which no run has begun."""
    if not any((path / name).exists() for name in BEGINS_WITH):
        raise nothing_there(path)


def nothing_there(path: Path) -> RunDirectoryError:
    """The error about a folder that there is nothing to report of."""
    return RunDirectoryError(
        f"{path}: neither metrics.jsonl nor templates.jsonl has a line; is it a run directory?"
    )


def read_run(path: Path) -> RunRecords:
    """The records of a run directory; rollouts are read when they are asked for.

    Raises:
        RunDirectoryError: if there is nothing to report, or a line is damaged.
    """
    metrics, templates = read_jsonl(path / "metrics.jsonl"), read_jsonl(path / "templates.jsonl")
    if not metrics and not templates:
        raise nothing_there(path)
    settings: dict[str, Any] = {}
    reward, success = None, 1.0
    if (path / "config.toml").exists():
        settings = flatten(read_toml(path / "config.toml", RunDirectoryError))
        with suppress(P2oError):  # of another version of p2o
            config = RunDirectory.config_of(path)
            reward, success = config.reward, config.mining.success
    return RunRecords(
        path.resolve().name,
        metrics,
        templates,
        read_jsonl(path / "transfer.jsonl"),
        RolloutFiles(path / "rollouts"),
        settings,
        read_about(path),
        reward,
        success,
    )
