"""Runs a study: one process per run, as many at once as there are cores; a kill at any moment loses little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from p2o.errors import RunDirectoryError
from p2o.files import read_json, write_text
from p2o.locks import lock
from p2o.study.console import Display
from p2o.study.plan import Job, Study
from p2o.study.results import Results, failure_of, header_of
from p2o.study.selection import all_jobs
from p2o.study.worlds import missing_worlds, model_source
from p2o.track.run_directory import config_values

WORKER = (sys.executable, "-m", "p2o.study.worker")
POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0
"""How long a stopped run may take to end before it is killed."""


@dataclass
class Running:
    """A run in progress, or the making of a world."""

    name: str
    job: Job | None
    """None: it makes a world."""
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    """Bytes of the log that are of earlier attempts."""
    result: Path
    folder: Path
    started: float

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self.started


class Runner:
    """One call of `p2o study`.

    Args:
        study: the study to run.
        results: the results so far.
        runs: where run directories, logs and worlds are kept.
        jobs: processes at once.
        only: arms to run, with the choice of their learning rates; empty: all.
        time_limit: seconds after which no run is started and the running ones are interrupted.
        device: where worlds are made.
        worker: the command that runs a job file; None: `WORKER`.
    """

    def __init__(
        self,
        study: Study,
        results: Results,
        runs: Path,
        display: Display,
        *,
        jobs: int,
        only: Collection[str] = (),
        time_limit: float | None = None,
        device: str = "cpu",
        worker: Sequence[str] | None = None,
    ) -> None:
        self.study = study
        self.results = results
        self.runs = runs
        self.display = display
        self.jobs = jobs
        self.only = only
        self.deadline = None if time_limit is None else time.monotonic() + time_limit
        self.device = device
        self.worker = WORKER if worker is None else worker
        self.running: dict[str, Running] = {}
        self.failed: dict[str, str] = {}
        """Runs that failed in this call; those of earlier calls are tried again."""

    def work(self) -> bool:
        """Runs what is left. True: all that is left has failed; False: the time limit came first."""
        self.runs.mkdir(parents=True, exist_ok=True)
        with self._locked(), self.display:
            try:
                return self._make_worlds() and self._run_all()
            finally:
                self._stop()

    def left(self) -> list[Job]:
        """The runs without a result, except those that failed in this call."""
        return [
            job
            for job, _ in self._all()
            if self.results.done(job) is None and job.fingerprint not in self.failed
        ]

    def _all(self) -> list[tuple[Job, bool]]:
        return list(all_jobs(self.study, self.results, lambda job: job.fingerprint in self.failed, self.only))

    def _make_worlds(self) -> bool:
        missing = missing_worlds(self.study, self.runs / "worlds")
        threads = max(1, self.jobs // max(1, len(missing)))
        for name, world in missing.items():
            task = {
                "kind": "world",
                "folder": str(self.runs / "worlds" / name),
                "world": world.recipe(),
                "threads": threads,
                "device": self.device,
            }
            while len(self.running) >= self.jobs:
                if not self._wait():
                    return False
            if self._late():
                return False
            self._start(f"world {name}", None, task, threads)
        while self.running:
            if not self._wait():
                return False
        still = missing_worlds(self.study, self.runs / "worlds")
        if still:
            name = next(iter(still))
            reason = self.failed.get(f"world {name}", "its process ended without it")
            raise RunDirectoryError(f"world {name} could not be made: {reason}")
        return True

    def _run_all(self) -> bool:
        while True:
            waiting = []
            for job, ready in self._all():
                if self.results.done(job) is not None or job.fingerprint in self.failed:
                    continue
                if job.fingerprint in self.running or (ready and self._absorb(job)):
                    continue
                if ready:
                    waiting.append(job)
            self.display.total(*self._counts())
            if waiting and self._late():
                return False
            for job in waiting[: self.jobs - len(self.running)]:
                self._start(job.title, job, self._task(job), 1)
            if not self.running:
                # Nothing runs and nothing may start: done, or every rate of an arm has failed.
                return True
            if not self._wait():
                return False

    def _counts(self) -> tuple[int, int, int]:
        everything = [job for job, _ in self._all()]
        done = sum(self.results.done(job) is not None for job in everything)
        return done, len(self.failed), len(everything)

    def _task(self, job: Job) -> dict[str, Any]:
        values = config_values(job.config)
        values["model"]["source"] = model_source(self.runs / "worlds", job)
        return {
            "kind": "run",
            "header": header_of(job),
            "config": values,
            "teacher": job.teacher,
            "keep_model": self.study.keep_models and job.phase == "final",
            "run": str(self.runs / job.folder_name),
            "result": str(self._result(job)),
        }

    def _result(self, job: Job) -> Path:
        return self.runs / f"{job.folder_name}.result.json"

    def _absorb(self, job: Job) -> bool:
        """Adds the result of a run that ended after the call which started it."""
        path = self._result(job)
        if not path.exists():
            return False
        self.results.add(read_json(path, RunDirectoryError, "remove it to run it again"))
        path.unlink()
        return True

    def _start(self, name: str, job: Job | None, task: dict[str, Any], threads: int) -> None:
        stem = name.replace(" ", "-") if job is None else job.folder_name
        file, log = self.runs / f"{stem}.job.json", self.runs / f"{stem}.log"
        write_text(file, json.dumps(task))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with log.open("ab") as output:
            log_start = output.tell()
            process = subprocess.Popen(
                [*self.worker, str(file)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches this process only, which then stops the runs in order
            )
        result = file if job is None else self._result(job)
        folder = self.runs / stem
        key = name if job is None else job.fingerprint
        self.running[key] = Running(name, job, process, log, log_start, result, folder, time.monotonic())

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _wait(self) -> bool:
        """Until a process ends; False: the time limit was reached."""
        while True:
            ended = [key for key, run in self.running.items() if run.process.poll() is not None]
            for key in ended:
                self._finish(key, self.running.pop(key))
            if ended:
                return True
            if self._late():
                return False
            self.display.show(list(self.running.values()))
            time.sleep(POLL_SECONDS)

    def _finish(self, key: str, run: Running) -> None:
        _close(run.process.stdin)
        code = run.process.returncode
        if code == 0 and (run.job is None or self._absorb(run.job)):
            self.display.finished(run.name, run.seconds)
        else:
            # With code 0 something of the user's own, a sampler say, called exit().
            reason = "it ended without a result" if code == 0 else _last_line(run) or f"exit code {code}"
            self.failed[key] = reason
            if run.job is not None:
                self.results.add(failure_of(run.job, reason))
            self.display.failed(run.name, reason, run.log)
        (self.runs / f"{run.folder.name}.job.json").unlink(missing_ok=True)

    def _stop(self) -> None:
        """Interrupts the running processes; a run that ends meanwhile keeps its result."""
        for run in self.running.values():
            _close(run.process.stdin)
        end = time.monotonic() + GRACE_SECONDS
        for run in self.running.values():
            try:
                run.process.wait(timeout=max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()
            if run.job is not None:
                self._absorb(run.job)
        self.running.clear()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.runs / "lock").open("w") as file:
            try:
                lock(file)
            except BlockingIOError:
                raise RunDirectoryError(
                    f"{self.runs}: another p2o study is at work there; wait for it or choose another --runs"
                ) from None
            yield


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        stream.close()


def _last_line(run: Running) -> str:
    lines = run.log.read_bytes()[run.log_start :].decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else ""
