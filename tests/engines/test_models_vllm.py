"""Mixtures of experts and a model with a vision part, each in a process of its own.

vLLM decides with the first engine of a process whether there are experts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("vllm_models.py")


@pytest.mark.parametrize(
    "name", ["MixtralForCausalLM", "Qwen3MoeForCausalLM", "Glm4MoeForCausalLM", "vision"]
)
def test_models_are_pushed_as_their_files_hold_them(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "agrees"
