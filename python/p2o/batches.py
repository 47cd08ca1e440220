"""The batches of rollouts that steps learn from: drawn when they are asked for, or one step ahead.

With `rollout.ahead` the next batch is drawn in a thread while the policy learns from this one. It is drawn with
weights one step older than those that learn from it, and the engine ratio corrects that. What is drawn depends on names
and seeds alone, never on how far the update is.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

from p2o.outcomes.rehearsal import rehearsed
from p2o.policy.distillation import DISTILLATIONS
from p2o.policy.rows import enters_update
from p2o.rollout.collect import Enough, RolloutRequest
from p2o.rollout.record import rollout_from_dict, rollout_to_dict
from p2o.rollout.rollouts import generated_tokens, in_groups
from p2o.rollout.sampler import Progress, SamplingParams
from p2o.seeds import derive_seed
from p2o.types import Group, Problem, Rollout, Template

if TYPE_CHECKING:
    from p2o.run import BaseRun, Run

REFILL_LIMIT = 4
"""Under `loss.zero_variance = "refill"` a step rolls out at most so many times `run.batch_problems` problems."""

LOOK_S = 0.2
"""Seconds between two looks at how far a batch that is waited for has come."""

CLOSE_S = 30.0
"""Longest wait at the end of a run for a batch that nobody wants any more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The rollouts of a step."""

    groups: list[Group]
    trained: list[Group]
    """Those of the groups that enter the update."""
    problems: int
    """Problems of the epoch that were rolled out for it."""
    tokens: int
    """Generated tokens."""
    metrics: dict[str, float]
    """What happened in verification."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the checkpoint."""
        trained = {id(group) for group in self.trained}
        return {
            "groups": [
                {
                    "problem": group.problem.id,
                    "trained": id(group) in trained,
                    "rollouts": list(map(rollout_to_dict, group.rollouts)),
                }
                for group in self.groups
            ],
            "problems": self.problems,
            "tokens": self.tokens,
            "metrics": self.metrics,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], problems: Sequence[Problem]) -> Self:
        """What `to_dict` wrote, of a run on these problems."""
        by_id = {problem.id: problem for problem in problems}
        groups = [
            Group(by_id[each["problem"]], list(map(rollout_from_dict, each["rollouts"])))
            for each in values["groups"]
        ]
        trained = [group for group, each in zip(groups, values["groups"], strict=True) if each["trained"]]
        return cls(groups, trained, values["problems"], values["tokens"], values["metrics"])


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a run a batch is drawn. The loop's state may be further on by the time that it is."""

    step: int
    epoch_problems: int
    tokens_left: float
    """Until the run's token limit."""


class _Abandoned(Exception):
    """Nobody wants the batch any more."""


