"""A whole run in two processes, started by torchrun, with ZeRO-3: it is the run of one process, and survives a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_train import SMALL, small_run, what_happened

from p2o.files import read_jsonl
from p2o.loop import train


def start(path: Path, *flags: str, zero_stage: int = 1) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "p2o",
    ]
    command += ["train", "quickstart", f"--set=run.output={path}"]
    command += [
        f"--set=optimizer.zero_stage={zero_stage}",
        *(f"--set={override}" for override in SMALL),
        *flags,
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "DS_ACCELERATOR": "cpu",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    with path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def finish(path: Path, process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=240) == 0, path.with_suffix(".log").read_text()[-3000:]


def metrics_of(path: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in record.items() if not key.startswith(("time/", "sync/"))}
        for record in read_jsonl(path / "metrics.jsonl")
    ]


def check_same(path: Path, whole: Path, *, abs: float) -> None:
    """The run in two processes at `path` is that of one process at `whole`, its metrics up to rounding."""
    one = what_happened(whole)
    assert read_jsonl(path / "templates.jsonl") == one["templates"]
    metrics = metrics_of(path)
    assert len(metrics) == len(one["metrics"])
    for here, there in zip(metrics, one["metrics"], strict=True):
        for name, value in there.items():
            if not name.startswith("sync/"):
                same = value if isinstance(value, str) else pytest.approx(value, rel=1e-3, abs=abs)
                assert here[name] == same, name


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "two"
    finish(path, start(path, zero_stage=3))
    return path


def test_two_processes_do_what_one_does(two: Path, tmp_path: Path) -> None:
    """The same rollouts, templates and hard sets; losses, ratios and weights up to the rounding of sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(small_run(tmp_path / "one"))
    torch.set_num_threads(threads)
    one = what_happened(tmp_path / "one")
    assert read_jsonl(two / "templates.jsonl") == one["templates"]
    assert {file.name: file.read_text() for file in (two / "rollouts").iterdir()} == one["rollouts"]
    metrics = metrics_of(two)
    assert len(metrics) == len(one["metrics"])
    for here, there in zip(metrics, one["metrics"], strict=True):
        assert here.keys() == there.keys()
        for name, value in there.items():
            same = value if isinstance(value, str) else pytest.approx(value, rel=1e-3, abs=2e-5)
            assert here[name] == same, name
    weights = load_file(two / "model" / "model.safetensors")
    assert weights.keys() == one["weights"].keys()
    for name, values in one["weights"].items():
        torch.testing.assert_close(weights[name], torch.tensor(values), atol=2e-5, rtol=0)


def test_the_sampler_s_copy_follows_the_partitioned_weights(two: Path) -> None:
    gaps = [record["sync/gap_max"] for record in read_jsonl(two / "metrics.jsonl") if "reward" in record]
    assert len(gaps) == 9
    assert max(gaps) < 1e-4


def test_two_processes_killed_together_resume_to_the_unbroken_run(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "killed"
    process = start(path, zero_stage=3)
    deadline = time.monotonic() + 200
    while len(read_jsonl(path / "metrics.jsonl")) < 7 and time.monotonic() < deadline:
        assert process.poll() is None, path.with_suffix(".log").read_text()[-3000:]
        time.sleep(0.01)  # polling other processes, not waiting for a race
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finish(path, start(path, "--resume", zero_stage=3))
    assert metrics_of(path) == metrics_of(two)
    assert read_jsonl(path / "templates.jsonl") == read_jsonl(two / "templates.jsonl")
    assert read_jsonl(path / "transfer.jsonl") == read_jsonl(two / "transfer.jsonl") != []
    assert (path / "model" / "model.safetensors").read_bytes() == (
        two / "model" / "model.safetensors"
    ).read_bytes()


def test_a_run_of_two_processes_goes_on_in_one(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "one"
    shutil.copytree(two, path)
    (path / "checkpoints" / "LATEST").unlink()
    shutil.rmtree(sorted((path / "checkpoints").glob("epoch-*"))[-1])
    shutil.rmtree(path / "model")
    train(small_run(path, resume=True))  # by the backend torch
    check_same(two, path, abs=2e-5)
