"""Where a run is written, and which one `--resume` continues, by which settings."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from p2o.config import Config, Overrides, RunConfig, apply_overrides, build_config
from p2o.data import JsonlData
from p2o.errors import RunDirectoryError
from p2o.files import read_toml
from p2o.track.run_directory import RunDirectory

RUNS = Path("runs")
"""Where runs without `run.output` are written."""


def run_path(config: Config, recipe: str) -> Path:
    """Where a new run is written: `run.output`, or the next free numbered name."""
    if config.run.output is not None:
        return config.run.output
    base = RUNS / f"{recipe}-{config.run.method}-seed{config.run.seed}"
    taken = [
        int(match[1] or 1)
        for folder in base.parent.glob("*")
        if (match := re.fullmatch(re.escape(base.name) + r"(?:-(\d+))?", folder.name))
    ]
    return base if not taken else base.with_name(f"{base.name}-{max(taken) + 1}")


def resumed_config(path: Path, overrides: Overrides = ()) -> Config:
    """The settings that the run at `path` began with, changed by `overrides`.

    Raises:
        ConfigError: if an override cannot be used.
        RunDirectoryError: if there is no such run.
    """
    if not (path / "config.toml").exists():
        raise RunDirectoryError(f"{path}: no run to resume there (no config.toml)")
    began = RunDirectory.config_of(path)
    values = read_toml(path / "config.toml", RunDirectoryError)
    apply_overrides(values, overrides)
    config = build_config(values)
    if config.run.epochs > began.run.epochs and config.run.schedule_epochs is None:
        # The learning rates of the epochs that are done were those of a shorter run.
        run = config.run.model_copy(update={"schedule_epochs": began.run.epochs})
        config = config.model_copy(update={"run": run})
    return with_own_problems(config, path)


def with_own_problems(config: Config, path: Path) -> Config:
    """The settings of the run at `path` with the problems that are in it, where its settings lead nowhere: those that
    `p2o.train` was given are named by the place at which the run began, from which it may have been moved."""
    if not isinstance(config.data, JsonlData):
        return config
    named = [file for file in (config.data.train, config.data.evaluation) if file is not None]
    own = {file: path / file.name for file in named if not file.exists()}
    moved = {file: here.read_text(encoding="utf-8") for file, here in own.items() if here.is_file()}
    return config.model_copy(update={"data": config.data.holding(moved)})


def newest_run(recipe: str, asked: RunConfig, named: Collection[str]) -> Path:
    """The run of a recipe that was at work last; with the method and the seed of `asked` where they are `named`.

    Raises:
        RunDirectoryError: if there is none.
    """
    if asked.output is not None:
        return asked.output
    method = asked.method if "run.method" in named else r"\w+"
    seed = str(asked.seed) if "run.seed" in named else r"\d+"
    name = re.compile(rf"{re.escape(recipe)}-{method}-seed{seed}(-\d+)?")
    found = [path for path in RUNS.glob("*/config.toml") if name.fullmatch(path.parent.name)]
    if not found:
        raise RunDirectoryError(f"nothing to resume: there is no run of {recipe} in {RUNS}/")
    return max((path.parent for path in found), key=_last_work)


def _last_work(path: Path) -> tuple[float, str]:
    """When a checkpoint was written last, or else the run began; of equals, the later name."""
    files = [path / "config.toml", *path.glob("checkpoints/*")]
    return max(file.stat().st_mtime for file in files), path.name
