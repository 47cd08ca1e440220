"""The worlds of a study: tiny models with other leaks, trained when they are missing."""

from __future__ import annotations

import json
from pathlib import Path

from p2o.errors import RunDirectoryError
from p2o.files import new_directory, read_json
from p2o.study.plan import SHIPPED_WORLD, Job, Study, WorldConfig

WORLD = "world.json"
"""File beside a world's weights: how it was made. A folder without it was put there by hand and is used as given."""


def model_source(folder: Path, job: Job) -> str:
    """What `model.source` is for a run: the recipe's, or the world made in `folder`."""
    return job.config.model.source if job.world == SHIPPED_WORLD else str((folder / job.world).resolve())


def missing_worlds(study: Study, folder: Path) -> dict[str, WorldConfig]:
    """The worlds that `folder` lacks, or that were made with other settings than the study's."""
    return {name: world for name, world in study.worlds.items() if not _is_made(folder / name, world)}


def make_world(folder: Path, world: WorldConfig, *, threads: int, device: str) -> None:
    """Pre-trains the model of a world; `folder` is complete or absent."""
    from p2o.tiny import MODEL_PATH
    from p2o.tiny.pretrain import pretrain

    with new_directory(folder) as temporary:
        pretrain(
            temporary,
            leak=world.leak,
            steps=world.steps,
            seed=world.seed,
            threads=threads,
            device=device,
            start=MODEL_PATH if world.from_shipped else None,
            prefixes=world.prefixes,
        )
        (temporary / WORLD).write_text(json.dumps(world.recipe()) + "\n", encoding="utf-8")


def _is_made(folder: Path, world: WorldConfig) -> bool:
    if not (folder / "config.json").is_file():
        return False
    made = folder / WORLD
    if not made.exists():
        return True
    remedy = "remove its folder to make the world again"
    return read_json(made, RunDirectoryError, remedy) == world.recipe()
