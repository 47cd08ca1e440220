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

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from p2o.types import Problem, Rollout

Judge = Callable[[Sequence[Rollout], Sequence[Problem]], Sequence[float]]
"""Rewards of rollouts, each beside its problem."""


class Judging(Protocol):
    """The rewards of one call of `Collector.collect` on this rank."""

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """Takes a completion that has ended; `number` is its place in the order of requests."""
        ...

    def turn(self) -> None:
        """Goes on with it for a moment; called between two steps of the sampler."""
        ...

    def rewards(self) -> list[float]:
        """All rewards, in the order of their numbers; NaN where nobody knows it."""
        ...

    def close(self) -> None:
        """Gives up what has not been judged, if anything."""
        ...


class AtTheEnd:
    """Judges everything when everything has ended."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.ended: dict[int, tuple[Rollout, Problem]] = {}

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """See [`Judging`][]."""
        self.ended[number] = (rollout, problem)

    def turn(self) -> None:
        """See [`Judging`][]."""

    def rewards(self) -> list[float]:
        """See [`Judging`][]."""
        pairs = [self.ended[number] for number in sorted(self.ended)]
        return list(self.judge([rollout for rollout, _ in pairs], [problem for _, problem in pairs]))

    def close(self) -> None:
        """See [`Judging`][]."""


class InThread:
    """Judges in a thread what has ended since the last turn."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="p2o-verify")
        self.waiting = AtTheEnd(judge)
        self.asked: list[tuple[list[int], Future[list[float]]]] = []

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """See [`Judging`][]."""
        self.waiting.add(number, rollout, problem)

    def turn(self) -> None:
        """See [`Judging`][]."""
        if self.waiting.ended and (not self.asked or self.asked[-1][1].done()):
            self._ask()

    def rewards(self) -> list[float]:
        """See [`Judging`][]."""
        self._ask()
        found = {
            n: reward for ns, future in self.asked for n, reward in zip(ns, future.result(), strict=True)
        }
        return [found[number] for number in sorted(found)]

    def close(self) -> None:
        """See [`Judging`][]."""
        self.thread.shutdown(cancel_futures=True)

    def _ask(self) -> None:
        self.asked.append((sorted(self.waiting.ended), self.thread.submit(self.waiting.rewards)))
        self.waiting = AtTheEnd(self.judge)
