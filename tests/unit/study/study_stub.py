"""Stands for the worker of a study: obeys `behaviour.json` beside the runs and writes a made-up result at once.

    python study_stub.py JOB.json

Behaviours by run id: `ok` (the default), `fail`, `exit` (as if done, without a result), `hang` (until standard input
closes, then leave a checkpoint), `late` (end well only when standard input closes).
"""

import json
import sys
from pathlib import Path


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[1]).parent
    if job["kind"] == "world":
        world = Path(job["folder"])
        world.mkdir(parents=True)
        (world / "config.json").write_text("{}")
        (world / "world.json").write_text(json.dumps(job["world"]))
        with (folder / "starts.log").open("a") as log:
            log.write(f"world {world.name} {job['threads']}\n")
        return 0
    header = job["header"]
    with (folder / "starts.log").open("a") as log:
        log.write(header["id"] + "\n")
    path = folder / "behaviour.json"
    behaviour = json.loads(path.read_text()).get(header["id"], "ok") if path.exists() else "ok"
    if behaviour == "fail":
        print("something went wrong", file=sys.stderr)
        return 2
    if behaviour == "exit":
        return 0
    if behaviour in ("hang", "late"):
        (folder / "hanging").touch()
        sys.stdin.read()
        (folder / f"{header['arm']}.stopped").touch()
        if behaviour == "hang":
            return 130
    # The larger the rate, the better, and arm b is better by 0.1.
    accuracy = min(1.0, 100 * header["learning_rate"]) + (0.1 if header["arm"] == "b" else 0.0)
    record = {
        **header,
        "status": "done",
        "evaluations": [
            {"tokens": tokens, "accuracy": accuracy, "by_family": {"addition": accuracy}}
            for tokens in (0, 1000)
        ],
        "epochs": [{"epoch": 0, "tokens": 1000, "zero_variance": 0.5, "hard": 3, "prompt_step": None}],
        "tokens": 1000,
        "prompt_step_tokens": 0,
        "seconds": 1.0,
        "versions": {"p2o": "0", "python": "3", "torch": "2", "transformers": "5"},
        "source": job["config"]["model"]["source"],
    }
    Path(job["result"]).write_text(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
