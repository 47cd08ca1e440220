"""Checkpoints: a directory each, complete or absent, safetensors and JSON only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from p2o.errors import RunDirectoryError
from p2o.files import new_directory, write_text
from p2o.model.load import save_model
from p2o.policy.torch_backend import TorchPolicy

LATEST = "LATEST"
"""File that names the newest complete checkpoint."""


def save_checkpoint(
    folder: Path, name: str, policy: TorchPolicy, tokenizer: Any, state: dict[str, Any], *, keep: int
) -> Path:
    """Writes the directory `name` with the model (Hugging Face format), the optimizer and the loop's state.

    Names sort by age and are never used twice. The `keep` newest checkpoints stay.
    """
    path = folder / name
    with new_directory(path) as temporary:
        save_model(policy.model, tokenizer, temporary / "model")
        policy.save(temporary)
        (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
    write_text(folder / LATEST, path.name + "\n")
    for old in sorted(folder.glob("epoch-*"))[:-keep]:
        shutil.rmtree(old)
    return path


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None before the first.

    Raises:
        RunDirectoryError: if the one that `LATEST` names is gone.
    """
    pointer = folder / LATEST
    if not pointer.exists():
        return None
    path = folder / pointer.read_text(encoding="utf-8").strip()
    if not (path / "state.json").exists():
        raise RunDirectoryError(
            f"{path} is named by {pointer} but is not there: restore it or start a new run"
        )
    return path


def load_checkpoint(path: Path, policy: TorchPolicy) -> dict[str, Any]:
    """Restores weights and optimizer in place and returns the loop's state."""
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for file in sorted((path / "model").glob("*.safetensors")):
        weights |= load_file(file)
    # Tied weights are stored once: the missing ones must share memory with those that are there.
    missing, unexpected = policy.model.load_state_dict(weights, strict=False)
    tied = set(getattr(policy.model, "_tied_weights_keys", None) or ())
    if unexpected or set(missing) - tied:
        raise RunDirectoryError(
            f"{path} does not belong to this model: {sorted(set(missing) - tied) or unexpected}"
        )
    policy.load(path)
    state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
    return state
