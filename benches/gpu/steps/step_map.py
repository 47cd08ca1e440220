"""The map of the real models, a case a model, as far as it is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lane_case import Absent, Lane, Unfinished, Values, model_folder
from lane_steps import TASK_MODELS, map_arguments

from real.map import known

SECONDS_FOR_A_CELL = 8
"""What the last cell begun may still take."""


def toy_tasks(lane: Lane) -> Path:
    """A file of the tiny world's problems."""
    from p2o.data import TinyData, load_data

    problems, _ = load_data(TinyData(kind="tiny", train_size=6, evaluation_size=3))
    rows = [{"id": p.id, "problem": p.messages[-1]["content"], "answer": p.gold} for p in problems]
    folder = lane.scratch("tasks")
    (folder / "tiny.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def draw_map(lane: Lane, tasks: Path, model: str) -> Values:
    """Goes on with the map of a model; each cell that is done has its folder."""
    model_folder(lane, model)
    output = lane.folder / "map"
    seconds = lane.left() - SECONDS_FOR_A_CELL
    arguments = map_arguments(tasks, model, output, seconds, rehearse=lane.rehearse)
    lane.run([sys.executable, *arguments], model)
    found = [cell for cell in known(output) if cell["model"] == model]
    wanted = json.loads(lane.run([sys.executable, *arguments, "--count"], f"{model}-count"))
    values: Values = {
        "cells": len(found),
        "of": wanted,
        "meet the rule": sum(cell["meets_rule"] for cell in found),
        "tokens": sum(cell["tokens"] for cell in found),
        "sampling s": round(sum(cell["seconds"] for cell in found), 1),
    }
    if len(found) < wanted:
        raise Unfinished(values)
    return values


def main() -> None:
    lane = Lane()
    tasks = toy_tasks(lane) if lane.rehearse else lane.tasks
    for model in ("p2o-tiny",) if lane.rehearse else TASK_MODELS:
        if any(tasks.glob("*.jsonl")):
            lane.case(model, lambda m=model: draw_map(lane, tasks, m), 3600)  # type: ignore[misc]
        else:
            lane.case(model, lambda: absent(f"no JSONL file in {tasks}"))


def absent(reason: str) -> Values:
    """Says why there is nothing to run."""
    raise Absent(reason)


if __name__ == "__main__":
    main()