class Batches:
    """The batches of a run, one after the other; within `with`, what is being drawn ahead ends with the block."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._ready: Batch | None = None
        """Drawn ahead, and not taken yet."""
        self._drawing: Future[Batch] | None = None
        self._drawn = 0
        """Rollouts of it so far."""
        self._thread: Thread | None = None
        self._abandoned = Event()
        self.share = 1.0
        """Share of the last batch's groups that entered the update: no more than a guess at how many to begin."""

    def __enter__(self) -> Self:
        self._abandoned.clear()
        return self

    def __exit__(self, *error: object) -> None:
        self._abandoned.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def take(self) -> Batch:
        """The next batch, and counts it in the run's state: it is drawn now, unless it was drawn ahead.

        Raises:
            RewardError: if it cannot be verified. The state is as it was.
            SamplerError: if it cannot be drawn, likewise.
        """
        run, state = self.run, self.run.state
        self.settle()
        if self._drawing is not None:
            failed, self._drawing = self._drawing, None
            failed.result()  # which raises
        batch, self._ready = self._ready, None
        if batch is None:
            batch = collect_batch(run, self._place())
            if not run.config.rollout.ahead:
                run.collector.sampler.sleep()  # until the next weights are published
        state.epoch_problems += batch.problems
        state.training_tokens += batch.tokens
        return batch

    def draw_ahead(self) -> None:
        """Begins to draw the next batch with the weights that the sampler has: `settle` before it is given others."""
        place = self._place()
        self._drawn = 0
        drawing: Future[Batch] = Future()
        self._drawing = drawing

        def advance(count: int) -> None:
            if self._abandoned.is_set():
                raise _Abandoned
            self._drawn += count

        def draw() -> None:
            try:
                drawing.set_result(collect_batch(self.run, place, advance))
            except BaseException as error:
                drawing.set_exception(error)

        self._thread = Thread(target=draw, name="p2o-rollouts", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Waits for what is being drawn ahead. If that fails, `take` says so."""
        if (drawing := self._drawing) is None:
            return
        run, shown = self.run, 0
        total = run.config.run.batch_problems * run.config.rollout.n
        with run.timed("rollouts"):
            if not drawing.done():
                with run.console.phase(f"{run.under_way}  rollouts ahead", total) as progress:
                    while wait([drawing], LOOK_S).not_done:
                        drawn = self._drawn
                        progress(drawn - shown)
                        shown = drawn
            if drawing.exception() is None:
                self._ready, self._drawing = drawing.result(), None

    def to_dict(self) -> dict[str, Any] | None:
        """What was drawn ahead, as plain values, for the checkpoint."""
        return None if self._ready is None else self._ready.to_dict()

    def restore(self, values: Mapping[str, Any] | None) -> None:
        """Takes up what `to_dict` returned."""
        self._ready = None if values is None else Batch.from_dict(values, self.run.problems)

    def _place(self) -> Place:
        run, state = self.run, self.run.state
        return Place(state.step, state.epoch_problems, run.tokens_left)


def collect_batch(run: Run, place: Place, progress: Progress | None = None) -> Batch:
    """Rolls out the next problems of the epoch, under `refill` further ones for those without a signal.

    `progress` takes the place of the console's bar.
    """
    config = run.config
    groups: list[Group] = []
    trained: list[Group] = []
    tokens = 0
    missing = size = config.run.batch_problems
    most = REFILL_LIMIT * size if config.loss.zero_variance == "refill" else size
    # More are begun than are missing where they are given up when enough have a signal.
    surplus = size < most and run.collector.stops_early
    left = order_of_epoch(run)[place.epoch_problems :]
    run.collector.reward_metrics()  # a step's counts leave out evaluations and the prompt step
    while True:
        count = ceil(missing / run.batches.share) if surplus else missing
        asked = left[len(groups) :][: min(count, most - len(groups))]
        found, generated = roll_out(run, asked, place.step, progress, missing if surplus else None)
        tokens += generated
        for group in found:
            if len(trained) == size:  # they are taken in the order of the epoch, whichever ended first
                break
            groups.append(group)
            trained += [group] if has_part(run, group) else []
        run.batches.share = max(1 / REFILL_LIMIT, len(trained) / max(1, len(groups)))
        missing = size - len(trained)
        if missing <= 0 or len(groups) >= min(most, len(left)) or tokens >= place.tokens_left:
            break
    metrics = run.collector.reward_metrics()
    if surplus:
        kept = sum(generated_tokens(group.rollouts) for group in groups)
        metrics["rollouts/surplus_tokens"] = float(tokens - kept)
    return Batch(groups, trained, len(groups), tokens, metrics)


def order_of_epoch(run: Run) -> list[Problem]:
    """The problems in this epoch's own order."""
    order = list(run.problems)
    random.Random(derive_seed(run.config.run.seed, "order", run.state.epoch)).shuffle(order)
    return order


def has_part(run: BaseRun, group: Group) -> bool:
    """Whether a group enters the update."""
    return enters_update(group, run.config.loss, run.config.rollout.max_tokens)


def until(run: BaseRun, problems: Sequence[Problem], wanted: int) -> Enough:
    """Until so many groups enter the update: those first in the order of `problems`, whichever are known first."""
    n = run.config.rollout.n
    known: defaultdict[int, list[Rollout]] = defaultdict(list)
    counted: list[bool] = []

    def enough(place: int, rollout: Rollout) -> range | None:
        known[place // n].append(rollout)
        while sum(counted) < wanted and len(known[len(counted)]) == n:
            group = sorted(known[len(counted)], key=lambda each: each.index)
            counted.append(has_part(run, Group(problems[len(counted)], group)))
        return range(len(counted) * n) if sum(counted) == wanted else None

    return enough


def roll_out(
    run: BaseRun,
    problems: Sequence[Problem],
    step: int,
    progress: Progress | None = None,
    wanted: int | None = None,
) -> tuple[list[Group], int]:
    """One verified group per problem, hard problems under their templates, the others plain; and the generated tokens.

    `progress` takes the place of the console's bar. With `wanted` the problems behind that which completes so many
    groups that enter the update may be left out.
    """
    state, config = run.state, run.config
    drawn = DISTILLATIONS[config.context.distillation].drawn
    requests = [
        RolloutRequest(
            problem,
            under,
            index,
            derive_seed(config.run.seed, "rollout", state.epoch, step, problem.id, index),
            teacher,
        )
        for problem in problems
        for index, (under, teacher) in enumerate(map(drawn, templates_of(run, problem)))
    ]
    shows = run.console.phase(f"{run.under_way}  rollouts", len(requests))
    with shows if progress is None else nullcontext(progress) as shown:
        params, surplus = SamplingParams.of(config.rollout), 0
        if wanted is None:
            rollouts = run.collector.collect(requests, params, shown)
        else:
            enough = until(run, problems, wanted)
            rollouts, surplus = run.collector.collect_until(requests, enough, params, shown)
    n = config.rollout.n
    return in_groups(problems[: len(rollouts) // n], rollouts, n), generated_tokens(rollouts) + surplus


def templates_of(run: BaseRun, problem: Problem) -> list[Template]:
    """The templates of a problem's rollouts: of a hard one those assigned to it, of one that a template unlocked that
    one now and then, else none."""
    state, n = run.state, run.config.rollout.n
    if (assigned := state.assignment.get(problem.id)) is not None:
        return assigned
    return rehearsed(state.solved_under.get(problem.id), n, run.config.assign.rehearsal)
