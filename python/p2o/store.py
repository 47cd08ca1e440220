"""What ranks share while each is at work on its own, by the launch's key-value store (`torch.distributed.Store`)."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

CONTROL_TIMEOUT = timedelta(hours=12)
"""How long a rank waits for the others: a prompt step may sit on a teacher's API for hours."""


class WorkQueue:
    """The numbers below `pieces`: each team of ranks begins with its own, then gets the next when it asks for it.

    A counter in the launch's store says how many have been given out. What a team got in its n-th turn is there for the
    others in it: they ask in the same order, since they hold one engine together, but not at the same time.
    """

    def __init__(self, name: str, store: Any, pieces: int, rank: int, ranks: int, team: int) -> None:
        self.store = store
        self.name = name
        self.pieces = pieces
        self.rank = rank
        self.number, self.teams = rank // team, ranks // team
        self.place = f"{name} team {self.number}"
        self.follows = self.rank % team > 0
        self.led = team > 1 and not self.follows
        self.turns = 0
        """Numbers that this team has got, the end among them."""

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        place = f"{self.place} turn {self.turns}"
        self.turns += 1
        if self.turns == 1:
            number = self.number
        elif self.follows:
            self.store.wait([place], CONTROL_TIMEOUT)
            number = int(self.store.get(place))
        else:
            number = self.teams + self.store.add(self.name, 1) - 1
            if self.led:
                self.store.set(place, str(number))
        if number >= self.pieces:
            raise StopIteration
        return number

    def drawn_by(self, function: Callable[[Iterator[int]], T]) -> T:
        """What `function` makes of the numbers; if it fails, nobody gets another one."""
        try:
            return function(self)
        except BaseException:
            self.store.add(self.name, self.pieces)
            if self.led:
                self.store.set(f"{self.place} turn {self.turns}", str(self.pieces))
            raise

    def clear(self) -> None:
        """Takes out of the store what this rank answers for, when all have been told the end."""
        if self.rank == 0:
            self.store.delete_key(self.name)
        if self.led:
            for turn in range(self.turns + 1):
                self.store.delete_key(f"{self.place} turn {turn}")


class Notices(Generic[T]):
    """Records that every rank gets of every other one, in the same order, while all are at work.

    As a context it says at the end, also of a rank that fails, that this rank has nothing more to tell.

    Args:
        name: under which they are in the store.
        store: None for a rank that is alone.
        ranks: how many there are.
    """

    def __init__(self, name: str, store: Any, ranks: int) -> None:
        self.name = name
        self.store = store
        self.at_work = ranks
        """Ranks that may still have something to tell."""
        self.ended = False
        self.read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def exchange(self, records: Sequence[T]) -> list[T]:
        """Tells the others, and returns what all have told since the last call, this rank too."""
        if self.store is None:
            return list(records)
        if records:
            self._tell(list(records))
        return self._read(self.store.add(self.name, 0))

    def end(self) -> None:
        """This rank has nothing more to tell."""
        if not self.ended:
            self.ended = True
            if self.store is None:
                self.at_work = 0
            else:
                self._tell(None)

    def rest(self) -> Iterator[T]:
        """What the others tell, waited for, until all have ended; this rank has."""
        self.end()
        while self.at_work:
            yield from self._read(self.read + 1)

    def clear(self) -> None:
        """Takes the records out of the store, on one rank, when all have read what they want."""
        if self.store is not None:
            for number in range(self.store.add(self.name, 0)):
                self.store.delete_key(f"{self.name} {number}")
            self.store.delete_key(self.name)

    def _tell(self, records: list[T] | None) -> None:
        number = self.store.add(self.name, 1) - 1
        self.store.set(f"{self.name} {number}", pickle.dumps(records))

    def _read(self, count: int) -> list[T]:
        """What was told up to the notice of that number, which may be on its way."""
        found: list[T] = []
        for number in range(self.read, count):
            place = f"{self.name} {number}"
            self.store.wait([place], CONTROL_TIMEOUT)
            records = pickle.loads(self.store.get(place))  # from this launch's ranks, as all their objects
            if records is None:
                self.at_work -= 1
            else:
                found += records
            self.read = number + 1
        return found
