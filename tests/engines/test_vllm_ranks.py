"""Engines in the processes of a distributed run: one a rank, or one over two ranks (tensor parallel)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("vllm_ranks.py")


@pytest.fixture
def left_by_a_killed_launch() -> Iterator[None]:
    """Shared memory by the names that vLLM gives it in every launch of two ranks."""
    files = [Path(f"/dev/shm/-tp:0-[0-1]-cpushm_{rank}") for rank in range(2)]
    made = [file for file in files if not file.exists()]
    for file in made:
        file.touch()
    yield
    for file in made:
        file.unlink()


@pytest.mark.usefixtures("left_by_a_killed_launch")
@pytest.mark.parametrize("arguments", [["1"], ["2"], ["2", "adapter"]])
def test_two_ranks_follow_the_trainer(arguments: list[str]) -> None:
    """Log-probs of every rank's engine match the trainer's after an update; a failed push is known to all ranks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
            },
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=240)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(output[-3000:] for output in outputs)
    lines = [
        next(line for line in output.splitlines() if line.startswith(f"rank {rank} of 2")).split(": ", 1)[1]
        for rank, output in enumerate(outputs)
    ]
    assert lines[0] == lines[1]
