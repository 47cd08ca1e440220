"""Rewards beside sampling: completions are judged as they end, while a sampler draws the others.

What is judged when does not show in the rewards: they come in the order of the requests, and what failed is looked into
only when all have been asked about.

- The verifier runs in a thread: it is Rust, and holds no lock of the interpreter.
- Calls of an `async def` go on between two steps of the sampler, in its thread: the time limit that can end them is an
  alarm of the system, and clients that a function keeps stay in one event loop.
- Any other function holds up the thread that calls it, which it shares with the sampler for the alarms that graders set
  themselves. It is called between two steps only where the engine goes on meanwhile, in a process of its own, else when
  all completions have ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from p2o.types import Problem, Rollout

V = TypeVar("V")

Judge = Callable[[Sequence[Rollout], Sequence[Problem]], Sequence[V]]
"""Verdicts on rollouts, each beside its problem."""


class Judging(ABC):
    """The rewards of one call of `Collector.collect` on this rank."""

    @abstractmethod
    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """Takes a completion that has ended; `number` is its place in the order of requests."""

    def turn(self) -> None:  # noqa: B027  # most have nothing to do
        """Goes on with it for a moment; called between two steps of the sampler."""

    def news(self) -> list[tuple[int, float]]:
        """Rewards that are certain since the last call, with their numbers; those of what failed never are."""
        return []

    def finish(self) -> None:  # noqa: B027
        """Waits for what was added: `news` has the rest of what it will have."""

    @abstractmethod
    def rewards(self, kept: Container[int] | None = None) -> list[float]:
        """All rewards, in the order of their numbers; NaN where nobody knows it. Of some, as if no others were."""

    def close(self) -> None:  # noqa: B027
        """Gives up what has not been judged, if anything."""


class AtTheEnd(Judging):
    """Judges everything when everything has ended."""

    def __init__(self, judge: Judge[float]) -> None:
        self.judge = judge
        self.ended: dict[int, tuple[Rollout, Problem]] = {}

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """See [`Judging`][]."""
        self.ended[number] = (rollout, problem)

    def rewards(self, kept: Container[int] | None = None) -> list[float]:
        """See [`Judging`][]."""
        pairs = [self.ended[number] for number in sorted(self.ended) if kept is None or number in kept]
        return list(self.judge([rollout for rollout, _ in pairs], [problem for _, problem in pairs]))


class InThread(Judging, Generic[V]):
    """Judges in a thread what has ended since the last turn.

    Args:
        judge: verdicts on rollouts, each beside its problem.
        value: the reward of a verdict.
        count: takes the verdicts whose rewards are kept.
    """

    def __init__(
        self, judge: Judge[V], value: Callable[[V], float], count: Callable[[list[V]], None]
    ) -> None:
        self.judge = judge
        self.value = value
        self.count = count
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="p2o-verify")
        self.ended: dict[int, tuple[Rollout, Problem]] = {}
        self.asked: list[tuple[list[int], Future[Sequence[V]]]] = []
        self.told = 0

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """See [`Judging`][]."""
        self.ended[number] = (rollout, problem)

    def turn(self) -> None:
        """See [`Judging`][]."""
        if self.ended and (not self.asked or self.asked[-1][1].done()):
            self._ask()

    def news(self) -> list[tuple[int, float]]:
        """See [`Judging`][]."""
        done = [(ns, future.result()) for ns, future in self.asked[self.told :] if future.done()]
        self.told += len(done)  # one is asked after the other
        return [(n, self.value(v)) for ns, verdicts in done for n, v in zip(ns, verdicts, strict=True)]

    def finish(self) -> None:
        """See [`Judging`][]."""
        if self.ended:
            self._ask()
        wait([future for _, future in self.asked])

    def rewards(self, kept: Container[int] | None = None) -> list[float]:
        """See [`Judging`][]."""
        if kept is None:
            self.finish()
        asked = self.asked if kept is None else self.asked[: self.told]
        found = {n: v for ns, future in asked for n, v in zip(ns, future.result(), strict=True)}
        verdicts = [found[number] for number in sorted(found) if kept is None or number in kept]
        self.count(verdicts)
        return list(map(self.value, verdicts))

    def close(self) -> None:
        """See [`Judging`][]."""
        self.thread.shutdown(cancel_futures=True)

    def _ask(self) -> None:
        numbers = sorted(self.ended)
        rollouts = [self.ended[number][0] for number in numbers]
        problems = [self.ended[number][1] for number in numbers]
        self.asked.append((numbers, self.thread.submit(self.judge, rollouts, problems)))
        self.ended = {}
