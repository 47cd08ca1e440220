"""What a study shows while it runs: how much is done, and the progress of the current runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from p2o.files import read_jsonl
from p2o.track.console import clock, printable

if TYPE_CHECKING:
    from p2o.study.runner import Running

PROGRESS_SECONDS = 2.0
"""Least time between two looks at the progress of the runs."""


class Display:
    """Bars on a terminal; elsewhere a line for each run that ends."""

    def __init__(self, budget: int, console: Console | None = None) -> None:
        self.console = console if console is not None else Console()
        self.budget = budget
        self._started = time.monotonic()
        self._looked = 0.0
        self._counts = (0, 0, 0)
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._overall = self._progress.add_task("study", total=1, note="")
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """One line, printed literally."""
        self.console.print(printable(text), highlight=False, soft_wrap=True)

    def total(self, done: int, failed: int, everything: int) -> None:
        """How much of the study is done."""
        self._counts = (done, failed, everything)

    def show(self, states: Sequence[Running]) -> None:
        """The runs in progress."""
        if self._progress.disable or time.monotonic() - self._looked < PROGRESS_SECONDS:
            return
        self._looked = time.monotonic()
        for name in self._tasks.keys() - {state.name for state in states}:
            self._progress.remove_task(self._tasks.pop(name))
        for state in states:
            if state.name not in self._tasks:
                self._tasks[state.name] = self._progress.add_task(
                    printable(state.name), total=self.budget, note=""
                )
            metrics = read_jsonl(state.folder / "metrics.jsonl")
            tokens = int(metrics[-1]["num_tokens"]) if metrics else 0
            note = f"{tokens:,} tokens  {clock(state.seconds)}"
            self._progress.update(self._tasks[state.name], completed=min(tokens, self.budget), note=note)
        done, failed, everything = self._counts
        note = f"{done} done, {len(states)} running, {everything - done - failed - len(states)} to go"
        note += f", {failed} failed" if failed else ""
        note += f"  {clock(time.monotonic() - self._started)}"
        self._progress.update(self._overall, total=everything or 1, completed=done + failed, note=note)

    def finished(self, name: str, seconds: float) -> None:
        """A run ended well."""
        done, failed, everything = self._counts
        # Several may end before the next count.
        self._counts = (min(done + 1, everything), failed, everything)
        of = f"  ({self._counts[0]} of {everything - failed})" if everything else ""
        self.note(f"{name}  {clock(seconds)}{of}")

    def failed(self, name: str, reason: str, log: Path) -> None:
        """A run failed; the study continues."""
        self.note(f"{name}  FAILED: {reason} (see {log})")
