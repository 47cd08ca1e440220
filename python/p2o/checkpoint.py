"""Checkpoints: a directory each, complete or absent, safetensors and JSON only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import CheckpointError, ModelError
from p2o.files import checksums, naming, new_directory, read_json, write_text
from p2o.policy.policy import Policy

LATEST = "LATEST"
"""File that names the newest complete checkpoint."""

CHECKSUMS = "checksums.json"
"""File of a checkpoint with the checksums of its others: nothing else shows a flipped bit in an optimizer's state."""


def save_checkpoint(
    folder: Path,
    name: str,
    policy: Policy,
    tokenizer: Any,
    state: dict[str, Any],
    *,
    keep: int,
    processes: Processes = ONE_PROCESS,
) -> None:
    """Writes the directory `name` with the policy and the loop's state.

    Names sort by age, and a name stands for one state of the run: what `LATEST` names already is not written again.
    The `keep` newest checkpoints stay; later ones, left by a kill before `LATEST` was written, go. All ranks write
    their parts; `folder` must be one they all see.

    Raises:
        CheckpointError: if it cannot be written (a full disk). Nothing of it is left, and earlier ones stay.
    """
    path = folder / name

    def save(temporary: Path) -> None:
        policy.save(temporary, tokenizer)
        processes.gather(None)  # rank 0 renames the directory when all have written

    def write(save: Callable[[Path], None]) -> None:
        if latest_checkpoint(folder) == path:
            return
        with new_directory(path) as temporary:
            save(temporary)
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            sums = checksums(temporary)
            (temporary / CHECKSUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")
        make_newest(path, keep)

    with _written(path):
        processes.lead({"save": save}, lambda actions: write(actions["save"]))


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """What fails while the checkpoint at `path` is written, in one line."""
    from safetensors import SafetensorError

    try:
        with naming(path):
            yield
    except (OSError, SafetensorError, ModelError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CheckpointError(
            f"the checkpoint {path} cannot be written ({reason}): make room or mend it, then go on with --resume; "
            "earlier checkpoints are as they were"
        ) from error


def make_newest(path: Path, keep: int) -> None:
    """Makes `path` the newest checkpoint and removes what is no longer kept."""
    folder = path.parent
    write_text(folder / LATEST, path.name + "\n")
    others = sorted(other for other in folder.glob("epoch-*") if other != path)
    earlier = [other for other in others if other.name < path.name]
    kept = earlier[max(0, len(earlier) - (keep - 1)) :]
    for other in others:
        if other not in kept:
            shutil.rmtree(other)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None before the first."""
    pointer = folder / LATEST
    if pointer.exists():
        path = folder / Path(pointer.read_text(encoding="utf-8", errors="replace").strip()).name
        if (path / "state.json").exists():
            return path
    complete = sorted(file.parent for file in folder.glob("epoch-*/state.json"))
    return complete[-1] if complete else None


def load_checkpoint(path: Path, policy: Policy, processes: Processes = ONE_PROCESS) -> dict[str, Any]:
    """Restores weights and optimizer in place and returns the loop's state.

    Raises:
        CheckpointError: if a file is missing or damaged, or the policy is another.
    """
    processes.on_main(lambda: _check_files(path))
    policy.load(path)
    state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
    return state


def _check_files(path: Path) -> None:
    """Compares the files of a checkpoint with the checksums that were written with them."""
    remedy = f"remove {path} to go on from the checkpoint before it, or start a new run"
    expected = read_json(path / CHECKSUMS, CheckpointError, remedy)
    found = checksums(path)
    for name in sorted(expected):
        if expected[name] != found.get(name):
            how = "damaged: its checksum is another" if name in found else "missing"
            raise CheckpointError(f"{path / name} is {how}; {remedy}")
