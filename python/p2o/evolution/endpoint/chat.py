"""A client of OpenAI-compatible chat APIs: concurrent, with bounded retries and a clear end."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from p2o.errors import ConfigError, MissingDependencyError, P2oError, ReflectionError, harmless
from p2o.evolution.config import EndpointConfig
from p2o.evolution.endpoint.address import OPENAI_URL, ElsewhereError, address_of, key_of, origin, stay_here
from p2o.evolution.types import ReplyEnd
from p2o.masking import MASK, mask_url, scrub, secrets_in, secrets_in_url
from p2o.types import Message

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

RETRIES = 4
BACKOFF_S = 1.0
"""Seconds before the first retry, doubled for each further one; a server's `retry-after` goes first."""

_LONGEST_WAIT_S = 60.0
_PASSING = frozenset({408, 409, 425, 429})
"""Status codes below 500 that may pass; every other one is permanent."""

_OF_THE_REQUEST = frozenset({400, 413, 422})
"""Status codes by which a server refuses one request, where it has taken others with the same settings."""

_MANY_REFUSED = 10
"""So many refusals at the end of a batch, and the server takes nothing any longer."""

_CONTEXT = re.compile(r"context (length|window|size)|prompt is too long", re.IGNORECASE)
_CONTENT = re.compile(
    r"content[ _-]?(filter|policy|management|moderation)|responsible.?ai|moderation|flagged|safety",
    re.IGNORECASE,
)

_IN_PLACE_OF = {"max_tokens": "max_completion_tokens", "seed": None}
"""Fields that some servers do not know, and what is sent instead: OpenAI's reasoning models have another name for the
limit, other servers no seed."""

