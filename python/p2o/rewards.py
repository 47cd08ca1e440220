"""Rewards: the verifier in the shapes other trainers call, and reward functions of one's own.

- TRL: `GRPOTrainer(reward_funcs=[p2o.rewards.trl_reward])`, or `make_trl_reward` to name the gold column.
- verl: `custom_reward_function.path=<this file>`, `custom_reward_function.name=compute_score`.
- the trainer: `load_reward("my_module:my_function")` or `load_reward("reasoning-gym:leg_counting")`.
"""

from __future__ import annotations

import inspect
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, Unpack

from p2o.errors import ConfigError, InputError, MissingDependencyError
from p2o.types import Problem
from p2o.verify import VerifyOptions, verify, verify_batch

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
        """The reward of the completion, usually in [0, 1]."""
        ...


class CountingReward:
    """A reward function whose errors never end a run: they are counted by kind and score 0.

    A result that is not a finite number counts as an error as well.
    """

    def __init__(self, function: Reward, name: str) -> None:
        self.function = function
        self.name = name
        self.errors: Counter[str] = Counter()
        """Number of errors by `ExceptionType: message`."""

    def __call__(self, problem: Problem, completion: str) -> float:
        """The reward; 0 after an error."""
        try:
            reward = float(self.function(problem, completion))
        except Exception as error:
            self._count(error)
            return 0.0
        if not math.isfinite(reward):
            self._count(ValueError(f"the reward is {reward}"))
            return 0.0
        return reward

    def _count(self, error: Exception) -> None:
        message = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        # A message with the completion in it must not grow the table without end.
        if message not in self.errors and len(self.errors) >= 32:
            message = f"{type(error).__name__}: (other messages)"
        self.errors[message] += 1


def load_reward(path: str) -> CountingReward:
    """The reward function at `module:function`, or of a task at `reasoning-gym:task`.

    Raises:
        ConfigError: if the path has no such shape, or leads to nothing that can be called.
        MissingDependencyError: if reasoning-gym is asked for and not installed.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name:
        raise ConfigError(f"reward {path!r} is not an import path: write 'module:function'")
    if module_name == "reasoning-gym":
        return CountingReward(_reasoning_gym(name), path)
    try:
        target: Any = import_module(module_name)
        for part in name.split("."):
            target = getattr(target, part)
    except ImportError as error:
        raise ConfigError(f"reward {path!r}: cannot import {module_name!r} ({error})") from error
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
