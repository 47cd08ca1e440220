"""A client of OpenAI-compatible chat APIs: concurrent, with bounded retries and a clear end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from p2o.errors import ConfigError, MissingDependencyError, ReflectionError
from p2o.types import FinishReason, Message

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_LONGEST_WAIT_S = 60.0
_PASSING = frozenset({408, 409, 425, 429})
"""Status codes below 500 that may pass; every other one is permanent."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A completion and its token counts (0 where the server reports none)."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ChatClient:
    """One model behind one API.

    `send_seed`, `max_tokens_field` and `extra_body` adapt the requests to what a server accepts.

    Raises:
        MissingDependencyError: on the first call, without the package `openai`.
        ConfigError: on the first call, if OpenAI's own API is asked without a key.
        ReflectionError: if the server refuses for good, or retries are used up.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 16
    timeout_s: float = 120.0
    retries: int = 4
    backoff_s: float = 1.0
    send_seed: bool = True
    max_tokens_field: str = "max_tokens"
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def complete(
        self,
        prompts: Sequence[tuple[Sequence[Message], int]],
        *,
        temperature: float,
        max_tokens: int,
        top_p: float | None = None,
    ) -> list[ChatReply]:
        """The completions of (messages, seed) pairs, in order, at most `concurrency` at once."""
        return _run(self._complete(prompts, temperature, max_tokens, top_p))

    async def _complete(
        self,
        prompts: Sequence[tuple[Sequence[Message], int]],
        temperature: float,
        max_tokens: int,
        top_p: float | None,
    ) -> list[ChatReply]:
        slots = asyncio.Semaphore(self.concurrency)
        fields: dict[str, Any] = {
            "model": self.model,
            "temperature": temperature,
            self.max_tokens_field: max_tokens,
        }
        if top_p is not None:
            fields["top_p"] = top_p
        if self.extra_body:
            fields["extra_body"] = dict(self.extra_body)
        async with self._client() as client:

            async def one(messages: Sequence[Message], seed: int) -> ChatReply:
                async with slots:
                    asked = {**fields, "messages": list(messages)}
                    if self.send_seed:
                        asked["seed"] = seed
                    return await self._ask(client, asked, Random(seed))

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(messages, seed)) for messages, seed in prompts]
            except* ReflectionError as errors:
                # One refusal for good ends the batch; the others were cancelled with it.
                raise errors.exceptions[0] from None
            return [task.result() for task in tasks]

    async def _ask(self, client: AsyncOpenAI, asked: dict[str, Any], random: Random) -> ChatReply:
        import openai

        for attempt in range(self.retries + 1):
            try:
                reply = await client.chat.completions.create(**asked)
            except openai.APIStatusError as error:
                permanent = error.status_code < 500 and error.status_code not in _PASSING
                if permanent or error.code == "insufficient_quota":
                    raise self._failure(
                        f"answers {error.status_code}: {_first_line(error.message)}"
                    ) from error
                failed: Exception = error
                wait = _retry_after(error.response.headers)
            except openai.APIConnectionError as error:
                failed, wait = error, None
            else:
                if not reply.choices:
                    raise self._failure("answers without a choice")
                choice, usage = reply.choices[0], reply.usage
                return ChatReply(
                    choice.message.content or "",
                    "length" if choice.finish_reason == "length" else "stop",
                    usage.prompt_tokens if usage else 0,
                    usage.completion_tokens if usage else 0,
                )
            if attempt < self.retries:
                backoff = self.backoff_s * 2**attempt * (0.5 + random.random())
                await asyncio.sleep(min(wait if wait is not None else backoff, _LONGEST_WAIT_S))
        raise self._failure(f"failed {self.retries + 1} times, last: {_first_line(str(failed))}") from failed

    def _failure(self, what: str) -> ReflectionError:
        return ReflectionError(f"model {self.model} at {self.base_url or 'api.openai.com'} {what}")

    def check(self) -> None:
        """Raises what the first call would raise for want of the package `openai` or of a key."""
        try:
            import openai  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "the OpenAI client is not installed; run `pip install 'p2o-rl[api]'`"
            ) from error
        if self.base_url is None and self.api_key_env not in os.environ:
            raise ConfigError(f"environment variable {self.api_key_env} is not set; put the API key there")

    def _client(self) -> AsyncOpenAI:
        self.check()
        from openai import AsyncOpenAI

        # Servers of one's own need no key, but the client wants one. Retries are counted here, in one place.
        key = os.environ.get(self.api_key_env, "none")
        return AsyncOpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout_s, max_retries=0)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(float(headers.get("retry-after", "")), 0.0)
    except ValueError:
        return None


def _first_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[0][:300]


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine to its end, from inside a running event loop (a notebook) too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