_UNKNOWN = re.compile(
    r"not supported|unsupported|unknown|unrecogni[sz]ed|unexpected|not permitted", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A completion and its token counts, None where the server reports none.

    Of a request that the server refuses, for its length or its content, the text is empty and `reason` says why.
    """

    text: str
    finish_reason: ReplyEnd
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reason: str = ""


class BrokenReplyError(Exception):
    """An answer that is no completion. It may pass: a proxy may have answered, or the connection broken."""


class ChatClient:
    """One model behind one API. `error` is raised where the server refuses for good or retries are used up.

    `spare` says that one refused request costs only itself, once the server has taken another with the same settings.

    Raises:
        MissingDependencyError: without the package `openai`.
        ConfigError: if OpenAI's own API is meant and its key is not set, or a secret is masked.
    """

    def __init__(
        self, config: EndpointConfig, error: type[P2oError] = ReflectionError, *, spare: bool = False
    ) -> None:
        try:
            import openai  # noqa: F401
        except ImportError as missing:
            raise MissingDependencyError(
                "the OpenAI client is not installed; run `pip install 'p2o-rl[api]'`"
            ) from missing
        self._key = key_of(config)
        self._config = config
        self._error = error
        self._spare = spare
        self.served = False
        """Whether a request was taken yet. If none ever is, it is the settings that are wrong."""
        self._unknown: set[str] = set()
        """Fields of `_IN_PLACE_OF` that the server does not know."""
        address = address_of(config)
        self._secrets = [self._key, *secrets_in_url(address), *secrets_in(config.extra_body)]
        if MASK in self._secrets:  # of a run that goes on by the settings it wrote down
            raise ConfigError(
                f"model {config.model}: base_url or extra_body holds {MASK} in place of a secret, as settings are "
                "written down: give it again with --set, or put a key into the variable of api_key_env"
            )

    def complete(
        self,
        prompts: Sequence[tuple[Sequence[Message], int]],
        *,
        temperature: float,
        max_tokens: int,
        top_p: float | None = None,
    ) -> Iterator[ChatReply]:
        """The completions of (messages, seed) pairs, in order, each as soon as it and those before it are there.

        A request that is refused for its content brings a reply of finish reason `refused`, once another one is taken:
        a server that takes nothing, or nothing any longer, has not judged a content.
        """
        config = self._config
        fields: dict[str, Any] = {"model": config.model, "temperature": temperature, "max_tokens": max_tokens}
        if top_p is not None:
            fields["top_p"] = top_p
        if config.extra_body:
            fields["extra_body"] = config.extra_body
        held: list[ChatReply] = []
        for reply in self._complete(prompts, fields):
            if reply.finish_reason == "refused":
                held.append(replace(reply, reason=scrub(reply.reason, self._secrets)))
                continue
            self.served = True
            yield from held
            held.clear()
            yield reply
        if held and (not self.served or len(held) >= _MANY_REFUSED):
            raise self._failure(held[0].reason)
        yield from held

    def _complete(
        self, prompts: Sequence[tuple[Sequence[Message], int]], fields: Mapping[str, Any]
    ) -> Iterator[ChatReply]:
        """All replies in order.

        All are asked for at once, at most `concurrency` in flight, in a thread of its own: a caller inside an event
        loop (a notebook) is served too. Closing the iterator cancels what is still open.
        """
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
                    asked = {**fields, "messages": list(messages), "seed": seed}
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
            wait: float | None = None
            sent = {
                known: value
                for field, value in asked.items()
                if (known := _IN_PLACE_OF[field] if field in self._unknown else field) is not None
            }
            try:
                # The client's own limit is for each read: a server that sends a byte now and then never meets it.
                async with asyncio.timeout(self._config.timeout_s):
                    reply = await client.chat.completions.create(**sent)
                return self._reply(reply)
            except openai.APIStatusError as error:
                message = _first_line(_said(error))
                if _is_too_long(error):
                    return ChatReply("", "prompt_too_long")
                if unknown := _unknown_fields(error) & sent.keys():
                    self._unknown |= unknown  # each once, so this ends
                    return await self._ask(client, asked, random)
                reason = f"answers {error.status_code}: {message}"
                if _is_refusal(error) or (self._spare and error.status_code in _OF_THE_REQUEST):
                    return ChatReply("", "refused", reason=reason)
                permanent = error.status_code < 500 and error.status_code not in _PASSING
                if permanent or error.code == "insufficient_quota":
                    raise self._failure(reason) from error
                failed, wait = (
                    f"failed {RETRIES + 1} times, last: {message}",
                    _retry_after(error.response.headers),
                )
                cause: Exception = error
            except ElsewhereError as error:
                raise self._failure(str(error)) from error
            except (openai.APIConnectionError, TimeoutError) as error:
                if isinstance(error.__cause__, ElsewhereError):
                    raise self._failure(str(error.__cause__)) from error
                last = "Request timed out." if isinstance(error, TimeoutError) else _first_line(str(error))
                if error.__cause__ is not None and str(error.__cause__):
                    last += f" ({_first_line(str(error.__cause__))})"  # such as a name that does not resolve
                failed, cause = f"failed {RETRIES + 1} times, last: {last}", error
            except BrokenReplyError as error:
                failed, cause = f"answers with {error}", error
            except (openai.APIError, ValueError, TypeError, AttributeError, RecursionError) as error:
                # A body that is no JSON, no UTF-8, or nested beyond what the client reads.
                failed, cause = "answers with something else than a chat completion", error
            if attempt < RETRIES:
                backoff = BACKOFF_S * 2**attempt * (0.5 + random.random())
                await asyncio.sleep(min(wait if wait is not None else backoff, _LONGEST_WAIT_S))
        raise self._failure(failed) from cause

    def _reply(self, reply: Any) -> ChatReply:
        """What the client made of an answer; it checks nothing, and a login page or another API may have answered.

        Raises:
            BrokenReplyError: if it is no completion.
        """
        if (error := getattr(reply, "error", None)) and not getattr(reply, "choices", None):
            message = _first_line(str(error.get("message") or error if isinstance(error, dict) else error))
            if _CONTEXT.search(message):
                return ChatReply("", "prompt_too_long")
            if _CONTENT.search(message):
                return ChatReply("", "refused", reason=f"answers with an error: {message}")
            raise BrokenReplyError(f"an error: {message}")
        try:
            if reply.choices == []:
                return ChatReply("", "refused", reason="answers without a choice")
            choice, usage = reply.choices[0], getattr(reply, "usage", None)
            if choice.finish_reason == "content_filter":
                return ChatReply("", "refused", reason="answers that its content filter ended the reply")
            text = _text(choice.message)
        except (AttributeError, TypeError, LookupError) as error:
            raise BrokenReplyError("something else than a chat completion") from error
        if text is None:
            raise BrokenReplyError("something else than text")
        return ChatReply(
            # A lone surrogate, which JSON can carry, could not be sent on to a reflection model.
            text.encode("utf-8", "replace").decode("utf-8"),
            "length" if choice.finish_reason == "length" else "stop",
            _count(usage, "prompt_tokens"),
            _count(usage, "completion_tokens"),
        )

    def _failure(self, what: str) -> P2oError:
        address = address_of(self._config)
        address = "api.openai.com" if address == OPENAI_URL else mask_url(address)
        return self._error(scrub(f"model {self._config.model} at {address} {what}", self._secrets))

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        address = address_of(self._config)
        options: dict[str, Any] = {}
        if address.startswith("http://"):
            # Reading the certificate authorities takes longer than a local request. Without them a redirect to
            # https is refused, not trusted.
            options["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # A proxy has no business with what this machine says to itself.
            options["trust_env"] = urlsplit(address).hostname not in ("localhost", "127.0.0.1", "::1")
        client = AsyncOpenAI(
            # Servers of one's own need no key, but the client wants one. Retries are counted here, in one place.
            api_key=self._key or "none",
            base_url=address,
            timeout=self._config.timeout_s,
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(event_hooks={"response": [stay_here]}, **options),
        )
        if origin(address) != origin(OPENAI_URL):
            client.organization = client.project = None  # from the environment, for OpenAI alone
        return client


def _text(message: Any) -> str | None:
    """The text of a message: its content, the text parts of it joined, or the model's refusal; None if it is none."""
    content = message.content
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else vars(part) for part in content]
        if any("type" not in part for part in parts):
            return None
        content = "".join(part["text"] for part in parts if part["type"] in ("text", "output_text"))
    if content is None:
        refusal = getattr(message, "refusal", None)
        return refusal if isinstance(refusal, str) else ""
    return content if isinstance(content, str) else None


