"""Calls of a reward function of one's own: one by one, concurrent or for many, within their time, errors counted."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import weakref
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from threading import Thread
from typing import Any, Protocol

from p2o.errors import ConfigError, RewardError
from p2o.time_limit import OutOfTime, no_way_out, time_limit
from p2o.types import Problem

LOGGER = logging.getLogger("p2o.rewards")


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
        self.is_async = inspect.iscoroutinefunction(function)
        self.is_batched = _takes_lists(function)
        self._loop: asyncio.Runner | None = None
        """One for all calls: clients that a function keeps belong to it."""
        self._loop_aside: asyncio.AbstractEventLoop | None = None
        self.errors: Counter[str] = Counter()
        """Number of errors by `ExceptionType: message`."""
        self.faults = 0
        """Number of errors for which the function is to blame, or the data: all but `UnreadableAnswer`."""
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

    def ask(self, problem: Problem, completion: str) -> float | BaseException:
        """The reward, or what the function raised instead: `exit()` of a completion that it ran is no end of the run.

        Raises:
            RewardError: if the reward is outside [0, 1] or not a number.
        """
        return self.ask_all([(problem, completion)])[0]

    def ask_all(self, pairs: Sequence[tuple[Problem, str]]) -> list[float | BaseException]:
        """As `ask`, of each pair: a list in one call, an `async def` in concurrent calls, else one after the other."""
        # A copy: what the function writes into a problem must not be in the next prompt.
        calls = [(deepcopy(problem), completion) for problem, completion in pairs]
        if self.is_batched and calls:
            problems, completions = map(list, zip(*calls, strict=True))
            (values,) = self._call([(problems, completions)])
            found = self._spread(values, len(calls))
        else:
            found = self._call(calls)
        return [
            value.error if isinstance(value, _Raised) else self._checked(value, problem)
            for value, (problem, _) in zip(found, pairs, strict=True)
        ]

    def _call(self, calls: Sequence[tuple[Any, Any]]) -> list[Any]:
        """What the function gave or raised for each pair of arguments."""
        if not self.is_async:
            return [self._call_one(*arguments) for arguments in calls]
        rounds = 1 + -(-len(calls) // self.concurrency)
        with no_way_out(), self._limited(rounds):  # a call that waits without `await` holds up all others
            return self._run(self._call_async(calls))

    def _run(self, work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
        """What `work` gives; where the caller is inside a loop already, as in a notebook, by one in another thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if self._loop is None:
                self._loop = asyncio.Runner()
                weakref.finalize(self, self._loop.close)
            return self._loop.run(work)
        if self._loop_aside is None:
            self._loop_aside = loop = asyncio.new_event_loop()
            Thread(target=_serve, args=(loop,), name="p2o-reward", daemon=True).start()
            weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)
        future = asyncio.run_coroutine_threadsafe(work, self._loop_aside)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _limited(self, calls: int = 1) -> AbstractContextManager[None]:
        """Ends what takes longer than so many calls may, one after the other."""
        if self.timeout_s is None:
            return nullcontext()
        return time_limit(calls * self.timeout_s, "reward.timeout_s")

    def _call_one(self, *arguments: Any) -> Any:
        try:
            with no_way_out(), self._limited():
                return self.function(*arguments)
        except (
            KeyboardInterrupt,
            ConfigError,
        ):  # Ctrl-C, or what all completions would meet: it means the run
            raise
        except BaseException as error:
            return _Raised(error)

    async def _call_async(self, calls: Sequence[tuple[Any, Any]]) -> list[Any]:
        slots = asyncio.Semaphore(self.concurrency)

        async def one(arguments: tuple[Any, Any]) -> Any:
            async with slots:
                limit = asyncio.timeout(self.timeout_s)
                try:
                    async with limit:
                        return await self.function(*arguments)
                except BaseException as error:
                    task = asyncio.current_task()
                    if isinstance(error, KeyboardInterrupt) or (task is not None and task.cancelling()):
                        raise  # Ctrl-C means the run
                    if limit.expired():
                        return _Raised(OutOfTime(f"no result after reward.timeout_s = {self.timeout_s:g} s"))
                    return _Raised(error)

        return await asyncio.gather(*map(one, calls))

    def _spread(self, values: Any, count: int) -> list[Any]:
        """What a call for many gave for each.

        Raises:
            RewardError: if they are not as many numbers as completions.
        """
        if isinstance(values, _Raised):
            return [values] * count
        try:
            found = list(values)
        except TypeError:
            found = []
        if len(found) != count:
            raise RewardError(
                f"reward.function = {self.name!r} gave {shown(values)} for {count} completions: a list of as many "
                "numbers is expected"
            )
        return found

    def _checked(self, value: Any, problem: Problem) -> float:
        reward = as_reward(value)
        if reward is None:
            raise RewardError(
                f"reward.function = {self.name!r} gave the reward {shown(value)} on {problem.name}: "
                "rewards must be numbers from 0 to 1"
            )
        return reward

    def count(self, error: BaseException) -> None:
        """Counts an error that scores 0."""
        self.faults += not isinstance(error, UnreadableAnswer)
        message = describe(error)
        if type(error) not in self._logged:
            self._logged.add(type(error))
            LOGGER.warning("reward.function = %r failed, its completion scores 0: %s", self.name, message)
        # A message with the completion in it must not grow the table without end.
        if message not in self.errors and len(self.errors) >= 32:
            message = f"{type(error).__name__}: (other messages)"
        self.errors[message] += 1


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Runs a loop until it is stopped."""
    loop.run_forever()
    loop.close()


def _takes_lists(function: Any) -> bool:
    """Whether its parameters are called `problems` and `completions`."""
    try:
        return list(inspect.signature(function).parameters)[:2] == ["problems", "completions"]
    except (TypeError, ValueError):  # built-in callables have no signature
        return False


def describe(error: BaseException) -> str:
    """An error in one line."""
    try:
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]
    except Exception:  # a type of others that cannot be shown
        return type(error).__name__


def shown(value: Any) -> str:
    """A value in one line, cut off where it is long."""
    try:
        return " ".join(repr(value).split())[:80]
    except Exception:  # a type of others that cannot be shown
        return f"of type {type(value).__name__}"
