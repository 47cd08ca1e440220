"""Reflection by a model behind an OpenAI-compatible API."""

from __future__ import annotations

from p2o.evolve.chat import ChatClient
from p2o.evolve.config import ReflectionConfig
from p2o.evolve.types import ReflectionReply, ReflectionRequest


class OpenAIReflector:
    """Answers reflection requests; pass it to `p2o.evolve`.

    Raises:
        MissingDependencyError: without the package `openai`.
        ConfigError: if OpenAI's own API is meant and its key is not set.
        ReflectionError: when called, if the server refuses for good or retries are used up.
    """

    def __init__(self, config: ReflectionConfig) -> None:
        self._config = config
        self._client = ChatClient(
            model=config.model,
            base_url=config.base_url,
            api_key_env=config.api_key_env,
            concurrency=config.concurrency,
            timeout_s=config.timeout_s,
            retries=config.retries,
            backoff_s=config.backoff_s,
            send_seed=config.send_seed,
            max_tokens_field=config.max_tokens_field,
            extra_body=config.extra_body,
        )
        self._client.check()

    def __call__(self, requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        """The replies, in order."""
        config = self._config
        replies = self._client.complete(
            [(request.messages, request.seed) for request in requests],
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
        return [
            ReflectionReply(
                reply.text,
                reply.finish_reason,
                reply.completion_tokens,
                (
                    reply.prompt_tokens * config.price_per_million_input
                    + reply.completion_tokens * config.price_per_million_output
                )
                / 1e6,
            )
            for reply in replies
        ]
