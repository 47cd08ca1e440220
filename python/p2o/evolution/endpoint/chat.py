"""A client of OpenAI-compatible chat APIs: concurrent, with bounded retries and a clear end."""

from __future__ import annotations

import asyncio
import math
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any

from p2o.errors import ConfigError, MissingDependencyError, P2oError, ReflectionError
from p2o.evolution.config import EndpointConfig
from p2o.evolution.types import ReplyEnd
from p2o.types import Message

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

RETRIES = 4
BACKOFF_S = 1.0
"""Seconds before the first retry, doubled for each further one; a server's `retry-after` goes first."""

_LONGEST_WAIT_S = 60.0
_PASSING = frozenset({408, 409, 425, 429})
"""Status codes below 500 that may pass; every other one is permanent."""

_CONTEXT = re.compile(r"context (length|window|size)|prompt is too long", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A completion and its token counts (0 where the server reports none).

    Of a request that the server refuses for its length the text is empty.
    """

    text: str
    finish_reason: ReplyEnd
    prompt_tokens: int
    completion_tokens: int


class ChatClient:
    """One model behind one API. `error` is raised where the server refuses for good or retries are used up.

    Raises:
        MissingDependencyError: without the package `openai`.
        ConfigError: if OpenAI's own API is meant and its key is not set.
    """

    def __init__(self, config: EndpointConfig, error: type[P2oError] = ReflectionError) -> None:
        try:
            import openai  # noqa: F401
        except ImportError as missing:
            raise MissingDependencyError(
                "the OpenAI client is not installed; run `pip install 'p2o-rl[api]'`"
            ) from missing
        key = os.environ.get(config.api_key_env, "")
        if config.base_url is None and not key:
            raise ConfigError(f"environment variable {config.api_key_env} is not set; put the API key there")
        if not key.isascii() or not key.isprintable():
            raise ConfigError(
                f"environment variable {config.api_key_env} holds characters that no API key has"
            )
        self._config = config
        self._error = error

    def complete(
        self,
        prompts: Sequence[tuple[Sequence[Message], int]],
        *,
        temperature: float,
        max_tokens: int,
        top_p: float | None = None,
    ) -> Iterator[ChatReply]:
        """The completions of (messages, seed) pairs, in order, each as soon as it and those before it are there.

        All are asked for at once, at most `concurrency` in flight, in a thread of its own: a caller inside an event
        loop (a notebook) is served too. Closing the iterator cancels what is still open.
        """
        config = self._config
        fields: dict[str, Any] = {
            "model": config.model,
            "temperature": temperature,
            config.max_tokens_field: max_tokens,
        }
        if top_p is not None:
            fields["top_p"] = top_p
        if config.extra_body:
            fields["extra_body"] = config.extra_body
        replies: list[Future[ChatReply]] = [Future() for _ in prompts]
        batch: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()

        async def ask_all() -> None:
            task = asyncio.current_task()
            assert task is not None
            batch.set_result((asyncio.get_running_loop(), task))
            await self._ask_all(prompts, replies, fields)

        def work() -> None:
            try:
                asyncio.run(ask_all())
            except BaseException as error:
                # Whoever waits must learn of it, whatever it is; a cancelled batch has no one waiting.
                _fail(replies, error)

        thread = Thread(target=work, name="p2o-chat", daemon=True)
        thread.start()
        try:
            for reply in replies:
                yield reply.result()
        finally:
            # Only what is open is cancelled: a batch at its end must be left to close its connections.
            if not all(reply.done() for reply in replies):
                loop, task = batch.result()
                with suppress(RuntimeError):  # it ended meanwhile and its loop is closed
                    loop.call_soon_threadsafe(task.cancel)
            thread.join()

    async def _ask_all(
        self,
        prompts: Sequence[tuple[Sequence[Message], int]],
        replies: Sequence[Future[ChatReply]],
        fields: Mapping[str, Any],
    ) -> None:
        slots = asyncio.Semaphore(self._config.concurrency)
        async with self._open() as client:

            async def one(messages: Sequence[Message], seed: int, reply: Future[ChatReply]) -> None:
                async with slots:
                    asked = {**fields, "messages": list(messages)}
                    if self._config.send_seed:
                        asked["seed"] = seed
                    reply.set_result(await self._ask(client, asked, Random(seed)))

            try:
                async with asyncio.TaskGroup() as group:
                    for (messages, seed), reply in zip(prompts, replies, strict=True):
                        group.create_task(one(messages, seed, reply))
            except* Exception as errors:
                # One refusal for good ends the batch; the requests still open were cancelled with it.
                _fail(replies, errors.exceptions[0])

    async def _ask(self, client: AsyncOpenAI, asked: dict[str, Any], random: Random) -> ChatReply:
        import openai

        for attempt in range(RETRIES + 1):
            try:
                reply = await client.chat.completions.create(**asked)
            except openai.APIStatusError as error:
                if _is_too_long(error):
                    return ChatReply("", "prompt_too_long", 0, 0)
                permanent = error.status_code < 500 and error.status_code not in _PASSING
                if permanent or error.code == "insufficient_quota":
                    raise self._failure(
                        f"answers {error.status_code}: {_first_line(error.message)}"
                    ) from error
                failed: Exception = error
                wait = _retry_after(error.response.headers)
            except openai.APIConnectionError as error:
                failed, wait = error, None
            except ValueError as error:  # a body that is no JSON
                raise self._failure("answers with something else than a chat completion") from error
            else:
                return self._reply(reply)
            if attempt < RETRIES:
                backoff = BACKOFF_S * 2**attempt * (0.5 + random.random())
                await asyncio.sleep(min(wait if wait is not None else backoff, _LONGEST_WAIT_S))
        last = _first_line(str(failed))
        if failed.__cause__ is not None and str(failed.__cause__):
            last += f" ({_first_line(str(failed.__cause__))})"  # such as a name that does not resolve
        raise self._failure(f"failed {RETRIES + 1} times, last: {last}") from failed

    def _reply(self, reply: Any) -> ChatReply:
        """What the client made of an answer; it checks nothing, and a login page or another API may have answered."""
        try:
            if not reply.choices:
                raise self._failure("answers without a choice")
            choice, usage = reply.choices[0], reply.usage
            text = choice.message.content
        except (AttributeError, TypeError, LookupError) as error:
            raise self._failure("answers with something else than a chat completion") from error
        if not isinstance(text, str | None):
            raise self._failure("answers with something else than text")
        return ChatReply(
            # A lone surrogate, which JSON can carry, could not be sent on to a reflection model.
            (text or "").encode("utf-8", "replace").decode("utf-8"),
            "length" if choice.finish_reason == "length" else "stop",
            (usage.prompt_tokens or 0) if usage else 0,
            (usage.completion_tokens or 0) if usage else 0,
        )

    def _failure(self, what: str) -> P2oError:
        return self._error(
            f"model {self._config.model} at {self._config.base_url or 'api.openai.com'} {what}"
        )

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        config = self._config
        http_client = None
        if config.base_url is not None and config.base_url.startswith("http://"):
            # Reading the certificate authorities takes longer than a local request. Without them a redirect to
            # https is refused, not trusted.
            http_client = DefaultAsyncHttpxClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        # Servers of one's own need no key, but the client wants one. Retries are counted here, in one place.
        key = os.environ.get(config.api_key_env) or "none"
        return AsyncOpenAI(
            api_key=key,
            base_url=config.base_url,
            timeout=config.timeout_s,
            max_retries=0,
            http_client=http_client,
        )


def _fail(replies: Sequence[Future[ChatReply]], error: BaseException) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_exception(error)


def _is_too_long(error: APIStatusError) -> bool:
    """Whether a server refuses one request for its length. OpenAI has a code for it, others say it in words."""
    if error.status_code not in (400, 413, 422):
        return False
    return error.code == "context_length_exceeded" or _CONTEXT.search(error.message) is not None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _first_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[0][:300]
