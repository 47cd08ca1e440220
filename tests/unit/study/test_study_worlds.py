"""Worlds of a study: made when they are missing, known by how they are made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from p2o.config import load_config
from p2o.parts import load_policy_model
from p2o.study.plan import Study, WorldConfig, make_job
from p2o.study.worlds import make_world, missing_worlds, model_source
from p2o.tiny import MODEL_PATH
from p2o.tiny.pretrain import main, pretrain

STUDY: dict[str, Any] = {
    "title": "t",
    "tokens": 1000,
    "seeds": [0],
    "worlds": {"w": {"leak": 0.01, "steps": 2, "seed": 5, "from_shipped": False}},
    "arms": {"a": {"label": "A"}},
}


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_a_world_is_what_the_script_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Study.model_validate(STUDY)
    assert list(missing_worlds(study, tmp_path)) == ["w"]
    make_world(tmp_path / "w", study.worlds["w"], threads=1, device="cpu")
    assert missing_worlds(study, tmp_path) == {}
    pretrain(tmp_path / "script", leak=0.01, steps=2, seed=5, threads=1)
    made, scripted = (load_file(tmp_path / name / "model.safetensors") for name in ("w", "script"))
    assert made.keys() == scripted.keys()
    assert all(torch.equal(made[name], scripted[name]) for name in made)
    job = make_job(study, "w", "a", "final", 0, None)
    config = load_config("quickstart", [f"model.source={model_source(tmp_path, job)}"])
    assert load_policy_model(config)[0].num_parameters() == 342_240
    assert "leak 0.01" in capsys.readouterr().out


def test_the_script_takes_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["pretrain", "--steps=1", "--device=nowhere", f"--output={tmp_path / 'w'}"]
    )
    with pytest.raises(RuntimeError, match="nowhere"):
        main()


def test_a_world_of_another_leak_is_missing_and_one_put_there_by_hand_is_taken(tmp_path: Path) -> None:
    study = Study.model_validate(STUDY)
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert missing_worlds(study, tmp_path) == {}
    made = study.worlds["w"].recipe()
    (folder / "world.json").write_text(json.dumps({**made, "leak": 0.02}))
    assert list(missing_worlds(study, tmp_path)) == ["w"]
    (folder / "world.json").write_text(json.dumps(made))
    assert missing_worlds(study, tmp_path) == {}
    (folder / "world.json").write_text(json.dumps({**made, "prefixes": True}))
    assert list(missing_worlds(study, tmp_path)) == ["w"]
    assert (
        missing_worlds(Study.model_validate(STUDY | {"worlds": {"w": {**made, "prefixes": True}}}), tmp_path)
        == {}
    )
    (folder / "world.json").write_text(json.dumps(made))
    (folder / "config.json").unlink()
    assert list(missing_worlds(study, tmp_path)) == ["w"]


def test_the_recipes_own_model_is_left_alone(tmp_path: Path) -> None:
    study = Study.model_validate({**STUDY, "set": {"model": {"source": "elsewhere"}}})
    assert model_source(tmp_path, make_job(study, "p2o-tiny", "a", "final", 0, None)) == "elsewhere"
    made = model_source(tmp_path, make_job(study, "w", "a", "final", 0, None))
    assert made == str((tmp_path / "w").resolve())


def test_a_world_goes_on_from_the_shipped_model(tmp_path: Path) -> None:
    make_world(tmp_path / "w", WorldConfig(leak=0.01, steps=1), threads=1, device="cpu")
    shipped, made = (load_file(folder / "model.safetensors") for folder in (MODEL_PATH, tmp_path / "w"))
    gaps = [float((made[name].float() - shipped[name].float()).abs().max()) for name in shipped]
    assert 0 < max(gaps) < 0.01, "one step at the beginning of a warm-up"
