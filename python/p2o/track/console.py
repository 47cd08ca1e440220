"""What a run shows: a bar per phase, a line per evaluation, a table at the end.

Template and model texts are printed literally: markup in them is escaped and control characters are replaced.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from p2o.errors import harmless
from p2o.rollout.sampler import Progress as ProgressCallback

if TYPE_CHECKING:
    from p2o.report.problems import Story
    from p2o.state import LoopState

SPARSELY = 20.0
"""Least seconds between two lines about work under way."""


_MARKUP = re.compile(r"(\\+)(?=\[|\Z)|(:)(?=\S*:)|\[")
"""Where a text could be taken for markup: at brackets and backslashes before them, or before markup that follows the
text, and at the first colon of what could be the name of an emoji."""

_APART = "[none][/]"
"""Markup that shows nothing, and that no other goes past. `rich.markup.escape` knows no emojis, and with it backslashes
are lost before a bracket that begins no markup, as in LaTeX."""


def printable(text: str) -> str:
    """Text as markup that shows it literally, without control characters (newlines shown as ⏎)."""

    def literal(found: re.Match[str]) -> str:
        if found[0] == "[":
            return "\\["
        return (found[0] if found[2] else 2 * found[0]) + _APART

    return _MARKUP.sub(literal, harmless(text))


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands after a step."""

    epoch: int
    """From 1."""
    epochs: int
    step: int
    """Of the run, from 1."""
    problems: int
    """Of the epoch so far: how many steps they will have been is not always known."""
    of: int
    """Problems of an epoch."""
    share: float
    """Of the run, by epochs or by tokens, whichever ends it."""
    seconds: float
    """Taken so far."""

    def __str__(self) -> str:
        """In a few words, with the time that is left at this pace."""
        left = self.seconds * (1 - self.share) / self.share
        return (
            f"epoch {self.epoch}/{self.epochs} step {self.step}  {self.problems}/{self.of} problems  "
            f"about {clock(left)} left"
        )


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{minutes}:{rest:02d} min"


