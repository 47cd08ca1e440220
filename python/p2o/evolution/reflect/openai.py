"""Reflection by a model behind an OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Iterator

from p2o.evolution.chat import ChatClient
from p2o.evolution.config import ReflectionConfig
from p2o.evolution.types import ReflectionReply, ReflectionRequest


class OpenAIReflector:
    """Answers reflection requests; pass it to `p2o.evolve`.

    Raises:
        MissingDependencyError: without the package `openai`.
        ConfigError: if OpenAI's own API is meant and its key is not set.
        ReflectionError: when called, if the server refuses for good or retries are used up.
    """

    def __init__(self, config: ReflectionConfig) -> None:
        self._config = config
        self._client = ChatClient(config)

    def __call__(self, requests: list[ReflectionRequest]) -> Iterator[ReflectionReply]:
        """The replies, in order, as they come."""
        config = self._config
        replies = self._client.complete(
            [(request.messages, request.seed) for request in requests],
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
        for reply in replies:
            cost = (
                reply.prompt_tokens * config.price_per_million_input
                + reply.completion_tokens * config.price_per_million_output
            ) / 1e6
            yield ReflectionReply(reply.text, reply.finish_reason, reply.completion_tokens, cost)
