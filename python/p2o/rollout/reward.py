"""The reward of rollouts: the verifier, or a function of the user's own."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, Protocol

from pydantic import Field, field_validator

from p2o.errors import RewardError
from p2o.reward_calls import UnreadableAnswer, describe
from p2o.rewards import load_reward, with_usual_end_of_thought
from p2o.settings import Settings
from p2o.time_limit import OutOfTime
from p2o.types import Problem, Rollout
from p2o.verifier import VerifyOptions, verify_batch
from p2o.verifier import licences as all_licences

LOGGER = logging.getLogger(__name__)


class RewardConfig(Settings):
    """What a completion is worth."""

    function: str = Field("verify", min_length=1)
    """`verify` is the answer verifier. Else an import path `module:function` of a function `(problem, completion) ->
    float` with rewards in [0, 1], or `reasoning-gym:task` (`reasoning-gym:composite` for a mixture)."""

    timeout_s: float = Field(120.0, gt=0)
    """Longest call of your own function, in seconds. One that takes longer has failed."""

    concurrency: int = Field(64, ge=1)
    """Calls at once of your own function, if it is an `async def`."""

    max_failures: int = Field(0, ge=0)
    """When your own function cannot work at all (a judge that is down) and goes on so for half a minute, as many
    rollouts in a row are left out of their groups; one more ends the run, with a checkpoint."""

    profile: Literal["default", "strict", "math-verify"] = "default"
    """The verifier's rules: its own, exact forms only, or those of Math-Verify."""

    licences: dict[str, bool] = Field(default_factory=dict)
    """Conventions of the verifier that are switched on or off, beside those of `profile`: `"unit-dropped" = false`.
    docs/verifier.md lists them."""

    require_boxed: bool = False
    """Only an answer in a box counts."""

    @field_validator("licences")
    @classmethod
    def _known(cls, licences: dict[str, bool]) -> dict[str, bool]:
        known = [licence.name for licence in all_licences()]
        for name in licences:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "docs/verifier.md lists them"
                raise ValueError(f"there is no licence {name!r}: {hint}")
        return licences

    @property
    def needs_gold(self) -> bool:
        """Whether a problem needs a gold answer: for all that is known, a function of one's own does not."""
        return self.function in ("verify", "p2o.rewards:first_line")

    def verifier_options(self) -> VerifyOptions | None:
        """The options of the verifier, or None where a function of one's own gives the reward."""
        if self.function != "verify":
            return None
        options: VerifyOptions = {
            "require_boxed": self.require_boxed,
            "allow": tuple(name for name, counts in self.licences.items() if counts),
            "deny": tuple(name for name, counts in self.licences.items() if not counts),
        }
        if self.profile == "strict":
            options["strict"] = True
        elif self.profile == "math-verify":
            options["compat"] = "math-verify"
        return options


