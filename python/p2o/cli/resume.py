"""Which run `p2o train --resume` continues, and by which settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from p2o.config import Config, apply_override, build_config, load_config
from p2o.errors import ConfigError, RunDirectoryError
from p2o.files import read_toml
from p2o.track.run_directory import RunDirectory

RUNS = Path("runs")
"""Where runs without `run.output` are written."""


def run_to_resume(given: str, recipe: str | None, overrides: Sequence[str]) -> tuple[Path, Config]:
    """The run directory, and the settings that the run began with, changed by `overrides`.

    Args:
        given: the run directory; empty for the newest run of the recipe, with the seed and the method of `overrides`
            if they name one.
        recipe: the recipe as given, if one was.
        overrides: `section.name=value` each.

    Raises:
        ConfigError: if a run and a recipe are given.
        RunDirectoryError: if there is no such run.
    """
    if given and recipe is not None:
        raise ConfigError(f"--resume {given} takes the settings of that run: leave out the recipe {recipe}")
    path = Path(given) if given else newest_run(recipe or "quickstart", overrides)
    if not (path / "config.toml").exists():
        raise RunDirectoryError(f"{path}: no run to resume there (no config.toml)")
    began = RunDirectory.config_of(path)
    values = read_toml(path / "config.toml", RunDirectoryError)
    for override in overrides:
        apply_override(values, override)
    config = build_config(values)
    if config.run.epochs > began.run.epochs and config.run.schedule_epochs is None:
        # The learning rates of the epochs that are done were those of a shorter run.
        run = config.run.model_copy(update={"schedule_epochs": began.run.epochs})
        config = config.model_copy(update={"run": run})
    return path, config


def newest_run(recipe: str, overrides: Sequence[str]) -> Path:
    """The run of a recipe that was at work last.

    Raises:
        RunDirectoryError: if there is none.
    """
    asked = load_config(recipe, overrides).run
    if asked.output is not None:
        return asked.output
    named = {override.partition("=")[0].strip() for override in overrides}
    method = asked.method if "run.method" in named else r"\w+"
    seed = str(asked.seed) if "run.seed" in named else r"\d+"
    name = re.compile(rf"{re.escape(Path(recipe).stem)}-{method}-seed{seed}(-\d+)?")
    found = [path for path in RUNS.glob("*/config.toml") if name.fullmatch(path.parent.name)]
    if not found:
        raise RunDirectoryError(f"nothing to resume: there is no run of {recipe} in {RUNS}/")
    return max((path.parent for path in found), key=_last_work)


def _last_work(path: Path) -> tuple[float, str]:
    """When a checkpoint was written last, or else the run began; of equals, the later name."""
    files = [path / "config.toml", *path.glob("checkpoints/*")]
    return max(file.stat().st_mtime for file in files), path.name
