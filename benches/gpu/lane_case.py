"""What a step's process works with: its cases, each with a limit of its own, and the time that is left.

The driver (`lane.py`) starts `steps/step_NAME.py`; that calls `lane.case(NAME, FUNCTION)` one after another. A case
that fails is a result like any other. One that hangs or takes the process with it is recorded by the driver, which then
starts the step again for the cases that are left.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lane_results import Results

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

LAST_LINES = 6
"""Lines of an error that go into its record."""

REHEARSAL_PATIENCE = 8
"""How much longer a step and a case may take in a rehearsal: a slow CPU that does other work as well."""

DEVICE_LOST = 70
"""Exit code of a step whose GPU answers no more in this process: the failed case has its record."""

Values = dict[str, Any]


class Absent(Exception):
    """Something that a case needs is not there; it runs another time."""


class Unfinished(Exception):
    """A case that goes on in the next call of the lane; with the figures it has so far."""

    def __init__(self, values: Values) -> None:
        super().__init__("goes on in the next call")
        self.values = values


class Failed(Exception):
    """A command failed; the message is the end of what it printed."""


def tail(text: str, lines: int = LAST_LINES) -> str:
    """The last lines that say something, each cut to 300 characters."""
    return "\n".join([line[:300] for line in text.splitlines() if line.strip()][-lines:])


class Lane:
    """A step's part of the lane."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["LANE_FOLDER"])
        self.step = os.environ["LANE_STEP"]
        self.rehearse = os.environ["LANE_REHEARSE"] == "1"
        self.deadline = float(os.environ["LANE_DEADLINE"])
        """Seconds since the epoch at which the driver ends this process."""
        self.machine = json.loads(os.environ["LANE_MACHINE"])
        self.tasks = Path(os.environ["LANE_TASKS"])
        self.results = Results(self.folder / "results.jsonl")

    def left(self) -> float:
        """Seconds until the driver ends this process."""
        return self.deadline - time.time()

    def scratch(self, name: str) -> Path:
        """A folder of the step's that stays between calls."""
        path = self.folder / "work" / self.step / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def case(self, name: str, measure: Callable[[], Values], limit: float = 60.0) -> None:
        """Runs `measure` unless its result stands, and records its figures, or why there are none.

        The process ends by SIGALRM after `limit` seconds: a signal that also ends a wait for the GPU.
        """
        if self.results.stands(self.step, name):
            return
        current = self.folder / "current.json"
        current.write_text(json.dumps({"step": self.step, "case": name}))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, limit * (REHEARSAL_PATIENCE if self.rehearse else 1))
        started, more = time.perf_counter(), {}
        try:
            status, more = "ok", {"values": measure()}
        except Absent as reason:
            status, more = "absent", {"error": str(reason)}
        except Unfinished as part:
            status, more = "stopped", {"values": part.values}
        except Failed as error:
            status, more = "error", {"error": str(error)}
        except Exception:
            traceback.print_exc()
            status, more = "error", {"error": tail(traceback.format_exc())}
        signal.setitimer(signal.ITIMER_REAL, 0)
        before = self.results.latest().get((self.step, name))
        if status != "absent" or before is None or before["status"] != "absent":
            self.results.append(
                self.step,
                name,
                status,
                seconds=round(time.perf_counter() - started, 2),
                machine=self.machine,
                **more,
            )
        current.unlink()
        if status == "error":
            self._check_device()

    def _check_device(self) -> None:
        """Frees what the failed case held; leaves the process where an error has made its GPU unusable."""
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            return
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except RuntimeError:
            sys.stderr.flush()
            os._exit(DEVICE_LOST)  # an ordinary exit may hang in the driver's own clean-up

    def run(
        self, command: Sequence[str], name: str, *, accept: Sequence[int] = (0,), **environment: str
    ) -> str:
        """What a command prints. Both streams are kept in `logs/`, under the step's name and `name`.

        Raises:
            Failed: if its exit code is not in `accept`.
        """
        log = self.folder / "logs" / f"{self.step}-{name.replace('/', '-').replace(' ', '-')}.log"
        with log.open("w+") as output, log.with_suffix(".err").open("w+") as errors:
            done = subprocess.run(
                command,
                stdout=output,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, **environment},
                check=False,
            )
        printed, said = log.read_text(errors="replace"), log.with_suffix(".err").read_text(errors="replace")
        if done.returncode not in accept:
            raise Failed(f"exit code {done.returncode}\n{tail(said) or tail(printed)}")
        return printed


def model_folder(lane: Lane, name: str = "smollm2") -> str:
    """The model that a step runs: the fetched one, or the shipped one in a rehearsal.

    Raises:
        Absent: if it has not been fetched.
    """
    from p2o.model.fetch import resolve_source

    if lane.rehearse:
        return resolve_source("p2o-tiny")
    folder = resolve_source(name)
    if not Path(folder).is_dir():
        raise Absent(f"the model {name} is not on this machine: install.sh {name}")
    return folder


def require(*packages: str) -> None:
    """Raises `Absent` if a package is not installed."""
    from importlib.util import find_spec

    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise Absent(f"not installed: {', '.join(missing)}")


def free_memory() -> None:
    """Gives back what the last case held, and starts counting the peak anew."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def synchronize() -> None:
    """Waits for the GPU, if there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> Values:
    """What torch held of the GPU's memory at the most; nothing without a GPU."""
    import torch

    return (
        {"peak GiB": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if torch.cuda.is_available() else {}
    )
