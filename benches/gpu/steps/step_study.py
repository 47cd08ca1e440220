"""`p2o study real`, run by run within the time that is left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lane_case import Absent, Failed, Lane, Unfinished, Values, tail
from lane_steps import study_arguments

UNFINISHED = 3
"""Exit code of `p2o study` where the time limit leaves runs to do."""

SECONDS_TO_STOP = 15
"""What the study is given to interrupt the runs at work."""


def study(lane: Lane) -> Values:
    """Goes on with the study; its own results say which runs are done."""
    output = lane.folder / "study"
    output.mkdir(parents=True, exist_ok=True)
    arguments = study_arguments(output, lane.left() - SECONDS_TO_STOP, rehearse=lane.rehearse)
    if not Path(arguments[1]).is_file():
        from p2o.study.plan import study_names

        if arguments[1] not in study_names():
            raise Absent(f"this p2o has no study {arguments[1]!r}")
    log = lane.folder / "logs" / "study-runs.log"
    with log.open("w+") as printed:
        code = subprocess.run(
            [sys.executable, "-m", "p2o", *arguments], stdout=printed, stderr=subprocess.STDOUT, check=False
        ).returncode
    values = runs_done(output)
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
