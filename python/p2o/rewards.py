"""Rewards: the verifier in the shapes other trainers call, and reward functions of one's own.

- TRL: `GRPOTrainer(reward_funcs=[p2o.rewards.trl_reward])`, or `make_trl_reward` to name the gold column.
- verl: `custom_reward_function.path=<this file>`, `custom_reward_function.name=compute_score`.
- the trainer: `load_reward("my_module:my_function")` or `load_reward("reasoning-gym:leg_counting")`.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, Unpack

from p2o.errors import ConfigError, InputError, MissingDependencyError
from p2o.types import Problem
from p2o.verify import VerifyOptions, verify, verify_batch

LOGGER = logging.getLogger(__name__)

Completion = str | Sequence[Mapping[str, Any]]
"""What TRL passes: text, or the messages of the assistant."""


def _text(completion: Completion) -> str:
    if isinstance(completion, str):
        return completion
    return "\n".join(str(message.get("content") or "") for message in completion)


def make_trl_reward(
    gold_column: str = "answer", **options: Unpack[VerifyOptions]
) -> Callable[..., list[float]]:
    """A reward function for TRL's `reward_funcs` that reads the gold from a column of the dataset.

    It is called with `prompts`, `completions` (texts or message lists) and the columns as keyword
    arguments, and returns one float in {0., 1.} per completion.
    """

    def verify_reward(
        prompts: Sequence[Any] | None = None, completions: Sequence[Completion] = (), **columns: Any
    ) -> list[float]:
        if gold_column not in columns:
            known = ", ".join(sorted(columns)) or "none"
            raise InputError(
                f"the dataset has no column {gold_column!r} with the gold answers; it has: {known}"
            )
        texts = [_text(completion) for completion in completions]
        golds = [str(gold) for gold in columns[gold_column]]
        rewards: list[float] = verify_batch(texts, golds, **options).tolist()
        return rewards

    return verify_reward


trl_reward = make_trl_reward()
"""For TRL's `reward_funcs`, with the gold answers in the column `answer`."""


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None
) -> float:
    """The signature verl calls a custom reward function with. Returns 0. or 1."""
    return float(verify(solution_str, str(ground_truth)).correct)


class Reward(Protocol):
    """What `load_reward` takes: the problem and one completion in, a number out."""

    def __call__(self, problem: Problem, completion: str) -> float:
        """The reward of the completion, in [0, 1]."""
        ...


class CountingReward:
    """A reward function whose errors score 0; they are counted by kind, and the first of each type is logged."""

    def __init__(self, function: Reward, name: str) -> None:
        self.function = function
        self.name = name
        self.errors: Counter[str] = Counter()
        """Number of errors by `ExceptionType: message`."""
        self._logged: set[type[Exception]] = set()

    def __call__(self, problem: Problem, completion: str) -> float:
        """The reward; 0 after an error.

        Raises:
            ConfigError: if the reward is outside [0, 1] or not a number.
        """
        try:
            reward = float(self.function(problem, completion))
        except Exception as error:
            self._count(error)
            return 0.0
        if not 0 <= reward <= 1:
            raise ConfigError(
                f"reward.function = {self.name!r} gave the reward {reward} on problem {problem.id!r}: "
                "rewards must be numbers from 0 to 1"
            )
        return reward

    def _count(self, error: Exception) -> None:
        message = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if type(error) not in self._logged:
            self._logged.add(type(error))
            LOGGER.warning("reward.function = %r failed, its completion scores 0: %s", self.name, message)
        # A message with the completion in it must not grow the table without end.
        if message not in self.errors and len(self.errors) >= 32:
            message = f"{type(error).__name__}: (other messages)"
        self.errors[message] += 1


def load_reward(path: str) -> CountingReward:
    """The reward function at `module:function`, or of a task at `reasoning-gym:task`.

    A module may be in the working directory; an installed one of the same name goes first.

    Raises:
        ConfigError: if the path has no such shape, leads to nothing that can be called, or its module cannot be
            imported.
        MissingDependencyError: if reasoning-gym is asked for and not installed.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name:
        raise ConfigError(f"reward {path!r} is not an import path: write 'module:function'")
    if module_name == "reasoning-gym":
        return CountingReward(_reasoning_gym(name), path)
    if "" not in sys.path and os.getcwd() not in sys.path:
        # A console script has its own folder on the path, not the one it was called from.
        sys.path.append(os.getcwd())
    try:
        target: Any = import_module(module_name)
    except Exception as error:  # running a user's module can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"reward {path!r}: cannot import {module_name!r} ({reason})") from error
    try:
        for part in name.split("."):
            target = getattr(target, part)
    except AttributeError as error:
        raise ConfigError(f"reward {path!r}: {module_name!r} has no {name!r}") from error
    if not callable(target):
        raise ConfigError(f"reward {path!r} is not a function")
    try:
        inspect.signature(target).bind(None, "")
    except TypeError as error:
        raise ConfigError(f"reward {path!r} must take (problem, completion): {error}") from error
    except ValueError:
        pass  # built-in callables have no signature to check
    return CountingReward(target, path)


def _reasoning_gym(task: str) -> Reward:
    try:
        reasoning_gym = import_module("reasoning_gym")
    except ImportError as error:
        raise MissingDependencyError(
            f"the reward of the task {task!r} needs reasoning-gym: pip install reasoning-gym"
        ) from error
    try:
        score_answer = reasoning_gym.get_score_answer_fn(task)
    except Exception as error:
        raise ConfigError(f"reasoning-gym has no task {task!r} ({error})") from error

    def score(problem: Problem, completion: str) -> float:
        extracted = verify(completion, problem.gold).extracted
        entry = {
            "question": problem.messages[-1]["content"],
            "answer": problem.gold,
            "metadata": _metadata(problem),
        }
        return float(score_answer(extracted if extracted is not None else completion, entry))

    return score


def _metadata(problem: Problem) -> Any:
    metadata = problem.meta.get("metadata", problem.meta)
    return json.loads(metadata) if isinstance(metadata, str) else metadata
