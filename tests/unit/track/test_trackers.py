"""Trackers, with the packages themselves: what they are given is there, and a resumed run goes on in the same place."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from p2o.assembly import prepare
from p2o.config import load_config
from p2o.errors import ConfigError, MissingDependencyError
from p2o.files import read_jsonl
from p2o.loop import train
from p2o.track.tensorboard import TensorBoard
from p2o.track.tracker import Tracker, check_trackers, open_trackers
from p2o.track.wandb import WandB

ROLLOUTS = [
    {"problem": "a", "reward": 1.0, "text": "\\boxed{2} <b>"},
    {"problem": "b", "reward": 0.0, "text": "?"},
]


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
        first.metrics(step, {"reward": float(step)})
    first.close()
    second = TensorBoard(tmp_path, resumed_at=1)
    second.metrics(2, {"reward": 20.0})
    second.close()
    assert scalars(tmp_path) == [(1, 1.0), (2, 20.0)]


def test_tensorboard_on_a_full_disk_is_a_system_error(tmp_path: Path) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    log = TensorBoard(tmp_path)
    log.writer.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        log.writer = RecordWriter(full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            log.metrics(1, {"reward": 1.0})
        assert caught.value.filename == str(log.path)


def test_wandb_takes_the_numbers_and_a_resumed_run_goes_on_in_the_same_one(tmp_path: Path) -> None:
    folder = tmp_path / "smollm2-seed0"
    folder.mkdir()
    config = load_config("quickstart", ["track.project=arithmetic", "run.seed=7"])
    first = WandB.open(folder, config, resumed_at=None)
    first.metrics(1, {"reward": 0.25})
    first.metrics(1, {"evaluation/accuracy": 0.5})  # an evaluation belongs to the step before it
    first.rollouts(1, ROLLOUTS)
    first.metrics(2, {"reward": 0.75})
    assert (first.run.project, first.run.name) == ("arithmetic", "smollm2-seed0")
    assert first.run.config["run"]["seed"] == 7
    first.metrics(3, {"reward": 0.5})  # only now step 2 has all its records
    summary = dict(first.run.summary)
    first.close()
    (table,) = folder.glob("wandb/offline-run-*/files/media/table/rollouts_*.table.json")
    assert json.loads(table.read_text()) == {
        "columns": ["problem", "reward", "text"],
        "data": [["a", 1.0, "\\boxed{2} <b>"], ["b", 0.0, "?"]],
    }
    assert summary.pop("rollouts")["nrows"] == 2
    assert {name: value for name, value in summary.items() if not name.startswith("_")} == {
        "reward": 0.75,
        "evaluation/accuracy": 0.5,
    }
    second = WandB.open(folder, config, resumed_at=3)
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
        ConfigError, match=r"^wandb \(track.to\): .*API key.*: set WANDB_API_KEY, or WANDB_MODE=offline"
    ) as refused:
        prepare(load_config("quickstart", ['track.to=["wandb"]']), tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_the_settings_say_which_trackers_are_open(tmp_path: Path) -> None:
    assert open_trackers(load_config("quickstart"), tmp_path, resumed_at=None) == []
    config = load_config("quickstart", ['track.to=["tensorboard", "wandb"]', "track.project=arithmetic"])
    tensorboard, wandb = open_trackers(config, tmp_path, resumed_at=None)
    assert isinstance(tensorboard, TensorBoard)
    assert isinstance(wandb, WandB)
    assert wandb.run.project == "arithmetic"
    assert wandb.run.config["rollout"]["n"] == config.rollout.n
    tensorboard.close()
    wandb.close()


def test_trackio_takes_metrics_and_tables_and_a_resumed_run_goes_on_in_the_same_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trackio = pytest.importorskip("trackio", exc_type=ImportError)
    from p2o.track.trackio import Trackio

    config = load_config("quickstart", ['track.to=["trackio"]', "track.project=arithmetic"])
    check_trackers(config)
    folder = tmp_path / "tiny-seed0"
    first = Trackio.open(folder, config, resumed_at=None)
    first.metrics(1, {"reward": 0.25, "time/total_s": 3.0})
    first.metrics(1, {"evaluation/accuracy": 0.5})
    first.rollouts(1, ROLLOUTS)
    first.metrics(2, {"reward": 0.75})
    first.close()
    second = Trackio.open(folder, config, resumed_at=2)
    assert second.run.id == first.run.id
    second.metrics(3, {"reward": 1.0})
    second.close()
    assert capfd.readouterr() == ("", "")
    (run,) = trackio.Api().runs("arithmetic")
    assert run.name == "tiny-seed0"
    assert run.config["rollout"]["n"] == config.rollout.n
    from trackio.sqlite_storage import SQLiteStorage

    logged = SQLiteStorage.get_logs("arithmetic", "tiny-seed0")
    assert [(one["step"], one["reward"]) for one in logged if "reward" in one] == [
        (1, 0.25),
        (2, 0.75),
        (3, 1.0),
    ]
    (table,) = [one["rollouts"]["_value"] for one in logged if "rollouts" in one]
    # Shown as Markdown, where this is the text itself.
    assert [row["text"] for row in table] == ["\\\\boxed\\{2\\} \\<b\\>", "?"]
    with pytest.raises(ConfigError, match=r"^trackio \(track.to\) cannot be opened: "):
        Trackio.open(folder, load_config("quickstart", ["track.project=registry-x"]), resumed_at=None)


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    module = pytest.importorskip("mlflow", exc_type=ImportError)
    module.set_tracking_uri(None)
    return module


def test_mlflow_takes_metrics_and_tables_and_a_resumed_run_goes_on_in_the_same_one(
    tmp_path: Path, mlflow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from p2o.track.mlflow import MLflow

    config = load_config("quickstart", ['track.to=["mlflow"]', "track.project=arithmetic"])
    check_trackers(config)
    folder = tmp_path / "tiny-seed0"
    folder.mkdir()
    first = MLflow.open(folder, config, resumed_at=None)
    first.metrics(1, {"reward": 0.25, "evaluation/accuracy/x|y": 0.5})
    first.rollouts(1, ROLLOUTS)
    first.close()
    second = MLflow.open(folder, config, resumed_at=1)
    second.metrics(2, {"reward": 0.75})
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("arithmetic").experiment_id])
    assert run.info.run_id == first.run_id == second.run_id == (folder / "mlflow-run-id").read_text()
    assert (run.info.run_name, run.info.status) == ("tiny-seed0", "RUNNING")
    assert run.data.params["rollout.n"] == str(config.rollout.n)
    history = client.get_metric_history(second.run_id, "reward")
    assert [(one.step, one.value) for one in history] == [(1, 0.25), (2, 0.75)]
    assert run.data.metrics["evaluation/accuracy/x_y"] == 0.5
    table = json.loads(
        Path(client.download_artifacts(second.run_id, "rollouts/step-000001.json")).read_text()
    )
    assert table == {
        "columns": ["problem", "reward", "text"],
        "data": [["a", 1.0, "\\boxed{2} <b>"], ["b", 0.0, "?"]],
    }

    def fail(*_: Any, **__: Any) -> None:
        raise mlflow.MlflowException("no\nanswer")

    monkeypatch.setattr(second.client, "log_batch", fail)
    with caplog.at_level(logging.WARNING, logger="p2o.track.mlflow"):
        second.metrics(3, {"reward": 1.0})
    assert "mlflow (track.to) did not take step 3: MlflowException: no answer" in caplog.text
    second.close()
    assert client.get_run(second.run_id).info.status == "FINISHED"


def test_an_mlflow_that_is_not_there_is_one_line(mlflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "no-such-scheme://elsewhere")
    with pytest.raises(
        ConfigError, match=r"^mlflow \(track.to\) cannot be used: .*MLFLOW_TRACKING_URI"
    ) as refused:
        check_trackers(load_config("quickstart", ['track.to=["mlflow"]']))
    assert "\n" not in str(refused.value)


class Kept(Tracker):
    """A tracker of one's own."""

    said: list[tuple[str, int, Any]] = []  # noqa: RUF012  # read by the test

    @classmethod
    def open(cls, folder: Path, config: Any, *, resumed_at: int | None) -> Self:
        cls.said = []
        return cls()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.said.append(("metrics", step, dict(values)))

    def rollouts(self, step: int, table: Sequence[Mapping[str, Any]]) -> None:
        self.said.append(("rollouts", step, [dict(row) for row in table]))

    def close(self) -> None:
        self.said.append(("close", 0, None))


