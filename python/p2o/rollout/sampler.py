"""What a sampler is: prompts in, completions with the log-probs of the distribution that was sampled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from p2o.types import FinishReason

if TYPE_CHECKING:
    from p2o.policy.policy import Weights


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw. Temperature 0 is greedy; log-probs are then those at temperature 1."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One completion to draw. The same prompt and seed give the same completion, whatever else is in the batch."""

    prompt_ids: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A completion: its tokens (with the end token if one was drawn), their log-probs in nats, why it ended."""

    response_ids: list[int]
    logprobs: list[float]
    finish_reason: FinishReason


Progress = Callable[[int], None]
"""Called with the number of requests that have just finished."""


class Sampler(Protocol):
    """Draws completions from the policy's current weights."""

    ranks_per_engine: int
    """Neighbouring ranks that sample as one: they must be given the same requests."""

    @property
    def max_model_len(self) -> int | None:
        """Most tokens of a prompt and its response together; None where nothing limits them."""
        ...

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """One sample per request, in request order."""
        ...

    def sync(self, policy: Weights) -> None:
        """Takes over the policy's current weights, and is awake afterwards."""
        ...

    def sleep(self) -> None:
        """Gives its accelerator memory to the trainer until the next `sync`. Nothing is sampled in between."""
        ...
