"""Calls of a reward function of one's own: one by one, concurrent or for many, within their time, errors counted."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

from p2o.errors import ConfigError, RewardError, harmless
from p2o.reward_loop import RewardLoop
from p2o.time_limit import OutOfTime, no_way_out, time_limit
from p2o.types import Problem

LOGGER = logging.getLogger("p2o.rewards")

Pair = tuple[Problem, str]
"""What is asked about: a problem and a completion."""

Answer = float | BaseException
"""A reward, or what the function raised instead."""


class Reward(Protocol):
    """What `load_reward` takes: the problem and one completion in, a number out.

    It may be an `async def`. With parameters named `problems` and `completions` it takes lists of equal length and
    gives as many numbers.
    """

    def __call__(self, problem: Problem, completion: str) -> float:
        """The reward of the completion, in [0, 1]."""
        ...


ROUNDING = 1e-6
"""Rewards that are sums of weights may miss 0 and 1 by as much."""


def as_reward(value: Any) -> float | None:
    """A reward as a plain number; None if it is none from 0 to 1.

    One that misses 1 by a rounding is 1, and one that is below 0 by as much is 0.
    """
    try:
        reward = math.nan if isinstance(value, str | bytes) else float(value)
    except Exception:  # of a type of others
        return None
    if -ROUNDING <= reward < 0:
        return 0.0
    if abs(reward - 1) <= ROUNDING:
        return 1.0
    return reward if 0 <= reward <= 1 else None


class UnreadableAnswer(Exception):
    """A reward function cannot read this completion, which is the completion's fault."""


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a call raised; an exception that it returns is only a wrong value."""

    error: BaseException


class CountingReward:
    """A reward function whose errors score 0; they are counted by kind, and the first of each type is logged.

    Args:
        function: the function.
        name: its import path.
        timeout_s: how long a call may take, in seconds; None: for ever.
        concurrency: calls of an `async def` at once.
        code: a hash of its source.
    """

    def __init__(
        self,
        function: Reward,
        name: str,
        *,
        timeout_s: float | None = None,
        concurrency: int = 64,
        code: str | None = None,
    ) -> None:
        self.function: Any = function
        self.name = name
        self.timeout_s = timeout_s
        self.concurrency = concurrency
        self.code = code
        called = type(function).__call__  # an object may hold the judge's client
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
        self.is_batched = _takes_lists(function)
        self.loop = RewardLoop()
        self.errors: Counter[str] = Counter()
        """Number of errors by `ExceptionType: message`."""
        self._logged: set[type[BaseException]] = set()

    def __call__(self, problem: Problem, completion: str) -> float:
        """The reward; 0 after an error, as `ask` returns it."""
        answer = self.ask(problem, completion)
        if isinstance(answer, BaseException):
            self.count(answer)
            return 0.0
        return answer

    @property
    def asks_many(self) -> bool:
        """Whether it judges many completions at a time."""
        return self.is_async or self.is_batched

    def ask(self, problem: Problem, completion: str) -> Answer:
        """The reward, or what the function raised instead: `exit()` of a completion that it ran is no end of the run.

        Raises:
            RewardError: if the reward is outside [0, 1] or not a number.
        """
        return self.ask_all([(problem, completion)])[0]

    def ask_all(self, pairs: Sequence[Pair]) -> list[Answer]:
        """As `ask`, of each pair: a list in one call, an `async def` in concurrent calls, else one after the other."""
        if self.is_async:
            with closing(AsyncCalls(self)) as calls:
                calls.start(pairs)
                return calls.answers()
        found = [self._call_one(*call) for call in self.calls(pairs)]
        return (
            self.read(found[0], pairs) if self.is_batched and pairs else list(map(self._read, found, pairs))
        )

    def calls(self, pairs: Sequence[Pair]) -> list[tuple[Any, Any]]:
        """The arguments of each call about the pairs."""
        # A copy: what the function writes into a problem must not be in the next prompt.
        calls = [(deepcopy(problem), completion) for problem, completion in pairs]
        if not self.is_batched or not calls:
            return list(calls)
        problems, completions = map(list, zip(*calls, strict=True))
        return [(problems, completions)]

    def read(self, given: Any, pairs: Sequence[Pair]) -> list[Answer]:
        """The answers about the pairs of one call.

        Raises:
            RewardError: if a reward is outside [0, 1] or not a number, or there are not as many as pairs.
        """
        values = self._spread(given, len(pairs)) if self.is_batched else [given]
        return list(map(self._read, values, pairs))

    def limited(self, calls: int = 1) -> AbstractContextManager[None]:
        """Ends what takes longer than so many calls may, one after the other."""
        if self.timeout_s is None:
            return nullcontext()
        return time_limit(calls * self.timeout_s, "reward.timeout_s")

    def _call_one(self, *arguments: Any) -> Any:
        try:
            with no_way_out(), self.limited():
                return self.whole(self.function(*arguments))
        except (KeyboardInterrupt, ConfigError):
            raise  # Ctrl-C, or what all completions would meet: it means the run
        except BaseException as error:
            return _Raised(error)

    def whole(self, given: Any) -> Any:
        """What a call gave, read to its end while its time limit and its errors are still the call's own."""
        return list(given) if self.is_batched and isinstance(given, Iterator) else given

    def _spread(self, values: Any, count: int) -> list[Any]:
        """What a call for many gave for each.

        Raises:
            RewardError: if they are not as many numbers as completions.
        """
        if isinstance(values, _Raised):
            return [values] * count
        try:  # the keys of a mapping are no rewards, and a set has no order
            found = [] if isinstance(values, Mapping | Set) else list(values)
        except TypeError:
            found = []
        if len(found) != count:
            raise RewardError(
                f"reward.function = {self.name!r} gave {shown(values)} for {count} completions: a list of as many "
                "numbers is expected"
            )
        return found

    def _read(self, value: Any, pair: Pair) -> Answer:
        if isinstance(value, _Raised):
            return value.error
        reward = as_reward(value)
        if reward is None:
            raise RewardError(
                f"reward.function = {self.name!r} gave the reward {shown(value)} on {pair[0].name}: "
                "rewards must be numbers from 0 to 1"
            )
        return reward

    def count(self, error: BaseException) -> None:
        """Counts an error that scores 0."""
        message = describe(error)
        if type(error) not in self._logged:
            self._logged.add(type(error))
            LOGGER.warning("reward.function = %r failed, its completion scores 0: %s", self.name, message)
        # A message with the completion in it must not grow the table without end.
        if message not in self.errors and len(self.errors) >= 32:
            message = f"{type(error).__name__}: (other messages)"
        self.errors[message] += 1


