"""A run: everything the loop works with, and its books."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from p2o.batches import Batch, Batches
from p2o.checkpoint import save_checkpoint
from p2o.config import Config
from p2o.distributed import ONE_PROCESS, Processes
from p2o.guidance.guidance import Found, Guidance
from p2o.policy.policy import Policy
from p2o.report.page import write_report
from p2o.rollout.collect import Collector
from p2o.state import LoopState
from p2o.track.about import note_end
from p2o.track.console import Console, RunProgress
from p2o.track.metrics import followed_first, rollout_metrics
from p2o.track.run_directory import RunDirectory, rollout_records
from p2o.track.tracker import Tracker
from p2o.types import Problem


@dataclass(kw_only=True)
class BaseRun:
    """A run but for its policy: what rollouts and prompt steps work with, whoever trains (`p2o.trl`: TRL's trainer)."""

    config: Config
    problems: Sequence[Problem]
    collector: Collector
    guidance: Guidance | None
    """None for plain GRPO."""
    tokenizer: Any
    directory: RunDirectory
    console: Console
    state: LoopState
    trackers: Sequence[Tracker] = ()
    """Where metrics and rollouts go beside the run directory."""
    processes: Processes = ONE_PROCESS
    """The processes of the run. All of them hold the same state; rank 0 writes."""
    _logged_phases: dict[str, float] = field(init=False)
    """Seconds of each phase that lines of metrics have told of."""

    def __post_init__(self) -> None:
        """Begins with all time so far counted."""
        self._logged_phases = dict(self.state.phases)

    @property
    def epoch_is_done(self) -> bool:
        """Whether every problem of the epoch has been rolled out."""
        return self.state.epoch_problems >= len(self.problems)

    @property
    def tokens_left(self) -> float:
        """Tokens until the run's limit; infinite where it has none."""
        limit = self.config.run.max_generated_tokens
        return math.inf if limit is None else limit - self.state.generated_tokens

    @property
    def out_of_tokens(self) -> bool:
        """Whether the run's token limit is reached."""
        return self.tokens_left <= 0

    @property
    def progress(self) -> RunProgress:
        """Where the run stands."""
        state, run = self.state, self.config.run
        share = (state.epoch + state.epoch_problems / len(self.problems)) / run.epochs
        if run.max_generated_tokens is not None:
            share = max(share, state.generated_tokens / run.max_generated_tokens)
        return RunProgress(
            epoch=state.epoch + 1,
            epochs=run.epochs,
            step=state.step,
            problems=state.epoch_problems,
            of=len(self.problems),
            share=min(1.0, share),
            seconds=state.seconds,
        )

    @property
    def under_way(self) -> str:
        """The step under way, for the console."""
        return f"epoch {self.state.epoch + 1} step {self.state.step + 1}"

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Adds the time of what is done within to that of a phase, unless it fails; not that of phases within it."""
        phases = self.state.phases
        started, counted = time.monotonic(), sum(phases.values())
        yield
        within = sum(phases.values()) - counted
        phases[phase] = phases.get(phase, 0.0) + time.monotonic() - started - within

    def log_guidance(self, found: Found) -> None:
        """A line of metrics, and one on the console, for a step of guidance."""
        state, outcome = self.state, found.summary["reason"]
        record = {
            "step": state.step,
            "epoch": state.epoch,
            "num_tokens": state.generated_tokens,
            "guidance/version": state.version,
            "guidance/tokens": found.tokens,
            "guidance/templates": len(found.summary["templates"]),
            "guidance/outcome": outcome,
        }
        self.log(record)
        self.console.guided({**found.summary, "step": state.step, "tokens": found.tokens})

    def log(self, record: dict[str, Any]) -> None:
        """Appends a line of metrics and remembers it for a resumed run.

        It has the seconds of each phase since the line before, and those of the run so far as `time/total_s`.
        """
        before, self._logged_phases = self._logged_phases, dict(self.state.phases)
        times = {f"time/{phase}_s": s - before.get(phase, 0.0) for phase, s in self._logged_phases.items()}
        record = {**record, **times, "time/total_s": self.state.seconds}
        self.directory.log(record)
        self.state.count_line(record)
        numbers = {
            name: value for name, value in record.items() if name != "step" and isinstance(value, int | float)
        }
        for tracker in self.trackers:
            tracker.metrics(record["step"], numbers)


@dataclass(kw_only=True)
class Run(BaseRun):
    """Everything the loop works with. `p2o.assembly.prepare` builds it from a configuration."""

    evaluation_problems: Sequence[Problem]
    policy: Policy
    reference: Any
    """Scores under the start weights, for the KL term; None without one."""
    probe: Callable[[], dict[str, float]] = dict
    """Measures, after a sync, how far sampler and trainer are apart, and stops the run where they disagree."""
    batches: Batches = field(init=False)
    """What the steps learn from."""

    def __post_init__(self) -> None:
        """Begins without a batch."""
        super().__post_init__()
        self.batches = Batches(self)

    def log_step(self, batch: Batch, metrics: dict[str, float]) -> None:
        """One line of metrics and a sample of the rollouts."""
        state = self.state
        record = {
            "step": state.step,
            "epoch": state.epoch,
            "num_tokens": state.generated_tokens,
            **rollout_metrics(batch.groups),
            **batch.metrics,
            **metrics,
        }
        self.log(record)
        shown = followed_first(batch.groups, state.outcomes)
        records = rollout_records(state.epoch, shown, self.config.track.rollouts)
        self.directory.log_rollouts(state.step, records)
        for tracker in self.trackers if records else ():
            tracker.rollouts(state.step, records)
        self.console.stepped(record, self.progress)

    def checkpoint(self) -> None:
        """Saves what `--resume` needs."""
        save_checkpoint(
            self.directory.checkpoints,
            f"epoch-{self.state.epoch:06d}-step-{self.state.epoch_step:08d}",
            self.policy,
            self.tokenizer,
            {**self.state.to_dict(), "ahead": self.batches.to_dict()},
            keep=self.config.checkpoint.keep,
            processes=self.processes,
        )

    def finish(self) -> None:
        """Exports the trained model, writes the report and closes the trackers."""
        self.policy.export(self.directory.path / "model", self.tokenizer)
        self.processes.on_main(self._report)
        for tracker in self.trackers:
            tracker.close()

    def _report(self) -> None:
        note_end(self.directory.path)
        write_report([self.directory.path], self.directory.path / "report.html")
