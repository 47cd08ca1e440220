"""A run of a study in its own process: what it finds in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from p2o.config import load_config
from p2o.study.worker import run_job
from p2o.track.run_directory import config_values


class Prepared(Exception):
    """Ends a job where its run would begin."""


@pytest.mark.parametrize("left", ["nothing", "a checkpoint", "all but checkpoints"])
def test_a_run_goes_on_from_a_checkpoint_and_else_starts_again(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    if left != "nothing":
        (folder / "evolve").mkdir(parents=True)
        (folder / "config.toml").touch()
    if left == "a checkpoint":
        (folder / "checkpoints").mkdir()

    def prepare(config: Any, path: Path, *, resume: bool, console: Any) -> None:
        assert path == folder
        assert resume == (left == "a checkpoint")
        assert path.exists() == resume, "journals of a finished run name rollouts that are gone"
        raise Prepared

    monkeypatch.setattr("p2o.assembly.prepare", prepare)
    values = config_values(load_config("quickstart"))
    with pytest.raises(Prepared):
        run_job({"run": str(folder), "config": values, "teacher": False, "keep_model": False})
