"""`p2o probe` of every task with every model, as far as it is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from lane_case import ROOT, Absent, Lane, Values, model_folder
from lane_steps import TASK_MODELS, probe_arguments


@cache
def has_probe() -> bool:
    """Whether this p2o has the command."""
    command = [sys.executable, "-m", "p2o", "probe", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def probe(lane: Lane, task: Path, model: str) -> Values:
    """One field of the map; the folder stays, so a probe that was stopped goes on."""
    if not has_probe():
        raise Absent("this p2o has no command `probe`")
    model_folder(lane, model)
    output = lane.folder / "map" / model / task.stem
    output.mkdir(parents=True, exist_ok=True)
    name = f"{model}-{task.stem}"
    lane.run(
        [sys.executable, "-m", "p2o", *probe_arguments(task, model, output, rehearse=lane.rehearse)], name
    )
    return figures(json.loads((output / "probe.json").read_text()))


def figures(found: Any) -> Values:
    """The numbers and words at the top of `probe.json`, and one level below."""
    values: Values = {}
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, int | float | str):
            values[name] = value if not isinstance(value, str) else value[:60]
        elif isinstance(value, dict):
            values |= {f"{name} {key}": x for key, x in value.items() if isinstance(x, int | float)}
    return dict(list(values.items())[:12])


def main() -> None:
    lane = Lane()
    tasks = sorted(lane.tasks.glob("*.jsonl"))
    if lane.rehearse:
        tasks = [Path("tiny.jsonl")]
    if not tasks:
        lane.case("tasks", lambda: absent(f"no JSONL file in {lane.tasks}"))
    for task in tasks:
        for model in TASK_MODELS[:1] if lane.rehearse else TASK_MODELS:
            name = f"{task.stem}, {model}"
            lane.case(name, lambda t=task, m=model: probe(lane, t, m), 600)  # type: ignore[misc]


def absent(reason: str) -> Values:
    """Says why there is nothing to run."""
    raise Absent(reason)


if __name__ == "__main__":
    main()