class RewardFunction(Protocol):
    """Rewards of rollouts, each beside its problem; order kept."""

    @property
    def code(self) -> str | None:
        """A hash of the source, where it is not p2o's own: a resumed run must have the same."""
        ...

    def __call__(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> Sequence[float]:
        """One reward per rollout; NaN where nobody knows it."""
        ...

    def take_counts(self) -> Counter[str]:
        """What happened since the last call. Counts of several processes add up."""
        ...

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """Counts as metrics, under names that stay the same."""
        ...


class VerifierReward:
    """1 where the completion's answer equals the gold, else 0. Counts why not."""

    code = None

    def __init__(self, options: VerifyOptions) -> None:
        self.options = options
        self.statuses: Counter[str] = Counter()

    def __call__(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> list[float]:
        """One reward per rollout, all verified in parallel."""
        verdicts = verify_batch(
            [with_usual_end_of_thought(rollout.text) for rollout in rollouts],
            [problem.gold for problem in problems],
            return_verdicts=True,
            **self.options,
        )
        self.statuses.update(verdict.status for verdict in verdicts)
        return [float(verdict.correct) for verdict in verdicts]

    def take_counts(self) -> Counter[str]:
        """Verdicts by status."""
        counts, self.statuses = self.statuses, Counter()
        return counts

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """Shares of the verdicts that say something is missing or was not decided."""
        total = max(1, counts.total())
        return {
            f"verify/{status}": counts[status] / total
            for status in ("no_answer", "timeout", "gold_unparsable")
        }


WAITS = (1.0, 5.0, 25.0)
"""Seconds after which a function that does not work is asked again."""

NETWORK = frozenset(
    {
        "aiohttp",
        "anthropic",
        "grpc",
        "http",
        "httpcore",
        "httpx",
        "openai",
        "requests",
        "socket",
        "ssl",
        "urllib",
    }
    | {"urllib3"}
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
        self._judged: tuple[Problem, str] | None = None
        """What it could judge last."""
        self._unknown = 0
        """Rewards in a row that are not known."""

    def __call__(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> list[float]:
        """One reward per rollout; NaN where the function does not work.

        Raises:
            RewardError: if the function has never worked and fails on every rollout, through no fault of theirs; if it
                does not work any more, and that for over `reward.max_failures` rollouts; if a reward is outside [0, 1].
        """
        asked = [(problem, rollout.text) for rollout, problem in zip(rollouts, problems, strict=True)]
        answers = self._ask(asked)
        if answers and self._judged is None:
            raise RewardError(
                f"reward.function = {self.function.name!r} failed on all {len(answers)} completions of a batch: "
                f"{_first_error(answers)}"
            )
        unknown = self._ask_again(asked, answers)
        for i, answer in enumerate(answers):
            if isinstance(answer, BaseException) and i not in unknown:
                self.function.count(answer)
        self._give_up_on([answers[i] for i in unknown])
        return [
            math.nan if i in unknown else 0.0 if isinstance(answer, BaseException) else answer
            for i, answer in enumerate(answers)
        ]

    def _ask(self, asked: list[tuple[Problem, str]]) -> list[float | BaseException]:
        """The first answers; remembers what could be judged."""
        if self.function.asks_many:
            answers = self.function.ask_all(asked)
            judged = [pair for pair, answer in zip(asked, answers, strict=True) if not _has_failed(answer)]
            self._judged = judged[-1] if judged else self._judged
            return answers
        answers = []
        for pair in asked:
            answers.append(answer := self.function.ask(*pair))
            if not _has_failed(answer):
                self._judged = pair
            elif isinstance(answer, OutOfTime) and not self._works():
                answers += [answer] * (len(asked) - len(answers))  # each would take as long
                break
        return answers

    def _works(self) -> bool:
        return self._judged is not None and not _has_failed(self.function.ask(*self._judged))

    def _ask_again(self, asked: list[tuple[Problem, str]], answers: list[float | BaseException]) -> list[int]:
        """Asks again about what failed, into `answers`; returns what still fails through no fault of the completion."""
        failed = [i for i, answer in enumerate(answers) if _has_failed(answer)]
        if not failed:
            return []
        works = False
        for wait in (0.0, *WAITS):
            time.sleep(wait)
            works = self._works()
            if not works:
                continue
            for i, answer in zip(failed, self.function.ask_all([asked[i] for i in failed]), strict=True):
                answers[i] = answer
            failed = [i for i in failed if _has_failed(answers[i])]
            if not any(_is_network(answers[i]) for i in failed):
                return []
        return [i for i in failed if not works or _is_network(answers[i])]

    def _give_up_on(self, errors: list[float | BaseException]) -> None:
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


def _has_failed(answer: float | BaseException) -> bool:
    return isinstance(answer, BaseException) and not isinstance(answer, UnreadableAnswer)


def _is_network(answer: float | BaseException) -> bool:
    return isinstance(answer, ConnectionError) or type(answer).__module__.partition(".")[0] in NETWORK


def _first_error(answers: Sequence[float | BaseException]) -> str:
    return next(describe(answer) for answer in answers if isinstance(answer, BaseException))


def make_reward(config: RewardConfig) -> RewardFunction:
    """The reward function of `config`.

    Raises:
        ConfigError: if the import path leads to no function.
    """
    options = config.verifier_options()
    return FunctionReward(config) if options is None else VerifierReward(options)
