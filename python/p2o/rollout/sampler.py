"""What a sampler is: prompts in, completions with the log-probs of the distribution that was sampled out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self

from p2o.errors import ConfigError, InputError
from p2o.plugins import look_up_class
from p2o.rollout.config import SAMPLERS, RolloutConfig
from p2o.types import FinishReason

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.distributed import Processes
    from p2o.policy.weights import Weights
    from p2o.sizes import Item


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw. Temperature 0 is greedy; log-probs are then those at temperature 1."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0

    @classmethod
    def of(cls, config: RolloutConfig) -> SamplingParams:
        """How training rollouts are drawn."""
        return cls(config.max_tokens, config.temperature, config.top_p, config.top_k)


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

Ended = list[tuple[int, Sample]]
"""Completions that have ended since the last look, each with the number of its request, from 0 in the order taken."""


class Sampler(ABC):
    """Draws completions from the policy's current weights.

    To add one: a class of this kind, and its name in `SamplerName` and `SAMPLERS`
    (`p2o.rollout.config`); or nothing but the class, named by its import path. One that hands on completions as they
    end defines `stream` as well.
    """

    shares_weights: ClassVar[bool] = False
    """Whether it draws from the trainer's own model, and nothing is pushed to it. It is made over a copy where the
    trainer's weights are partitioned, and over the frozen start weights for the reflection model."""

    in_process: ClassVar[bool] = True
    """Whether it runs in the training processes and takes their memory."""

    beside_training: ClassVar[bool] = False
    """Whether it can draw while the trainer learns: in a thread, from weights of its own, on a device that the trainer
    does not need."""

    adapters: bool = False
    """Whether it has the policy as adapters over the weights of the start, and can sample from these alone
    ([`p2o.rollout.lent.BareSampler`][])."""

    adapter: Any = None
    """What it names the adapter by that it samples under; None for the weights alone."""

    refills: ClassVar[bool] = False
    """Whether `stream` takes further requests while others are under way."""

    ranks_per_engine: int = 1
    """Neighbouring ranks that sample as one: they must be given the same requests."""

    received: int = 0
    """Tokens of all completions that this rank has been given, where ranks share an engine."""

    max_model_len: int | None = None
    """Most tokens of a prompt and its response together; None where nothing limits them."""

    dtype: str | None = None
    """Type of the weights that it samples from, where it may be another than the trainer's."""

    computes_in: str | None = None
    """Type that its log-probs are as exact as, a key of `p2o.rollout.probe.MAX_GAP`; None for `dtype`."""

    at_once: int = 64
    """Completions that it draws at once, where it is given as many requests."""

    @classmethod
    def make(cls, config: Config, model: Any, tokenizer: Any, processes: Processes) -> Self:
        """The sampler of a run, on all ranks together. It may have no weights before its first `sync`.

        Raises:
            MissingDependencyError: if a package is missing.
            ConfigError: if it cannot sample from the model, or with the settings.
        """
        raise ConfigError(
            f"rollout.sampler: {cls.__name__} cannot be made: define make(config, model, tokenizer, processes)"
        )

    @classmethod  # noqa: B027  # most take what they are given
    def check(cls, config: Config) -> None:
        """Refuses what it would otherwise refuse only in the run: called before anything is loaded.

        Raises:
            ConfigError: naming the setting and the remedy.
        """

    @classmethod
    def memory(cls, config: Config, model: Any, *, gpu: bool, gpu_memory: int | None) -> list[Item]:
        """What it takes in a training process beside the trainer's own weights; arguments as of `run_memory`."""
        return []

    def __init_subclass__(cls, **arguments: Any) -> None:
        """A class that changes `sample` alone is streamed from through it, whatever it is derived from."""
        super().__init_subclass__(**arguments)
        if "sample" in vars(cls) and "stream" not in vars(cls):
            cls.stream = Sampler.stream  # type: ignore[method-assign]
            cls.refills = False  # that takes all requests at once

    @abstractmethod
    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """One sample per request, in request order."""

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        """Hands on completions as they end; here all together, by `sample`.

        Between two steps it yields what has ended, often nothing, so that its caller can see to other things. Closed
        early it gives up what is under way.

        Args:
            requests: those to draw; an iterator, where it `refills`, shares them out among ranks as these have room.
            params: how to draw.
            progress: as in `sample`.
            at_once: where it `refills`, the most requests under way at a time; None takes all there are.
        """
        if known := list(requests):
            yield list(enumerate(checked_samples(self.sample(known, params, progress), len(known))))

    def given_up(self, received: int) -> int:
        """Tokens of the completions that the last `stream` left unfinished when it was closed; where all ranks share an
        engine, all of theirs, on rank 0.

        Args:
            received: the sum of all ranks' `received`.
        """
        return 0

    @abstractmethod
    def sync(self, policy: Weights) -> None:
        """Takes over the policy's current weights, and is awake afterwards.

        Raises:
            TrainingError: if that fails; nothing is sampled before it succeeds.
        """

    def sleep(self) -> None:  # noqa: B027  # most have nothing to give
        """Gives its accelerator memory to the trainer until the next `sync`. Nothing is sampled in between."""


def checked_samples(samples: Any, count: int) -> list[Sample]:
    """What `sample` returned for so many requests: it may be the code of a user's own.

    Raises:
        InputError: if it is not a sample for each, with at least one token and a log-prob for each token.
    """
    if not isinstance(samples, list) or not all(isinstance(each, Sample) for each in samples):
        raise InputError("rollout.sampler: sample must return a list of Samples, one for each request")
    if len(samples) != count:
        raise InputError(f"rollout.sampler: sample returned {len(samples)} Samples for {count} requests")
    for each in samples:
        if not 0 < len(each.response_ids) == len(each.logprobs):
            raise InputError(
                f"rollout.sampler: a Sample has {len(each.response_ids)} tokens and {len(each.logprobs)} log-probs: "
                "give at least the end token, and a log-prob for each"
            )
    return samples


def in_order(stream: Generator[Ended]) -> list[Sample]:
    """All samples of a stream, in the order of their requests."""
    with closing(stream):
        samples = dict(chain.from_iterable(stream))
    return [samples[number] for number in range(len(samples))]


BATCHES = 4
"""Sampler batches requested and journaled at once: the sampler sorts them by length; a kill loses at most these."""

MOST = 4096
"""Completions requested at once, unless one batch of the sampler is more."""


def requests_at_once(sampler: Sampler) -> int:
    """How many of a long list of requests to make at once: `BATCHES` batches up to `MOST`, or one if that is more."""
    return max(sampler.at_once, min(BATCHES * sampler.at_once, MOST))


def sampler_class(name: str) -> type[Sampler]:
    """The class that `rollout.sampler` names."""
    return look_up_class(SAMPLERS, name, "rollout.sampler", Sampler)