class AsyncCalls:
    """Calls of an `async def`, at most `concurrency` under way at once, that go on beside what their caller does.

    They do so in the caller's thread, where it gives them a `turn` or waits for the `answers`: the time limit is an
    alarm there, which ends a call that waits without `await` as well, and would hold up all others.
    """

    def __init__(self, reward: CountingReward) -> None:
        self.reward = reward
        self.slots = asyncio.Semaphore(reward.concurrency)
        self.unread: list[tuple[int, Sequence[Pair], Future[Any]]] = []
        """Calls that `ended` has not told of, with the place of their first pair."""
        self.count = 0
        """Pairs that were asked about."""
        self.under_way: set[Future[Any]] = set()

    def start(self, pairs: Sequence[Pair]) -> None:
        """Asks about the pairs, all of them in one call if the function takes lists."""
        shares = [pairs] if self.reward.is_batched else [[pair] for pair in pairs]
        for share in shares:
            for call in self.reward.calls(share):
                future = self.reward.loop.start(self._call(call))
                self.unread.append((self.count, share, future))
                self.count += len(share)
                self.under_way.add(future)
                future.add_done_callback(self.under_way.discard)

    def turn(self) -> None:
        """Goes on as far as that takes no waiting."""
        if self.under_way:
            with no_way_out(), self.reward.limited():
                self.reward.loop.turn()

    def ended(self) -> list[tuple[int, Answer]]:
        """The answers that came since the last look, with the places of their pairs in the order in which these were
        started. Raises as `answers`."""
        done = [call for call in self.unread if call[2].done()]
        self.unread = [call for call in self.unread if not call[2].done()]
        return [
            (first + i, answer)
            for first, pairs, call in done
            for i, answer in enumerate(self.reward.read(call.result(), pairs))
        ]

    def wait(self) -> None:
        """Waits for all answers that `ended` has not told of."""
        rounds = 1 + -(-len(self.under_way) // self.reward.concurrency)
        with no_way_out(), self.reward.limited(rounds):
            for _, _, future in self.unread:
                self.reward.loop.wait(future)

    def answers(self) -> list[Answer]:
        """The answers about all pairs, in the order in which they were started, waited for.

        Raises:
            RewardError: if a reward is outside [0, 1] or not a number, or there are not as many as pairs.
        """
        self.wait()
        return [answer for _, answer in self.ended()]

    def close(self) -> None:
        """Gives up what is under way."""
        if self.under_way:
            for future in list(self.under_way):
                future.cancel()
            self.reward.loop.turn()

    async def _call(self, arguments: tuple[Any, Any]) -> Any:
        timeout_s = self.reward.timeout_s
        async with self.slots:
            limit = asyncio.timeout(timeout_s)
            try:
                async with limit:
                    return self.reward.whole(await self.reward.function(*arguments))
            except BaseException as error:
                task = asyncio.current_task()
                if isinstance(error, KeyboardInterrupt | ConfigError) or (task and task.cancelling()):
                    raise  # as in `CountingReward._call_one`
                if limit.expired():
                    return _Raised(OutOfTime(f"no result after reward.timeout_s = {timeout_s:g} s"))
                return _Raised(error)


def _takes_lists(function: Any) -> bool:
    """Whether its parameters are called `problems` and `completions`."""
    try:
        return list(inspect.signature(function).parameters)[:2] == ["problems", "completions"]
    except (TypeError, ValueError):  # built-in callables have no signature
        return False


def describe(error: BaseException) -> str:
    """An error in one line."""
    try:
        return harmless(f"{type(error).__name__}: {error}".splitlines()[0][:200])
    except Exception:  # a type of others that cannot be shown
        return type(error).__name__


def shown(value: Any) -> str:
    """A value in one line, cut off where it is long."""
    try:
        return " ".join(repr(value).split())[:80]
    except Exception:  # a type of others that cannot be shown
        return f"of type {type(value).__name__}"
