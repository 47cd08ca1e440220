"""The data that flows through a run: problem -> rollout -> group -> micro-batch.

Shape suffixes: `_P` prompts, `_G` rollouts of a group, `_T` tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

FinishReason = Literal["stop", "length", "prompt_too_long"]
"""Why a response ended. `prompt_too_long`: none was drawn, the template did not fit."""


class Message(TypedDict):
    """One chat message, as `transformers` chat templates take it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem `x` and its gold answer `g`.

        >>> p2o.Problem("sum-1", ({"role": "user", "content": "1 + 8 = ?"},), gold="9").name
        "problem 'sum-1'"

    `id` is stable across runs and epochs: given in the data or derived from the messages and the gold. `messages` are
    those of a chat, the last one the user's; `meta` is what else is known of the problem, for a reward function.
    """

    id: str
    messages: tuple[Message, ...]
    gold: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    place: str = field(default="", compare=False)
    """Where it was read (`problems.jsonl, line 3`), for messages."""
    solution: str = ""
    """A worked solution to refer to, for guidance that is made from it; empty where there is none."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.place}: problem {self.id!r}" if self.place else f"problem {self.id!r}"


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template `z`. The empty text is the plain prompt; its id is `plain`."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled completion `y_i`, with the reward once it is verified.

    `prompt_ids` (tokens of T(x, z)) and `response_ids` (including the end token if one was sampled);
    `sampler_logprobs` are those of the distribution that was sampled, in nats, one per response token. A step may have
    millions of both: the collector keeps them as arrays of C's int and float, which processes exchange as they are.
    """

    problem_id: str
    template_id: str
    index: int
    prompt_ids: Sequence[int]
    response_ids: Sequence[int]
    sampler_logprobs: Sequence[float]
    finish_reason: FinishReason
    text: str
    reward: float = 0.0
    """NaN where nobody knows it: such a rollout is left out of its group."""
    teacher_ids: Sequence[int] = ()
    """Tokens of the prompt under which the policy is this rollout's teacher; none where it has no teacher."""
    version: int = 0
    """That of the weights it was drawn with: the steps whose update the sampler had been given."""


@dataclass(frozen=True, slots=True)
class Group:
    """The n rollouts of one problem in one step; rewards are compared within it and nowhere else."""

    problem: Problem
    rollouts: Sequence[Rollout]

    @property
    def drawn(self) -> list[Rollout]:
        """Those that there is a response of: a template that does not fit its problem has failed without one."""
        return [rollout for rollout in self.rollouts if rollout.response_ids]