class Terminal(RichConsole):
    """Rich's console. A reader that has gone is the error that it is; rich would call `exit(1)`."""

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Console:
    """The console of one run. Where it is not a terminal, only lines are printed, no bars."""

    def __init__(self, rich: RichConsole | None = None, *, label: str = "") -> None:
        self.rich = rich if rich is not None else Terminal()
        self._last_line = self._last_step = time.monotonic()
        self.label = f"[bold]{printable(label)}[/bold]  " if label else ""

    @classmethod
    def silent(cls) -> Console:
        """A console that shows nothing: that of the ranks other than 0."""
        return cls(Terminal(quiet=True))

    @classmethod
    def beside_output(cls) -> Console:
        """A console on standard error: standard output is for the result."""
        return cls(Terminal(stderr=True))

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[ProgressCallback]:
        """A progress bar over `total` items; yields the function that advances it."""
        if not self.rich.is_terminal:
            done = 0.0

            def tell(count: float) -> None:
                nonlocal done
                done += count
                self.under_way(lambda: f"{name}  {done:.0f}/{total}")

            tell(0)
            yield tell
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.rich, transient=True) as progress:
            task = progress.add_task(self.label + printable(name), total=total)
            yield lambda count: progress.advance(task, count)

    def note(self, text: str) -> None:
        """One line, printed literally."""
        self._line(printable(text))

    def under_way(self, text: Callable[[], str]) -> None:
        """A line about work under way, one in `SPARSELY` seconds: in a log a run is never long silent."""
        now = time.monotonic()
        if now - self._last_line >= SPARSELY:
            self._last_line = now
            self._dim(text())

    def stepped(self, record: Mapping[str, Any], progress: RunProgress) -> None:
        """A line for a training step, if the last one is long ago, whatever came between."""
        if time.monotonic() - self._last_step < SPARSELY:
            return
        self._last_step = self._last_line = time.monotonic()
        self._dim(
            f"{progress}  reward {record['reward']:.3f}  templated {record['templated/frac']:.0%}  "
            f"tokens {record['num_tokens']:,}"
        )

    def guided(self, record: Mapping[str, Any]) -> None:
        """A line per prompt step."""
        self.note(
            f"after step {record['step']}: prompt step, {record['reason']}  tokens {record['tokens']:,}"
        )

    def _dim(self, text: str) -> None:
        self._line(f"[dim]{printable(text)}[/dim]")

    def _line(self, markup: str) -> None:
        """One line, not wrapped and not coloured by guesswork."""
        self.rich.print(self.label + markup, highlight=False, soft_wrap=True)

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """A line per evaluation."""
        families = "".join(f"{printable(name)} {value:.2f}  " for name, value in record["by_family"].items())
        self._line(
            f"after step {record['step']}: plain accuracy [bold]{record['accuracy']:.3f}[/bold]  {families}"
            f"tokens {record['generated_tokens']:,}"
        )

    def _table(self, title: str, *columns: str, left: str) -> Table:
        """A table, one column `left`, the others right, with its title on a separate line (rich would wrap a title to
        the table's width)."""
        self._line(f"\n[bold]{title}[/bold]")
        table = Table()
        for column in columns:
            table.add_column(printable(column), justify="left" if column == left else "right")
        return table

    def comparison(self, ends: Mapping[str, LoopState]) -> None:
        """Methods side by side at the end of their runs."""
        first = next(iter(ends.values())).history[0]
        columns = ("method", *first["by_family"], "all", "tokens generated")
        table = self._table("Accuracy on unseen problems, plain prompts", *columns, left="method")

        def row(name: str, record: Mapping[str, Any], tokens: str) -> None:
            values = [*record["by_family"].values(), record["accuracy"]]
            table.add_row(name, *(f"{value:.3f}" for value in values), tokens)

        row("before", first, "")
        for method, state in ends.items():
            row(method, state.history[-1], f"{state.generated_tokens:,}")
        self.rich.print(table)

    def summary(self, history: Sequence[Mapping[str, Any]], *, tokens: int, seconds: float) -> None:
        """The tables at the end of a run."""
        first, last = history[0], history[-1]
        title = "Accuracy on unseen problems, plain prompts"
        accuracy = self._table(title, "family", "before", "after", left="family")
        for name, before in first["by_family"].items():
            accuracy.add_row(printable(name), f"{before:.2f}", f"{last['by_family'][name]:.2f}")
        accuracy.add_row("all", f"{first['accuracy']:.2f}", f"{last['accuracy']:.2f}", style="bold")
        self.rich.print(accuracy)
        epochs = self._table(
            "Epochs", "epoch", "accuracy", "hard", "prompt step", "tokens", left="prompt step"
        )
        # The token limit may end a run within an epoch, whose hard problems are then unknown.
        for record in (r for r in history if r is first or r is last or r["hard"] is not None):
            step = record.get("prompt_step")
            epochs.add_row(
                str(record["epoch"]) if record is first else after_epoch(record),
                f"{record['accuracy']:.2f}",
                "" if record["hard"] is None else str(record["hard"]),
                "" if step is None else printable(step["reason"]),
                f"{record['generated_tokens']:,}",
            )
        self.rich.print(epochs)
        found = list(dict.fromkeys(t for r in history for t in r.get("prompt_step", {}).get("templates", [])))
        if found:
            self._line("\n[bold]Templates found[/bold]")
            for text in found:
                self._line(f"  {printable(text or '(the plain prompt)')}")
        took = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
        self._line(f"\n{tokens:,} tokens generated in {took}")

    def story(self, story: Story) -> None:
        """What the method did with one problem: failed plain, solved under a template, solved plain."""
        assert story.guided is not None
        assert story.learnt is not None
        question, gold = shortened(story.question, 40), shortened(story.gold, 12)
        self._line(f"\n[bold]One hard problem[/bold]  {question}  gold {gold}")
        for attempt, under in (
            (story.attempts[0], "plain prompt"),
            (story.guided, "under a template"),
            (story.learnt, "plain prompt"),
        ):
            mark = "[green]✓[/green]" if attempt.solved else "[red]×[/red]"
            self._line(
                f"  epoch {attempt.epoch + 1:<3}{under:<17}{mark} {shortened(attempt.text, 48, end=True)}"
            )
            if not attempt.plain:
                self._line(f"{'':28}[dim]{shortened(attempt.template, 52)}[/dim]")
        self._line("")


def shortened(text: str, most: int, *, end: bool = False) -> str:
    """A text on one line, printed literally: where it is longer than `most` characters its beginning, or its end."""
    line = " ".join(text.split())
    if len(line) > most:
        line = (
            f"\N{HORIZONTAL ELLIPSIS}{line[1 - most :]}"
            if end
            else f"{line[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
        )
    return printable(line)


def after_epoch(record: Mapping[str, Any]) -> str:
    """When a record of the history was made: after an epoch, or within it."""
    number = record["epoch"] + 1
    return f"within {number}" if record.get("within") else str(number)
