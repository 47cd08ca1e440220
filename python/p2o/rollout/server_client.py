"""A client of a vLLM server: requests from any thread, each with a limit on its whole time.

A limit on each read, as HTTP clients have one, never ends a server that sends a byte now and then. What may pass (no
answer, a broken one, an overloaded server) is met with further attempts where a request may be repeated.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeVar
from urllib.parse import urlsplit

from p2o.errors import MissingDependencyError, SamplerError
from p2o.masking import mask_url
from p2o.rollout.server_access import LOCAL_HOSTS

T = TypeVar("T")

RETRIES = 2
BACKOFF_S = 5.0
"""Seconds before the first retry, doubled for each further one."""

CONNECT_S = 10.0
"""Longest wait for a connection."""

_PASSING = frozenset({408, 425, 429})
"""Status codes below 500 that may pass."""


class ServerError(SamplerError):
    """The server answered, but not with what was asked for."""

    def __init__(self, message: str, status: int = 0) -> None:
        """`status` is 0 where the answer was one of status 200."""
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[ServerError], tuple[str, int]]:
        """Errors travel between the processes of a run."""
        return type(self), (str(self), self.status)


def may_pass(error: Exception) -> bool:
    """Whether another attempt may end otherwise."""
    if isinstance(error, ServerError):
        return error.status in (*_PASSING, 0) or error.status >= 500
    return isinstance(error, SamplerError)


class ServerClient:
    """Sends requests from a thread of its own, at most `connections` at once.

    Args:
        url: the server's address.
        timeout_s: seconds from a request to the last byte of its answer.
        connections: most requests at once, beside the one of `hold`.
        headers: of every request.

    Raises:
        MissingDependencyError: if httpx is not installed.
    """

    def __init__(self, url: str, timeout_s: float, *, connections: int, headers: Mapping[str, str]) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingDependencyError(
                "rollout.sampler = 'vllm-server' needs httpx: pip install httpx"
            ) from None
        self.url = mask_url(url)
        self.timeout_s = timeout_s
        self._held: Any = None
        self.repeated = 0
        """Requests that were sent again, by now."""
        self._slots = asyncio.Semaphore(connections)
        # Of each kind one more: the request of `hold` stays open. The whole limit is kept in `_answer`.
        self._client = httpx.AsyncClient(
            base_url=url,
            headers=dict(headers),
            timeout=httpx.Timeout(None, connect=min(timeout_s, CONNECT_S)),
            limits=httpx.Limits(max_connections=connections + 1, max_keepalive_connections=connections + 1),
            # The environment's proxies are left out for this machine's own addresses.
            trust_env=urlsplit(url).hostname not in LOCAL_HOSTS,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="p2o-server", daemon=True)
        self._thread.start()

    def get(self, path: str, read: Callable[[Any], T], *, repeat: bool = False) -> T:
        """See `submit`."""
        return self.submit("GET", path, None, read, repeat=repeat).result()

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], T], *, decode: bool = True) -> T:
        """See `submit`."""
        return self.submit("POST", path, body, read, decode=decode).result()

    def text(self, path: str) -> str:
        """The text of an answer that is no JSON. Raises as of `submit`."""
        return self.submit("GET", path, None, str, decode=False).result()

    def submit(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[Any], T],
        *,
        repeat: bool = False,
        decode: bool = True,
    ) -> Future[T]:
        """What `read` makes of the decoded JSON of an answer (None where there is no body), or of its text.

        An error of `read` (ValueError, TypeError, LookupError, AttributeError) says that the answer is another than was
        asked for. With `repeat` the request is sent again after what may pass.

        Raises:
            ServerError: in the future's `result`, for such an answer and any status but 200.
            SamplerError: there, if there is no whole answer in time.
        """

        def decoded(answer: Any) -> T:
            return read((answer.json() if decode else answer.text) if answer.content else None)

        return self._start(self._ask(method, path, body, decoded, RETRIES if repeat else 0))

    def hold(self, path: str, headers: Mapping[str, str]) -> None:
        """Sends a request whose answer begins at once and goes on until `close`.

        Raises:
            SamplerError: as of `submit`.
        """
        request = self._client.build_request("POST", path, headers=dict(headers))
        self._held = self._start(self._answer(request, stream=True)).result()

    def close(self) -> None:
        """Closes all connections."""
        if not self._loop.is_closed():
            self._start(self._client.aclose()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], T], retries: int
    ) -> T:
        async with self._slots:
            for attempt in count():
                try:
                    answer = await self._answer(self._client.build_request(method, path, json=body))
                    return self._read(path, answer, read)
                except SamplerError as error:
                    if attempt == retries or not may_pass(error):
                        raise
                self.repeated += 1
                await asyncio.sleep(BACKOFF_S * 2**attempt)
        raise AssertionError("count() has no end")

    async def _answer(self, request: Any, *, stream: bool = False) -> Any:
        """The answer of status 200 to a request; with `stream` one that goes on."""
        import httpx

        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self._client.send(request, stream=stream)
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
        except TimeoutError:
            raise SamplerError(
                f"the vLLM server at {self.url} does not answer (not within rollout.vllm.timeout_s = "
                f"{self.timeout_s:g} seconds)"
            ) from None
        except httpx.HTTPError as error:
            raise SamplerError(
                f"the vLLM server at {self.url} does not answer ({_why_unanswered(error)})"
            ) from error
        if answer.status_code != httpx.codes.OK:
            raise ServerError(
                f"{request.url.path}: {answer.status_code} {reason_of(answer)}", status=answer.status_code
            )
        return answer

    def _read(self, path: str, answer: Any, read: Callable[[Any], T]) -> T:
        try:
            return read(answer)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ServerError(
                f"the vLLM server at {self.url} answers {path} with something else than was asked for ({reason})"
            ) from error


def _why_unanswered(error: BaseException) -> str:
    """What the system says, if it said something ("Connection refused"); else the HTTP client's own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split()) or type(error).__name__


def reason_of(answer: Any) -> str:
    """The message of an error answer, in one line."""
    try:
        body = answer.json()
        message = body["error"]["message"] if isinstance(body["error"], dict) else body["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = answer.text
    return " ".join(str(message).split())[:300]
