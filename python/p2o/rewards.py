"""Rewards: the verifier in the shapes other trainers call, and reward functions of one's own.

- TRL: `GRPOTrainer(reward_funcs=trl_reward, ...)`, or `make_trl_reward` for another column or the verifier's options.
- verl: `reward.custom_reward_function.path=pkg://p2o.rewards` and `.name=compute_score`.
- the trainer: `load_reward("my_module:my_function")` or `load_reward("reasoning-gym:leg_counting")`.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Unpack

from p2o.arguments import code_at
from p2o.errors import ConfigError, InputError, MissingDependencyError
from p2o.plugins import load
from p2o.reward_calls import CountingReward, Reward, UnreadableAnswer
from p2o.types import Problem
from p2o.verifier import VerifyOptions, gold_parses, verify, verify_batch

Completion = str | Sequence[Mapping[str, Any]]
"""What TRL passes: text, or the messages that came after the prompt."""

GOLD_COLUMNS = ("answer", "solution")
"""Where `trl_reward` looks for the gold; `solution` is the column of TRL's own `accuracy_reward`."""


def _text(completion: Completion) -> str:
    if isinstance(completion, str):
        return completion
    # The results of tools are not the model's answer.
    said = [message for message in completion if message.get("role", "assistant") == "assistant"]
    return "\n".join(_content(message.get("content")) for message in said)


def _content(content: Any) -> str:
    if isinstance(content, list):  # parts, of models that also take images
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def first_line(problem: Problem, completion: str) -> float:
    """The verifier on the first line that is not empty: for base models, which run on after their answer.

    `reward.function = "p2o.rewards:first_line"`.
    """
    line = next((line for line in completion.splitlines() if line.strip()), "")
    return float(verify(line, problem.gold).correct)


class TrlReward:
    """The verifier as a reward function of TRL's `GRPOTrainer`. It can be pickled."""

    __name__ = "verify_reward"  # what TRL logs it as

    def __init__(self, gold_column: str | None, options: VerifyOptions) -> None:
        gold_parses("0", **options)  # a wrong option is an error here, not after the first rollouts
        self.gold_column = gold_column
        self.options = options

    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Completion] = (),
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward per completion: 1., 0., or None where the gold cannot be parsed, which TRL leaves out.

        TRL gives `completions` as texts or message lists, the dataset's columns as lists of the same length, and
        `log_metric`; the shares of completions without an answer, without a readable gold and without a decision
        are logged with it.

        Raises:
            InputError: if the dataset has no gold column.
        """
        golds = ["" if gold is None else str(gold) for gold in self._golds(columns)]
        texts = [with_usual_end_of_thought(_text(completion)) for completion in completions]
        verdicts = verify_batch(texts, golds, return_verdicts=True, **self.options)
        if log_metric is not None:
            counts = Counter(verdict.status for verdict in verdicts)
            for status in ("no_answer", "timeout", "gold_unparsable"):
                log_metric(f"verify/{status}", counts[status] / max(1, len(verdicts)))
        return [
            None if verdict.status == "gold_unparsable" else float(verdict.correct) for verdict in verdicts
        ]

    def _golds(self, columns: Mapping[str, Any]) -> Sequence[Any]:
        candidates = GOLD_COLUMNS if self.gold_column is None else (self.gold_column,)
        for column in candidates:
            if column in columns:
                golds: Sequence[Any] = columns[column]
                return golds
        wanted = " or ".join(map(repr, candidates))
        known = ", ".join(sorted(columns)) or "none"
        raise InputError(f"the dataset has no column {wanted} with the gold answers; it has: {known}")


def make_trl_reward(gold_column: str | None = None, **options: Unpack[VerifyOptions]) -> TrlReward:
    """A reward function for TRL's `reward_funcs` that reads the gold from a column of the dataset.

    Args:
        gold_column: unset, `answer`, or else `solution`.
        options: options of the verifier.

    Raises:
        InputError: if an option is unknown or has a value that cannot be used.
    """
    return TrlReward(gold_column, options)


trl_reward = make_trl_reward()
"""For TRL's `reward_funcs`, with the gold answers in the column `answer` or `solution`."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward_router_address: Any = None,
    reward_model_tokenizer: Any = None,
    **options: Unpack[VerifyOptions],
) -> float:
    """The signature verl calls a custom reward function with. Returns 0. or 1.

    `options` are the verifier's, from `reward.custom_reward_function.reward_kwargs`. The router and the tokenizer come
    where a reward model runs as well; they are not used.
    """
    return float(verify(with_usual_end_of_thought(solution_str), str(ground_truth), **options).correct)


_END_OF_THOUGHT = re.compile(
    r"\[/THINK\]|◁/think▷|</seed:think>|</thought>|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|inner_suffix\|>|<channel\|>"
    r"|<\|channel\|>final(?:<\|constrain\|>\w+|\s)*<\|message\|>"
)
"""How models end their thoughts: Magistral, Kimi, Seed, EXAONE, Command A, Apertus, Gemma 4, gpt-oss, ..."""


