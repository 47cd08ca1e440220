"""What the prompt step asks of its two callables, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from p2o.errors import ReflectionError
from p2o.templates import apply_template
from p2o.types import FinishReason, Message, Problem, Template


class PlainEnough(NamedTuple):
    """When a prompt step is not worth its rollouts: plain ones would solve as much."""

    share: float
    """Share of the dev problems that its templates are expected to solve."""

    draws: float
    """Plain rollouts of each problem that would be drawn instead."""


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """One rollout wanted: a sample of the policy's response to T(problem, template).

    `rollout_index` tells repeated rollouts of one pair apart; it belongs in the seed of the draw.
    """

    problem: Problem
    template: Template
    rollout_index: int

    @property
    def messages(self) -> list[Message]:
        """The prompt: the problem's messages with the template before the last user message."""
        return apply_template(self.template, self.problem.messages)


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """One rollout: its reward in [0, 1], its text, why it ended and its length in tokens.

    `feedback` may say more than the reward; the reflection model sees it.
    """

    reward: float
    text: str = ""
    finish_reason: FinishReason = "stop"
    tokens: int = 0
    feedback: str = ""


TOO_LONG_WITH_TEMPLATE = EvaluationResult(
    reward=0.0, feedback="The prompt is too long with this instruction."
)
"""What a template earns on a problem with which it does not fit: rolled out plain, it would earn what the plain prompt
does."""

GIVEN_AWAY = EvaluationResult(reward=0.0, feedback="This instruction holds the problem or its answer.")
"""What a template earns on a problem that it gives away, where solutions are quoted: nothing is rolled out."""


@dataclass(frozen=True, slots=True)
class ReflectionRequest:
    """One call of the reflection model; `seed` makes it reproducible where the model can be seeded."""

    messages: tuple[Message, ...]
    seed: int


ReplyEnd = Literal[FinishReason, "refused"]
"""Why a reply ended, or that there is none: the request is longer than the model takes, or its content is refused."""


@dataclass(frozen=True, slots=True)
class ReflectionReply:
    """The reflection model's answer, its length in tokens, and its cost (0 for a model of one's own).

    With `prompt_too_long` or `refused` a request costs its own proposal and no other.
    """

    text: str
    finish_reason: ReplyEnd = "stop"
    tokens: int = 0
    cost: float = 0.0


Evaluate = Callable[[list[EvaluationRequest]], Iterable[EvaluationResult]]
"""One flat batch in, one result per request out, in order. An iterator is journaled result by result."""

Reflect = Callable[[list[ReflectionRequest]], Iterable[ReflectionReply]]
"""One flat batch in, one reply per request out, in order. Raises ReflectionError to end the prompt step."""

Fits = Callable[[Sequence[Message]], bool]
"""Whether the reflection model takes a prompt and has room for its reply."""

Reads = Callable[[Template], bool]
"""Whether the policy can read a template: a tokenizer may take what stands in it for a control token."""


def nobody(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
    """The reflection model of `reflection.kind = "none"`, which no prompt step asks."""
    raise ReflectionError('reflection.kind = "none" has no reflection model')
