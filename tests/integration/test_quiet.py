"""What a user sees beside the tables: nothing. A deprecation of torch or transformers would show here first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TINY_RUN = [
    "data.train_size=12",
    "data.evaluation_size=6",
    "run.batch_problems=6",
    "run.epochs=2",
    "mining.min_count=2",
    "evolve.budget=20",
    "evolve.dev_size=2",
]


def p2o(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in an empty folder, as in a shell: Python's own choice of warnings, nothing silenced."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHONWARNINGS", "TRANSFORMERS_", "VLLM_LOGGING"))
    }
    return subprocess.run(
        [sys.executable, "-m", "p2o", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_and_its_evaluation_write_nothing_to_stderr(tmp_path: Path) -> None:
    settings = [f"--set={setting}" for setting in TINY_RUN]
    run = p2o(tmp_path, "train", "quickstart", *settings)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Accuracy on unseen problems" in run.stdout
    evaluation = p2o(tmp_path, "eval", "quickstart", *settings, "--model", "runs/quickstart-p2o-seed0")
    assert (evaluation.returncode, evaluation.stderr) == (0, "")


def test_neither_does_a_run_with_packed_rows_bfloat16_and_adapters(tmp_path: Path) -> None:
    options = ["optimizer.layout=packed", "model.dtype=bfloat16", "optimizer.lora.rank=4"]
    run = p2o(tmp_path, "train", "quickstart", *(f"--set={setting}" for setting in [*TINY_RUN, *options]))
    assert (run.returncode, run.stderr) == (0, "")
