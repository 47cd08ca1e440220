"""Two nodes (network namespaces) under torchrun: one is lost, and the run goes on without it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_train import SMALL
from test_two_processes import check_same, metrics_of

import nodes
from p2o.files import read_jsonl

WHY_NOT = nodes.why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no nodes: {WHY_NOT}"),
]


def start(node: nodes.Node, of: int, path: Path, *flags: str, before: str = "") -> subprocess.Popen[bytes]:
    """torchrun on a node, with one process; `before` is Python that the process runs first."""
    launcher = [
        "-m",
        "torch.distributed.run",
        "--nnodes",
        str(of),
        "--nproc-per-node",
        "1",
        "--rdzv-id",
        "p2o",
    ]
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "node1:29500"]
    code = path.parent / "p2o_after.py"
    code.write_text(f"import sys\n{before}\nfrom p2o.cli.main import main\nsys.exit(main(sys.argv[1:]))\n")
    settings = [f"--set=run.output={path}", *(f"--set={override}" for override in SMALL)]
    command = [*node.enter, sys.executable, *launcher, *rendezvous, str(code), "train", "quickstart"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "DS_ACCELERATOR": "cpu",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    with path.with_name(f"{node.name}.log").open("wb") as log:
        return subprocess.Popen([*command, *settings, *flags], stdout=log, stderr=log, env=environment)


def told(path: Path, node: nodes.Node) -> str:
    return path.with_name(f"{node.name}.log").read_text()


def wait_for_steps(path: Path, steps: int, *launches: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 200
    while len(read_jsonl(path / "metrics.jsonl")) < steps and time.monotonic() < deadline:
        assert all(launch.poll() is None for launch in launches)
        time.sleep(0.02)  # polling other processes, not waiting for a race


@pytest.fixture
def two() -> Iterator[list[nodes.Node]]:
    with nodes.nodes(2) as made:
        yield made
        for node in made:
            node.kill()


def test_a_lost_node_ends_the_launch_and_the_run_goes_on_without_it(
    two: list[nodes.Node], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    launches = [start(node, 2, path) for node in two]
    wait_for_steps(path, 3, *launches)
    two[1].kill()
    assert launches[0].wait(60) == 1  # torchrun's code; the process's own is in its table
    lines = [line for line in told(path, two[0]).splitlines() if line.startswith("error: ")]
    assert lines == ["error: another process of the run has ended; what it said, or its launcher, tells why"]
    assert "exitcode  : 2" in told(path, two[0])
    launches[1].wait()
    assert start(two[0], 1, path, "--resume").wait(200) == 0, told(path, two[0])[-3000:]
    whole = tmp_path / "whole"
    assert start(two[0], 1, whole).wait(200) == 0
    check_same(path, whole, abs=2e-5)
    assert metrics_of(path)[-1]["step"] == metrics_of(whole)[-1]["step"]


def test_a_node_without_a_network_is_noticed(two: list[nodes.Node], tmp_path: Path) -> None:
    """Its connections stay open: only the heartbeat, here a quick one, tells that it is gone."""
    path = tmp_path / "run"
    quick = "import p2o.heartbeat as beats; beats.BEAT_S, beats.SILENT_S = 0.5, 10.0"
    launches = [start(node, 2, path, before=quick) for node in two]
    wait_for_steps(path, 3, *launches)
    two[1].cut_off()
    assert launches[0].wait(90) == 1
    assert "error: the node node2 has not been heard of for 10 seconds: start again with --resume" in told(
        path, two[0]
    )
    deadline = time.monotonic() + 60
    while "error: " not in told(path, two[1]) and time.monotonic() < deadline:
        time.sleep(0.1)  # its torchrun waits longer for the one of node1
    assert "error: the node node1 has not been heard of for 10 seconds" in told(path, two[1])
    two[1].kill()
    launches[1].wait()
