"""`p2o study real`, run by run within the time that is left."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from lane_case import Absent, Failed, Lane, Unfinished, Values, tail
from lane_steps import study_arguments

from real.map import REWARDS, known, task_of

UNFINISHED = 3
"""Exit code of `p2o study` where the time limit leaves runs to do."""

SECONDS_TO_STOP = 15
"""What the study is given to interrupt the runs at work."""

NEAREST_PLAIN = 0.05
"""Plain rate up to which a cell counts as near, where none meets the rule."""


def best_cell(lane: Lane) -> tuple[str, dict[str, str]]:
    """Name and settings of the cell to study: the best on held-out problems of those that meet the map's rule, or are
    near it where none does.

    Raises:
        Absent: if the map has no such cell.
    """
    near = [cell for cell in known(lane.folder / "map") if cell["plain_rate"] <= NEAREST_PLAIN]
    chosen = [cell for cell in near if cell["meets_rule"]] or near
    if not chosen:
        raise Absent("the map has no cell near its rule")
    best = max(chosen, key=lambda cell: (cell["best_rate_heldout"], cell["cell"]))
    task, suffix = task_of(best["cell"])
    settings = {
        "model.source": best["model"],
        "data.train": str(lane.tasks / f"{task}.jsonl"),
        "data.suffix": suffix,
    }
    if best["model"] in REWARDS:
        settings["reward.function"] = REWARDS[best["model"]]
    return f"{best['model']}-{best['cell']}", settings


def study(lane: Lane) -> Values:
    """Goes on with the study; its own results say which runs are done."""
    name, settings = ("toy", None) if lane.rehearse else best_cell(lane)
    output = lane.folder / "study" / name
    output.mkdir(parents=True, exist_ok=True)
    toml = str(Path(__file__).resolve().parents[1] / "rehearse.toml") if lane.rehearse else "real"
    more = shlex.split(os.environ.get("LANE_STUDY", ""))
    arguments = study_arguments(toml, settings, output, lane.left() - SECONDS_TO_STOP, more)
    log = lane.folder / "logs" / "study-runs.log"
    with log.open("w+") as printed:
        code = subprocess.run(
            [sys.executable, "-m", "p2o", *arguments], stdout=printed, stderr=subprocess.STDOUT, check=False
        ).returncode
    values = {"on": name, **runs_done(output)}
    if code == UNFINISHED:
        raise Unfinished(values)
    if code not in (0, 1):
        raise Failed(f"exit code {code}\n{tail(log.read_text(errors='replace'))}")
    return values


def runs_done(output: Path) -> Values:
    """Runs in the study's results, and the tokens and seconds they took."""
    file = output / "results.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {"runs": len(records), "arms": len({record.get("arm") for record in records})}


def main() -> None:
    lane = Lane()
    lane.case("runs", lambda: study(lane), 86_400)


if __name__ == "__main__":
    main()