def _count(usage: Any, name: str) -> int | None:
    """A token count; None where the server gives none, or something that is no count."""
    value = usage.get(name) if isinstance(usage, dict) else getattr(usage, name, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value)


def _fail(replies: Sequence[Future[ChatReply]], error: BaseException) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_exception(error)


def _said(error: APIStatusError) -> str:
    """What a server says is wrong. The client tells only what it finds where OpenAI puts it."""
    body = error.body
    return str(body) if body and not (isinstance(body, dict) and "message" in body) else error.message


def _is_too_long(error: APIStatusError) -> bool:
    """Whether a server refuses one request for its length. OpenAI has a code for it, others say it in words."""
    if error.status_code not in (400, 413, 422):
        return False
    return error.code == "context_length_exceeded" or _CONTEXT.search(_said(error)) is not None


def _unknown_fields(error: APIStatusError) -> set[str]:
    """The fields of `_IN_PLACE_OF` that a server says it does not know."""
    if error.status_code not in (400, 422) or not _UNKNOWN.search(_said(error)):
        return set()
    return {field for field in _IN_PLACE_OF if re.search(rf"\b{field}\b", _said(error))}


def _is_refusal(error: APIStatusError) -> bool:
    """Whether a server refuses one request for its content."""
    return (
        error.status_code in (400, 403, 422, 451)
        and _CONTENT.search(f"{error.code} {_said(error)}") is not None
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _first_line(text: str) -> str:
    return harmless((text.strip() or "no message").splitlines()[0][:300])
