"""Which model `p2o eval --model` takes of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2o.cli.eval import model_of
from p2o.errors import RunDirectoryError


def make_run(path: Path, *files: str) -> Path:
    for name in ("config.toml", *files):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    return path


CHECKPOINT = "checkpoints/epoch-000001-step-00000000"


def test_the_export_goes_first_then_the_newest_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", f"{CHECKPOINT}/state.json", f"{CHECKPOINT}/model/config.json")
    assert model_of(str(run)) == str(run / CHECKPOINT / "model")
    make_run(run, "model/config.json")
    assert model_of(str(run)) == str(run / "model")
    assert model_of("owner/name") == "owner/name"
    assert model_of(str(run / "model")) == str(run / "model")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([f"{CHECKPOINT}/state.json"], r"holds no model yet: .*LoRA.*DeepSpeed.*--resume"),
        ([], "holds no checkpoint yet"),
        (["metrics.jsonl"], "holds no checkpoint yet"),
    ],
)
def test_a_run_without_a_whole_model_says_why(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(RunDirectoryError, match=message):
        model_of(str(make_run(tmp_path / "run", *files)))
