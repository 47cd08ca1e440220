"""Metrics beside `metrics.jsonl`: TensorBoard and Weights & Biases, with the packages themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2o.assembly import prepare
from p2o.config import load_config
from p2o.errors import ConfigError
from p2o.track.logs import open_logs
from p2o.track.tensorboard import TensorBoard
from p2o.track.wandb import WandB


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever runs the tests may be logged in at Weights & Biases."""
    import wandb

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()  # it reads the environment once
    yield
    wandb.teardown()


def scalars(folder: Path) -> list[tuple[int, float]]:
    """Step and value of `reward`, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("reward")]


def test_tensorboard_forgets_what_a_resumed_run_repeats(tmp_path: Path) -> None:
    first = TensorBoard(tmp_path)
    for step in (1, 2, 3):
        first.log({"step": step, "reward": float(step)})
    first.close()
    second = TensorBoard(tmp_path, resumed_at=1)
    second.log({"step": 2, "reward": 20.0})
    second.close()
    assert scalars(tmp_path) == [(1, 1.0), (2, 20.0)]


def test_tensorboard_on_a_full_disk_is_a_system_error(tmp_path: Path) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    log = TensorBoard(tmp_path)
    log.writer.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        log.writer = RecordWriter(full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            log.log({"step": 1, "reward": 1.0})
        assert caught.value.filename == str(log.path)


def test_wandb_takes_the_numbers_and_a_resumed_run_goes_on_in_the_same_one(tmp_path: Path) -> None:
    folder = tmp_path / "smollm2-seed0"
    folder.mkdir()
    first = WandB(folder, "arithmetic", {"run": {"seed": 7}})
    first.log({"step": 1, "reward": 0.25, "by_family": {"addition": 1.0}})
    first.log({"step": 1, "evaluation/accuracy": 0.5})  # an evaluation belongs to the step before it
    first.log({"step": 2, "reward": 0.75})
    assert (first.run.project, first.run.name) == ("arithmetic", "smollm2-seed0")
    assert first.run.config["run"] == {"seed": 7}
    first.log({"step": 3, "reward": 0.5})  # only now step 2 has all its records
    summary = dict(first.run.summary)
    first.close()
    assert {name: value for name, value in summary.items() if not name.startswith("_")} == {
        "reward": 0.75,
        "evaluation/accuracy": 0.5,
    }
    second = WandB(folder, "arithmetic", {})
    assert second.run.id == first.run.id == (folder / "wandb-id").read_text()
    second.close()
    assert len(list(folder.glob("wandb/offline-run-*"))) == 2


def test_wandb_without_a_key_is_one_line_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()
    with pytest.raises(
        ConfigError, match=r"^track.wandb: .*API key.*: set WANDB_API_KEY, or WANDB_MODE=offline"
    ) as refused:
        prepare(load_config("quickstart", ["track.wandb=arithmetic"]), tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_the_settings_say_which_logs_are_open(tmp_path: Path) -> None:
    assert open_logs(load_config("quickstart"), tmp_path, resumed_at=None) == []
    config = load_config("quickstart", ["track.tensorboard=true", "track.wandb=arithmetic"])
    tensorboard, wandb = open_logs(config, tmp_path, resumed_at=None)
    assert isinstance(tensorboard, TensorBoard)
    assert isinstance(wandb, WandB)
    assert wandb.run.config["rollout"]["n"] == config.rollout.n
    tensorboard.close()
    wandb.close()