def with_usual_end_of_thought(completion: str) -> str:
    """The completion with `</think>`, which the verifier knows, where its model ends its thoughts by another mark."""
    return _END_OF_THOUGHT.sub("</think>", completion)


def load_reward(path: str, *, timeout_s: float | None = None, concurrency: int = 64) -> CountingReward:
    """The reward function at `module:function`, or of a task at `reasoning-gym:task`.

    A module may be in the working directory; an installed one of the same name goes first. `timeout_s` limits a call,
    `concurrency` the calls of an `async def` at once.

    Raises:
        ConfigError: if the path has no such shape, leads to nothing that can be called, or its module cannot be
            imported.
        MissingDependencyError: if reasoning-gym is asked for and not installed.
    """
    source, _, task = path.partition(":")
    if source == "reasoning-gym" and task:
        return CountingReward(_reasoning_gym(task), path, timeout_s=timeout_s)
    target = load(path, "reward.function")
    try:
        inspect.signature(target).bind(None, "")
    except TypeError as error:
        raise ConfigError(f"reward.function = {path!r} must take (problem, completion): {error}") from error
    except ValueError:
        pass  # built-in callables have no signature to check
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise ConfigError(f"reward.function = {path!r} must return a number: it yields")
    return CountingReward(
        target,
        path,
        timeout_s=timeout_s,
        concurrency=concurrency,
        code=code_at(path, getattr(target, "__module__", None) or source),
    )


COMPOSITE = "composite"
"""reasoning-gym's name for a mixture of tasks; each problem's metadata tell its own."""

RUN_ANSWERS = frozenset(
    {
        *("binary_matrix", "n_queens", "spiral_matrix", "string_insertion"),  # by eval
        *("countdown", "puzzle24", "polynomial_multiplication"),  # by SymPy's parse_expr, which calls eval
        *("simple_integration", "intermediate_integration"),
    }
)
"""Tasks of reasoning-gym 0.1.25 whose scoring runs the answer as Python: a model could write code there."""

CONSENT = "P2O_RUN_ANSWERS"
"""Variable of the environment that allows those; its place is a container that holds nothing worth having."""

TUPLE_TASKS = frozenset({"arc_agi", "rearc"})
"""Tasks that compare the answer with a grid of tuples in the metadata. JSON holds lists."""


def _reasoning_gym(task: str) -> Reward:
    try:
        reasoning_gym = import_module("reasoning_gym")
    except ImportError as error:
        raise MissingDependencyError(
            f"the reward of the task {task!r} needs reasoning-gym: pip install reasoning-gym"
        ) from error
    scorers: dict[str, Callable[[str, dict[str, Any]], float]] = {}

    def scorer(name: str) -> Callable[[str, dict[str, Any]], float]:
        if name not in scorers:
            if name in RUN_ANSWERS and os.environ.get(CONSENT) != "1":
                raise ConfigError(
                    f"reasoning-gym scores {name} by running the model's answer as Python code: leave the task out, or "
                    f"train in a container without secrets and network and set {CONSENT}=1 there"
                )
            try:
                scorers[name] = reasoning_gym.get_score_answer_fn(name)
            except Exception as error:
                raise ConfigError(f"reasoning-gym has no task {name!r} ({error})") from error
        return scorers[name]

    if task != COMPOSITE:
        scorer(task)

    def score(problem: Problem, completion: str) -> float:
        metadata = _metadata(problem)
        name = metadata["source_dataset"] if task == COMPOSITE else task
        entry = {
            "question": problem.messages[-1]["content"],
            "answer": problem.gold,
            "metadata": _as_tuples(metadata) if name in TUPLE_TASKS else metadata,
        }
        answer = _tagged_answer(completion)
        try:
            return float(scorer(name)(answer, entry))
        except Exception as error:
            # Some tasks raise on answers that they cannot parse. If the gold is scored, the entry is in order.
            scorer(name)(problem.gold, entry)
            raise UnreadableAnswer(f"{name}: {type(error).__name__}: {error}") from error

    return score


def _tagged_answer(completion: str) -> str:
    """What is in the last `<answer>` tags, else in the last box, else the text; thoughts aside."""
    text = with_usual_end_of_thought(completion).rpartition("</think>")[2]
    opened, _, _ = text.rpartition("</answer>")
    if "<answer>" in opened:
        return opened.rpartition("<answer>")[2].strip()
    boxed = verify(text, "0", require_boxed=True).extracted
    return boxed if boxed is not None else text.strip()


def _metadata(problem: Problem) -> Any:
    metadata = problem.meta.get("metadata", problem.meta)
    return json.loads(metadata) if isinstance(metadata, str) else metadata


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_tuples(item) for item in value)
    return {key: _as_tuples(item) for key, item in value.items()} if isinstance(value, dict) else value
