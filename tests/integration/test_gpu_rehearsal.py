"""The GPU lane at toy size on this machine: every step that can run here does, none fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_MINUTES = 20
"""The rehearsal takes two on an idle machine with two cores; a slow one that does other work as well may need more."""


@pytest.mark.slow
@pytest.mark.timeout(60 * LIMIT_MINUTES + 60)
def test_the_lane_is_rehearsed(tmp_path: Path) -> None:
    command = [sys.executable, "benches/gpu/lane.py", "--results", str(tmp_path / "results"), "--rehearse"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [*command, "--minutes", str(LIMIT_MINUTES)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (tmp_path / "results/results.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    wrong = [r for r in records if r["status"] not in ("ok", "absent")]
    assert (done.returncode, wrong) == (0, []), done.stderr
    assert done.stderr == ""
    measured = {record["step"] for record in records if record["status"] == "ok"}
    assert measured >= {"doctor", "sampling", "backends", "training", "recipes", "study", "update"}
    gaps = {r["case"]: r["values"]["relative"] for r in records if r["step"] == "backends" and "values" in r}
    assert max(gaps.values()) < 0.1, gaps
