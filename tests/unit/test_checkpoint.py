"""A checkpoint or an export that cannot be written: one line, nothing half-written, and what stood before stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from safetensors import SafetensorError

import p2o.checkpoint
from p2o.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from p2o.errors import CheckpointError, ModelError
from p2o.policy.config import LossConfig
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy

FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


def make_policy(model: Any, lora: LoraConfig | None = None) -> TorchPolicy:
    return TorchPolicy(
        model, OptimizerConfig(lora=lora), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )


def full(error: Exception) -> Any:
    def write(*arguments: Any, **options: Any) -> None:
        raise error

    return write


@pytest.mark.parametrize("where", ["weights", "optimizer", "state", "pointer"])
@pytest.mark.parametrize("error", FULL, ids=["OSError", "SafetensorError"])
def test_a_full_disk_leaves_the_earlier_checkpoint(
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    where: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = make_policy(random_model)
    save_checkpoint(tmp_path, "epoch-1", policy, tokenizer, {"step": 1}, keep=1)
    with monkeypatch.context() as patch:
        match where:
            case "weights":
                patch.setattr(random_model, "save_pretrained", full(error))
            case "optimizer":
                patch.setattr(safetensors.torch, "save_file", full(error))
            case "state":
                patch.setattr(p2o.checkpoint.json, "dumps", full(error))
            case "pointer":
                patch.setattr("p2o.files.os.fsync", full(error))
        with pytest.raises(
            CheckpointError, match=r"epoch-2 cannot be written \(.*No space left.*--resume"
        ) as told:
            save_checkpoint(tmp_path, "epoch-2", policy, tokenizer, {"step": 2}, keep=1)
    assert "\n" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LATEST", "epoch-1"]
    newest = latest_checkpoint(tmp_path)
    assert newest == tmp_path / "epoch-1"
    assert load_checkpoint(newest, policy) == {"step": 1}
    save_checkpoint(tmp_path, "epoch-2", policy, tokenizer, {"step": 2}, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LATEST", "epoch-2"]


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2)], ids=["whole", "adapters"])
@pytest.mark.parametrize("error", FULL, ids=["OSError", "SafetensorError"])
def test_a_full_disk_leaves_the_earlier_export(
    random_model: Any,
    tokenizer: Any,
    tmp_path: Path,
    lora: Any,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = make_policy(random_model, lora)
    policy.export(tmp_path / "model", tokenizer)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "model").iterdir()}
    monkeypatch.setattr(random_model, "save_pretrained", full(error))
    with pytest.raises(ModelError, match=r"cannot write the model to .*model: .*No space left") as told:
        policy.export(tmp_path / "model", tokenizer)
    assert "\n" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "model").iterdir()} == before


@pytest.mark.parametrize(
    "name",
    ["state.json", "optimizer-00000-of-00001.safetensors", "model/model.safetensors", "checksums.json"],
)
@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_a_damaged_checkpoint_is_refused(
    random_model: Any, tokenizer: Any, tmp_path: Path, name: str, damage: str
) -> None:
    """A flipped bit of a moment of the optimizer shows nowhere else."""
    policy = make_policy(random_model)
    save_checkpoint(tmp_path, "epoch-1", policy, tokenizer, {"step": 1}, keep=1)
    file = tmp_path / "epoch-1" / name
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    match damage:
        case "bit":
            file.write_bytes(bytes(data))
        case "cut":
            file.write_bytes(bytes(data[:-5]))
        case "gone":
            file.unlink()
    with pytest.raises(
        CheckpointError, match=r"epoch-1 to go on from the checkpoint before it, or start a new run$"
    ):
        load_checkpoint(tmp_path / "epoch-1", policy)
