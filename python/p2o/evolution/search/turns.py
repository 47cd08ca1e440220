"""Rounds that are open at once. Each goes on until it needs rollouts or replies; once all of them wait, what they wait
for is asked together, and they go on in the order in which they began.

Who goes on when depends on answers alone, never on the clock or on what a journal holds already: a step that is resumed
takes the same turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet


@dataclass(frozen=True, slots=True)
class Order:
    """What a round waits for. What it was promised of the budget is taken when it is made."""

    wants: Any
    serve: Callable[[Sequence[Any]], None]
    """Serves what several orders want that have the same."""
    give_back: Callable[[Any], None]
    """Takes back the promise of what was not served."""
    beside: bool = False
    """Whether it may be served in another thread while orders of other kinds are."""


def _beside(serve: Callable[[Sequence[Any]], None], wants: Sequence[Any]) -> Future[None]:
    """Serves in another thread, which the end of the process does not wait for."""
    served: Future[None] = Future()

    def work() -> None:
        try:
            serve(wants)
        except BaseException as error:
            served.set_exception(error)
        else:
            served.set_result(None)

    Thread(target=work, name="p2o-replies", daemon=True).start()
    return served


@dataclass(slots=True)
class Round:
    """A round that has begun."""

    number: int
    work: greenlet
    waits_for: Order | None = None
    """Until that is served."""
    held: int = 0
    """Rollouts that the others must leave it."""
    spent: int = 0
    """Rollouts that it asked for."""


class Turns:
    """The open rounds of a step."""

    def __init__(self) -> None:
        self._open: list[Round] = []
        self.now: Round | None = None
        """The round whose turn it is; None between rounds."""

    def __len__(self) -> int:
        """How many rounds are open."""
        return len(self._open)

    @property
    def held_by_others(self) -> int:
        """Rollouts that are not this round's to spend."""
        return sum(each.held for each in self._open if each is not self.now)

    def hold(self, count: int) -> None:
        """Keeps so many rollouts for the rest of this round; replaces what it held before."""
        if self.now is not None:
            self.now.held = count

    def begin(self, number: int, work: Callable[[], None]) -> None:
        """Opens a round, and lets it go on to its first order."""
        self._open.append(Round(number, greenlet(work)))
        self._go_on(self._open[-1])

    def wait(self, order: Order) -> None:
        """Returns when the order is served: at once where no round is open, else when all wait."""
        if self.now is not None:
            self.now.waits_for = order
            getcurrent().parent.switch()
            return
        try:
            order.serve([order.wants])
        finally:
            order.give_back(order.wants)

    def advance(self) -> None:
        """Serves what the open rounds wait for, and lets each go on to its next order or its end."""
        waiting = list(self._open)
        wanted: dict[tuple[Callable[[Sequence[Any]], None], bool], list[Any]] = {}
        for order in (round.waits_for for round in waiting if round.waits_for is not None):
            wanted.setdefault((order.serve, order.beside), []).append(order.wants)
        here = [kind for kind in wanted if not kind[1]] or list(wanted)[:1]
        aside = [_beside(kind[0], wants) for kind, wants in wanted.items() if kind not in here]
        try:
            for kind in here:
                kind[0](wanted[kind])
        except Exception:
            wait(aside)  # replies that are paid for; but nobody who stops the step waits for them
            raise
        for served in aside:
            served.result()
        for round in waiting:
            round.waits_for = None
            self._go_on(round)

    def close(self) -> None:
        """Ends the rounds that are still open where they stand."""
        while self._open:
            left = self._open.pop()
            if left.waits_for is not None:
                left.waits_for.give_back(left.waits_for.wants)
            left.work.throw(GreenletExit)

    def _go_on(self, round: Round) -> None:
        self.now = round
        try:
            round.work.switch()
        finally:
            self.now = None
            if round.work.dead and round in self._open:
                self._open.remove(round)
