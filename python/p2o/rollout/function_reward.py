"""The reward by a function of the user's own: who is to blame for an error, and what is asked again."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING

from p2o.errors import RewardError
from p2o.reward_calls import Answer, AsyncCalls, Pair, UnreadableAnswer, describe
from p2o.reward_loop import inside_a_loop
from p2o.rewards import load_reward
from p2o.rollout.judging import Judging
from p2o.time_limit import OutOfTime
from p2o.types import Problem, Rollout

if TYPE_CHECKING:
    from p2o.rollout.reward import RewardConfig

LOGGER = logging.getLogger(__name__)

WAITS = (1.0, 5.0, 25.0)
"""Seconds after which a function that does not work is asked again."""

HANGING = 3
"""Calls out of time, before any completion could be judged, from which a function counts as one that hangs."""

NETWORK = frozenset(
    {
        *("aiohttp", "grpc", "http", "httpcore", "httpx", "requests", "socket", "ssl", "urllib", "urllib3"),
        *("anthropic", "openai"),
    }
)
"""Modules whose errors say that a judge was not reached, or not served."""


class FunctionReward:
    """A user's function.

    An error is the completion's fault if the function goes on working on one that it could judge before: it scores 0,
    is counted, and is logged once a kind. Otherwise the function does not work, and the reward is not known: a 0 would
    teach that what nobody judged was wrong.
    """

    def __init__(self, config: RewardConfig) -> None:
        self.function = load_reward(
            config.function, timeout_s=config.timeout_s, concurrency=config.concurrency
        )
        self.code = self.function.code
        self.max_failures = config.max_failures
        self._judged: Pair | None = None
        """What it could judge last."""
        self._unknown = 0
        """Rewards in a row that are not known."""

    def begin(self, *, apart: bool) -> Judging:
        """See [`p2o.rollout.reward.RewardFunction`][]."""
        if self.function.is_async and not inside_a_loop():
            return Awaited(self)
        return Called(self, apart=apart)

    def judges_beside(self, *, apart: bool) -> bool:
        """See [`p2o.rollout.reward.RewardFunction`][]. What fails is looked into at the end."""
        return apart or (self.function.is_async and not inside_a_loop())

    def settle(self, asked: list[Pair], answers: list[Answer]) -> list[float]:
        """The rewards that follow from the first answers; NaN where the function does not work.

        Raises:
            RewardError: if the function has never worked and fails on every rollout, through no fault of theirs; if it
                does not work any more, and that for over `reward.max_failures` rollouts; if a reward is outside [0, 1].
        """
        for pair, answer in zip(asked, answers, strict=True):
            self.remember(pair, answer)
        if answers and not self.has_worked:
            raise RewardError(
                f"reward.function = {self.function.name!r} failed on all {len(answers)} completions of a batch: "
                f"{_first_error(answers)}"
            )
        unknown = set(self._ask_again(asked, answers))
        for i, answer in enumerate(answers):
            if isinstance(answer, BaseException) and i not in unknown:
                self.function.count(answer)
        self._give_up_on([answers[i] for i in sorted(unknown)])
        return [
            math.nan if i in unknown else 0.0 if isinstance(answer, BaseException) else answer
            for i, answer in enumerate(answers)
        ]

    def remember(self, pair: Pair, answer: Answer) -> None:
        """Keeps what could be judged last."""
        if not _has_failed(answer):
            self._judged = pair

    @property
    def has_worked(self) -> bool:
        """Whether it could ever judge anything."""
        return self._judged is not None

    def works(self) -> bool:
        """Whether it judges what it judged before."""
        return self._judged is not None and not _has_failed(self.function.ask(*self._judged))

    def _ask_again(self, asked: list[Pair], answers: list[Answer]) -> list[int]:
        """Asks again about what failed, into `answers`; returns what still fails through no fault of the completion."""
        failed = [i for i, answer in enumerate(answers) if _has_failed(answer)]
        if not failed:
            return []
        works = False
        for wait in (0.0, *WAITS):
            time.sleep(wait)
            works = self.works()
            if not works:
                continue
            for i, answer in zip(failed, self.function.ask_all([asked[i] for i in failed]), strict=True):
                answers[i] = answer
            failed = [i for i in failed if _has_failed(answers[i])]
            if not any(_is_network(answers[i]) for i in failed):
                return []
        return [i for i in failed if not works or _is_network(answers[i])]

    def _give_up_on(self, errors: list[Answer]) -> None:
        """Counts rewards that are not known. Raises RewardError if they are too many in a row."""
        self._unknown = self._unknown + len(errors) if errors else 0
        if not errors:
            return
        about = f"reward.function = {self.function.name!r} does not work: {_first_error(errors)}"
        if self._unknown > self.max_failures:
            raise RewardError(
                f"{about}; --resume goes on when it does, and reward.max_failures = {self.max_failures} more "
                "rollouts may be left out"
            )
        self.function.errors["not known"] += len(errors)
        LOGGER.warning("%s; %d rollouts are left out of their groups", about, len(errors))

    def take_counts(self) -> Counter[str]:
        """Errors by their text."""
        counts, self.function.errors = self.function.errors, Counter()
        return counts

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """The number of errors."""
        return {"reward/errors": float(counts.total())}


class Asked(Judging):
    """What a function answers about completions that have ended."""

    def __init__(self, reward: FunctionReward) -> None:
        self.reward = reward
        self.waiting: dict[int, Pair] = {}
        self.asked: dict[int, Pair] = {}
        self.answers: dict[int, Answer] = {}
        self.told = 0

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        """See [`Judging`][]."""
        self.waiting[number] = (problem, rollout.text)

    def news(self) -> list[tuple[int, float]]:
        """See [`Judging`][]."""
        new, self.told = list(self.answers.items())[self.told :], len(self.answers)
        return _certain(new)

    def rewards(self, kept: Container[int] | None = None) -> list[float]:
        """See [`Judging`][]."""
        if kept is None:
            self.finish()
        numbers = [number for number in sorted(self.answers) if kept is None or number in kept]
        return self.reward.settle([self.asked[n] for n in numbers], [self.answers[n] for n in numbers])

    def _taken(self) -> dict[int, Pair]:
        """Those that wait, which are asked about now."""
        waiting, self.waiting = dict(sorted(self.waiting.items())), {}
        self.asked |= waiting
        return waiting


class Called(Asked):
    """Calls a function that holds up its caller: when all completions have ended, or where an engine goes on meanwhile,
    on those that have ended by then."""

    def __init__(self, reward: FunctionReward, *, apart: bool) -> None:
        super().__init__(reward)
        self.apart = apart
        self.hangs: OutOfTime | None = None
        """What the function answers since it is known not to work: each call would take as long."""
        self.late = 0
        """Calls that were out of time."""

    def turn(self) -> None:
        """See [`Judging`][]."""
        if self.apart and self.waiting:
            self.finish()

    def finish(self) -> None:
        """See [`Judging`][]."""
        waiting = self._taken()
        if self.reward.function.asks_many:
            self.answers |= zip(waiting, self.reward.function.ask_all(list(waiting.values())), strict=True)
            return
        for number, pair in waiting.items():
            answer = self.hangs or self.reward.function.ask(*pair)
            self.answers[number] = answer
            self.reward.remember(pair, answer)
            if isinstance(answer, OutOfTime) and self.hangs is None:
                self.late += 1
                # While it has judged nothing, the completion may be to blame.
                if (self.reward.has_worked or self.late == HANGING) and not self.reward.works():
                    self.hangs = answer


class Awaited(Asked):
    """Calls of an `async def` beside the sampler. One that takes lists gets what has ended during the call before."""

    def __init__(self, reward: FunctionReward) -> None:
        super().__init__(reward)
        self.calls = AsyncCalls(reward.function)

    def turn(self) -> None:
        """See [`Judging`][]."""
        if self.waiting and not (self.reward.function.is_batched and self.calls.under_way):
            self.calls.start(list(self._taken().values()))
        self.calls.turn()

    def news(self) -> list[tuple[int, float]]:
        """See [`Judging`][]."""
        self._read()
        return super().news()

    def finish(self) -> None:
        """See [`Judging`][]."""
        self.calls.start(list(self._taken().values()))
        self.calls.wait()
        self._read()

    def close(self) -> None:
        """See [`Judging`][]."""
        self.calls.close()

    def _read(self) -> None:
        asked = list(self.asked)
        self.answers |= [(asked[place], answer) for place, answer in self.calls.ended()]


def _certain(answers: Iterable[tuple[int, Answer]]) -> list[tuple[int, float]]:
    """Rewards that `settle` will not change, by the numbers of their completions."""
    return [
        (number, 0.0 if isinstance(answer, BaseException) else answer)
        for number, answer in answers
        if not _has_failed(answer)
    ]


def _has_failed(answer: Answer) -> bool:
    return isinstance(answer, BaseException) and not isinstance(answer, UnreadableAnswer)


def _is_network(answer: Answer) -> bool:
    return isinstance(answer, ConnectionError) or type(answer).__module__.partition(".")[0] in NETWORK


def _first_error(answers: Sequence[Answer]) -> str:
    return next(describe(answer) for answer in answers if isinstance(answer, BaseException))
