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

from p2o.types import Problem, Rollout
from p2o.verifier import Verdict

Verify = Callable[[Sequence[Rollout], Sequence[Problem]], Sequence[Verdict]]
"""Verdicts on rollouts, each beside its problem."""


class Judging(ABC):
    """The rewards of one call of `Collector.collect` on this rank."""

    @abstractmethod
    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """Takes a completion that has ended; `number` is its place in the order of requests."""

    @abstractmethod
    def turn(self) -> None:
        """Goes on with it for a moment; called between two steps of the sampler."""

    @abstractmethod
    def news(self) -> list[tuple[int, float]]:
        """Rewards that are certain since the last call, with their numbers; those of what failed never are."""

    @abstractmethod
    def finish(self) -> None:
        """Waits for what was added: `news` has the rest of what it will have."""

    @abstractmethod
    def rewards(self, kept: Container[int] | None = None) -> list[float]:
        """All rewards, in the order of their numbers; NaN where nobody knows it. Of some, as if no others were."""

    def close(self) -> None:  # noqa: B027  # not all have anything to give up
        """Gives up what has not been judged, if anything."""


class InThread(Judging):
    """Has the verifier judge in a thread what has ended since the last turn.

    Args:
        verify: asks the verifier.
        count: takes the verdicts whose rewards are kept.
    """

    def __init__(self, verify: Verify, count: Callable[[list[Verdict]], None]) -> None:
        self.verify = verify
        self.count = count
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="p2o-verify")
        self.ended: dict[int, tuple[Rollout, Problem]] = {}
        self.asked: list[tuple[list[int], Future[Sequence[Verdict]]]] = []
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
        return [(n, float(v.correct)) for ns, verdicts in done for n, v in zip(ns, verdicts, strict=True)]

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
        return [float(verdict.correct) for verdict in verdicts]

    def close(self) -> None:
        """See [`Judging`][]."""
        self.thread.shutdown(cancel_futures=True)

    def _ask(self) -> None:
        numbers = sorted(self.ended)
        rollouts = [self.ended[number][0] for number in numbers]
        problems = [self.ended[number][1] for number in numbers]
        self.asked.append((numbers, self.thread.submit(self.verify, rollouts, problems)))
        self.ended = {}
