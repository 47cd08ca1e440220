"""One run of a study (or the making of a world) in a separate process: `python -m p2o.study.worker JOB.json`.

The study holds the other end of this process's standard input. When it closes, because the study stops the run or was
killed itself, the run is interrupted; the next call continues from its checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

from p2o.config import Config, build_config
from p2o.errors import P2oError
from p2o.files import write_text
from p2o.study.plan import WorldConfig
from p2o.study.results import record_of
from p2o.study.teacher import Teacher
from p2o.study.worlds import make_world


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Trains, or continues a run that was stopped, and returns its record."""
    from rich.console import Console as RichConsole

    from p2o.assembly import prepare
    from p2o.loop import train
    from p2o.track.console import Console

    started = time.monotonic(), time.process_time()
    path = Path(job["run"])
    with ExitStack() as stack:
        values = job["config"]
        if job["teacher"]:
            values["reflection"]["endpoint"]["base_url"] = stack.enter_context(Teacher()).url
        resumed = (path / "checkpoints").is_dir()
        if not resumed:  # a finished run, whose result was deleted, or one that never came to a checkpoint
            shutil.rmtree(path, ignore_errors=True)
        config: Config = build_config(values)
        quiet = Console(RichConsole(file=StringIO()))
        run = prepare(config, path, resume=resumed, console=quiet)
        state = train(run)
        if job["keep_model"]:
            run.policy.export(path / "model", run.tokenizer)
    # The clock of a part says nothing about a whole run, and that of this process nothing about engines beside it.
    alone = config.rollout.sampler == "hf" and config.run.threads == 1
    return record_of(
        job["header"],
        path,
        state.history,
        tokens=state.generated_tokens,
        prompt_step_tokens=state.prompt_step_tokens,
        seconds=state.seconds,
        wall_s=None if resumed else time.monotonic() - started[0],
        cpu_s=None if resumed or not alone else time.process_time() - started[1],
    )


def interrupt_at_end_of_input() -> None:
    """Interrupts this process when its standard input closes."""
    # A shell starts background jobs with interrupts ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, name="p2o-study-watch", daemon=True).start()


def main(path: str) -> int:
    """Runs a job file. Exit code 0: the result is written; 2: a user's error; 130: interrupted."""
    interrupt_at_end_of_input()
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        if job["kind"] == "world":
            world = WorldConfig.model_validate(job["world"])
            make_world(Path(job["folder"]), world, threads=job["threads"], device=job["device"])
            return 0
        record = run_job(job)
        write_text(Path(job["result"]), json.dumps(record, ensure_ascii=False) + "\n")
        shutil.rmtree(Path(job["run"]) / "checkpoints", ignore_errors=True)
        return 0
    except KeyboardInterrupt:
        return 130
    except P2oError as error:
        print(error, file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    # The watching thread sits in a read that nothing ends; the interpreter's own shutdown would race with it.
    os._exit(code)