def test_a_tracker_of_ones_own_is_given_what_the_run_directory_has(tmp_path: Path) -> None:
    settings = ["data.train_size=8", "data.evaluation_size=4", "run.method=grpo", "run.epochs=1"]
    path = f"{Kept.__module__}:Kept"
    config = load_config(
        "quickstart", [*settings, "run.batch_problems=4", "rollout.max_tokens=8", f'track.to=["{path}"]']
    )
    run = prepare(config, tmp_path / "run")
    (tracker,) = run.trackers
    train(run)
    run.finish()
    said = type(tracker).said  # type: ignore[attr-defined]
    lines = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert [(step, values) for kind, step, values in said if kind == "metrics"] == [
        (line["step"], {k: v for k, v in line.items() if k != "step" and isinstance(v, int | float)})
        for line in lines
    ]
    tables = {step: table for kind, step, table in said if kind == "rollouts"}
    assert list(tables) == [1, 2]
    for step, table in tables.items():
        assert table == read_jsonl(tmp_path / "run" / "rollouts" / f"step-{step:06d}.jsonl")
    assert said[-1][0] == "close"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (['track.to=["tensorbord"]'], r"track\.to.*tensorbord|tensorboard"),
        (
            ["track.tensorboard=true"],
            r"setting track.tensorboard is gone: write track.to = \[\"tensorboard\"\]",
        ),
        (["track.wandb=arithmetic"], r"setting track.wandb is gone: write track.to = \[\"wandb\"\]"),
    ],
)
def test_names_that_are_none_are_one_line(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        load_config("quickstart", settings)
    assert "\n" not in str(refused.value)


def test_directories_of_earlier_runs_can_be_read() -> None:
    assert load_config("quickstart", ["track.tensorboard=false"]).track.to == ()


def test_a_missing_package_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2o.track.tracker.find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError, match=r"TensorBoard \(track.to\) needs tensorboard: pip install"
    ):
        check_trackers(load_config("quickstart", ['track.to=["tensorboard"]']))


def test_what_is_no_tracker_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^track.to = 'json:loads' is no class derived from .*Tracker$"):
        check_trackers(load_config("quickstart", ['track.to=["json:loads"]']))
