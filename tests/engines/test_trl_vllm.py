"""P²O in TRL's trainer with `use_vllm=True`: it draws from TRL's engine, whose weights are those of the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch import launch


@pytest.mark.slow
def test_completions_come_from_trls_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (found,) = launch(1, Path(__file__).with_name("trl_engine.py"), "train", str(tmp_path))
    assert found["sampler"] == "TrainersEngine"
    assert found["finite"]
    assert len(found["fresh"]) >= 7
    assert all(found["fresh"]), "each draw follows a push of the newest weights"
    assert len(found["gaps"]) == 7
    assert max(found["gaps"]) < 1e-3, "nats a token from the trainer's, on the plain prompt"
    assert found["templated"][:4] == [0, 0, 0, 0]
    assert min(found["templated"][4:]) > 0
