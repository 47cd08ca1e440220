"""`p2o study` with real runs: what an interrupted one leaves, and what the command prints and returns."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from p2o.cli.main import main
from p2o.cli.study import UNFINISHED
from p2o.files import read_jsonl
from p2o.study import runner as runner_module
from p2o.study.console import Display
from p2o.study.plan import load_study, study_names
from p2o.study.results import Results, header_of
from p2o.study.runner import Runner, Running
from p2o.study.worker import run_job
from p2o.track.run_directory import config_values

STUB = Path(__file__).parents[1] / "unit" / "study" / "study_stub.py"

STUDY = """
title = "One arm"
tokens = 15000
seeds = [0]
keep_models = true

[set]
data.train_size = 48
data.evaluation_size = 12
run.batch_problems = 16
run.threads = 1
mining.min_count = 4
evolve.budget = 60
evolve.dev_size = 6
evolve.parents = 2
evolve.acceptance = "strict"
checkpoint.every = 1

[arms.taught]
label = "P²O with a teacher"
teacher = true
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(STUDY)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


class StopsInTheMiddle(Display):
    """Lets the time limit come when the run has logged its fourth step, which is after the first prompt step."""

    runner: Runner

    def show(self, states: Sequence[Running]) -> None:
        if any(
            sum("reward" in r for r in read_jsonl(state.folder / "metrics.jsonl")) >= 4 for state in states
        ):
            self.runner.deadline = 0.0


def without_clock(record: dict[str, Any]) -> dict[str, Any]:
    evaluations = [{k: v for k, v in e.items() if k != "seconds"} for e in record["evaluations"]]
    return {k: v for k, v in record.items() if k not in ("seconds", "wall_s", "cpu_s")} | {
        "evaluations": evaluations
    }


def unbroken_record(runner: Runner, folder: Path) -> dict[str, Any]:
    """What the runner's only run gives when nothing interrupts it."""
    (job,) = runner.left()
    folder.mkdir()
    threads = torch.get_num_threads()
    try:
        return run_job(
            {
                "header": header_of(job),
                "config": config_values(job.config),
                "teacher": job.teacher,
                "keep_model": False,
                "run": str(folder / "run"),
            }
        )
    finally:
        torch.set_num_threads(threads)


def test_an_interrupted_run_ends_as_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "POLL_SECONDS", 0.01)  # looks often enough to see the fourth step
    display = StopsInTheMiddle(15000, Console(file=StringIO()))
    folder = tmp_path / "broken"
    runner = Runner(load_study("one.toml"), Results(folder), folder / "runs", display, jobs=1)
    display.runner = runner
    unbroken = unbroken_record(runner, tmp_path / "unbroken")
    assert unbroken["tokens"] >= 15000
    assert any(epoch["prompt_step"] for epoch in unbroken["epochs"])
    assert unbroken["prompt_step_tokens"] > 0
    interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what runs in the background
    try:
        assert not runner.work(), "the time limit came first"
    finally:
        signal.signal(signal.SIGINT, interrupts)
    assert Results(folder).records == {}
    assert list((folder / "runs").glob("*taught*/checkpoints/*/state.json"))
    assert main(["study", "one.toml", "--output", str(folder), "--jobs", "1"]) == 0
    resumed = Results(folder).records["p2o-tiny/taught/final-seed0"]
    assert resumed["wall_s"] is resumed["cpu_s"] is None, (
        "a part of a run says nothing about how long one takes"
    )
    assert without_clock(resumed) == without_clock(unbroken)
    assert not list((folder / "runs").glob("*taught*/checkpoints")), "space is given back"
    assert [path.name for path in (folder / "runs").glob("*/model/*.safetensors")] == ["model.safetensors"]
    assert not (tmp_path / "unbroken" / "run" / "model").exists()
    assert (folder / "one-accuracy.svg").exists()


def test_a_study_with_a_failed_run_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "WORKER", (sys.executable, "-c", "import sys; sys.exit('no memory')"))
    assert main(["study", "one.toml", "--output", str(tmp_path / "out")]) == 1
    assert "\ntaught/final-seed0  FAILED: no memory (see " in "\n" + capsys.readouterr().out
    assert "no memory" in (tmp_path / "out" / "tables.md").read_text()


def test_runs_without_matplotlib_are_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(runner_module, "WORKER", (sys.executable, str(STUB)))
    code = main(["study", "one.toml", "--output", str(tmp_path / "out")])
    assert code == 0
    assert "pip install 'p2o-rl[study]'" in capsys.readouterr().out
    assert main(["study", "one.toml", "--output", str(tmp_path / "out"), "--report"]) == 2


def test_a_time_limit_of_nothing_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["study", "one.toml", "--time-limit", "0", "--output", str(tmp_path / "out")])
    assert code == UNFINISHED
    assert "time limit reached, 1 run is left: the same command continues" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "one.toml", "--dry-run"]) == 0
    assert "0 runs done, 1 to go, 15,000 tokens each" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["one.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nothing"],
            f"no study 'nothing': give one of {', '.join(study_names())}, or the path of a .toml file",
        ),
        (["one.toml", "--only", "c"], "--only c: the study has the arms taught"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_number_of_jobs_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "one.toml", "--jobs", "0"]) == 2
    assert "argument --jobs: must be 1 or more" in capsys.readouterr().err
