"""Who reflects in a run: the model that is trained, as it was or as it is; a model behind an API; or nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from p2o.config import Config
from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, DataError
from p2o.evolution.propose import proposer_class
from p2o.evolution.propose.prompt import render_reflection
from p2o.evolution.types import Reflect, ReflectionReply, ReflectionRequest, nobody
from p2o.policy.policy import Policy
from p2o.policy.weights import FrozenWeights
from p2o.rollout.encode import PromptEncoder
from p2o.rollout.lent import BareSampler, LentSampler
from p2o.rollout.sampler import Sampler, SampleRequest, SamplingParams
from p2o.templates import PLAIN
from p2o.types import Message


@dataclass(frozen=True, slots=True)
class SelfReflection:
    """Reflection by a language model of our own, through a sampler.

    Every rank of `processes` calls it with the same requests; each answers a share.
    """

    sampler: Sampler
    encoder: PromptEncoder
    params: SamplingParams
    processes: Processes = ONE_PROCESS

    def __call__(self, requests: Sequence[ReflectionRequest]) -> list[ReflectionReply]:
        """One reply per request, in order."""
        return self.processes.map(self._replies, requests, self.sampler.ranks_per_engine)

    def fits(self, messages: Sequence[Message]) -> bool:
        """Whether the model takes the prompt and the longest reply: not where its tokenizer cannot read the prompt."""
        try:
            length = len(self.encoder.encode(messages))
        except DataError:
            return False
        limit = self.sampler.max_model_len
        return limit is None or length + self.params.max_tokens <= limit

    def _replies(self, requests: Sequence[ReflectionRequest]) -> list[ReflectionReply]:
        fits = [self.fits(request.messages) for request in requests]
        drawn = [
            SampleRequest(self.encoder.encode(request.messages), request.seed)
            for request, fitting in zip(requests, fits, strict=True)
            if fitting
        ]
        replies = (
            ReflectionReply(
                text=self.encoder.decode(sample.response_ids),
                finish_reason=sample.finish_reason,
                tokens=len(sample.response_ids),
            )
            for sample in self.sampler.sample(drawn, self.params)
        )
        return [next(replies) if fitting else ReflectionReply("", "prompt_too_long") for fitting in fits]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run has that could reflect."""

    sampler: Sampler
    encoder: PromptEncoder
    policy: Policy | None
    """None in another trainer, whose sampler shares its weights."""
    start_weights: Any
    """The frozen model of the start; None where nobody needs it (`Config.needs_start_weights`)."""

    tokenizer: Any
    processes: Processes


def by_start_weights(config: Config, run: Surroundings) -> Reflect:
    """The policy as it was at the start."""
    sampler: Sampler
    if run.sampler.shares_weights:
        sampler = run.sampler.make(config, run.start_weights, run.tokenizer, run.processes)
    elif run.sampler.adapters:
        sampler = BareSampler(run.sampler)
    else:
        assert run.policy is not None
        sampler = LentSampler(run.sampler, FrozenWeights(run.start_weights), run.policy)
    return SelfReflection(sampler, run.encoder, _params(config), run.processes)


def by_current_weights(config: Config, run: Surroundings) -> Reflect:
    """The policy as trained so far."""
    return SelfReflection(run.sampler, run.encoder, _params(config), run.processes)


def by_endpoint(config: Config, run: Surroundings | None = None) -> Reflect:
    """The model behind the API of `reflection.endpoint`; nothing is sent yet."""
    from p2o.evolution.endpoint import OpenAIReflector

    return OpenAIReflector(config.reflection)


REFLECTORS: dict[str, Callable[[Config, Surroundings], Reflect]] = {
    "self": by_start_weights,
    "current": by_current_weights,
    "openai": by_endpoint,
    "none": lambda config, run: nobody,
}
"""By `reflection.kind`."""


def _params(config: Config) -> SamplingParams:
    return SamplingParams(max_tokens=config.reflection.max_tokens, temperature=config.reflection.temperature)


def make_reflection(config: Config, run: Surroundings) -> Reflect:
    """The reflection model of `config.reflection`; nobody where guidance asks none."""
    return nobody if not config.asks_reflection else REFLECTORS[config.reflection.kind](config, run)


def check_prompts_fit(config: Config, encoder: PromptEncoder, limit: int | None) -> None:
    """Refuses reflection prompts that the policy could not read, where it is the one that reflects.

    Raises:
        ConfigError: naming the prompt, and `limit`, the tokens that model or engine take.
    """
    if not (config.asks_reflection and config.reflection.by_policy):
        return
    proposer = proposer_class(config.evolve, config.reflection)
    for about, prompt in proposer.prompts(config.evolve, config.reflection).items():
        try:
            empty = len(encoder.encode(render_reflection(prompt, PLAIN, ())))
        except DataError as error:
            raise ConfigError(f"{about}: {error}") from None
        if limit is not None and empty + config.reflection.max_tokens >= limit:
            raise ConfigError(
                f"{about} is {empty} tokens without an example, too many beside reflection.max_tokens = "
                f"{config.reflection.max_tokens}: model or engine take {limit}"
            )
