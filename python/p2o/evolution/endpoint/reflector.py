"""Reflection by a model behind an OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Iterator

from p2o.errors import ConfigError, ReflectionError
from p2o.evolution.config import TRANSPORT, ReflectionConfig
from p2o.evolution.endpoint.chat import ChatClient
from p2o.evolution.types import ReflectionReply, ReflectionRequest


class OpenAIReflector:
    """Answers reflection requests; pass it to `p2o.evolve`.

    Raises:
        MissingDependencyError: without the package `openai`.
        ConfigError: without `reflection.endpoint`, or if OpenAI's own API is meant and its key is not set.
        ReflectionError: when called, if the server refuses for good or retries are used up.
    """

    beside = True
    """It answers while the policy is rolled out."""

    def __init__(self, config: ReflectionConfig) -> None:
        if config.endpoint is None:
            raise ConfigError("reflection.endpoint is missing: it says where the reflection model is")
        if config.max_cost is not None and not any(config.prices):
            raise ConfigError(
                f"reflection.max_cost = {config.max_cost} is never reached at prices of 0: set reflection.prices, or "
                "leave it out"
            )
        self._config = config
        self.answers_for = {"reflection model": config.model_dump(exclude={"endpoint": TRANSPORT})}
        """What a journal of these replies belongs to."""
        self._client = ChatClient(config.endpoint)

    def __call__(self, requests: list[ReflectionRequest]) -> Iterator[ReflectionReply]:
        """The replies, in order, as they come."""
        config = self._config
        replies = self._client.complete(
            [(request.messages, request.seed) for request in requests],
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
        price_in, price_out = config.prices
        for reply in replies:
            tokens_in, tokens_out = reply.prompt_tokens, reply.completion_tokens
            refused = reply.finish_reason in ("prompt_too_long", "refused")
            if config.max_cost is not None and not refused and None in (tokens_in, tokens_out):
                raise ReflectionError(
                    "the server reports no token counts, so that reflection.max_cost cannot be kept: leave it out, or "
                    "limit the step with evolve.budget"
                )
            cost = ((tokens_in or 0) * price_in + (tokens_out or 0) * price_out) / 1e6
            yield ReflectionReply(reply.text, reply.finish_reason, tokens_out or 0, cost)

    def recall(self, reply: ReflectionReply) -> None:
        """Takes in a reply of before a kill: what the server took then tells as much."""
        if reply.finish_reason in ("stop", "length"):
            self._client.served = True
