"""The guard of `p2o serve`, an ASGI middleware that vLLM puts before its endpoints.

Sampling is open as in vLLM; whatever else there is (weights, caches, workers) takes the token of [`p2o.rollout.
server_access`][], and the one run that holds the server. A run holds it by a request that stays open: however the run
ends, the system closes the connection, and the server is free again. No web page may send anything.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from p2o.rollout.server_access import API_KEY_VARIABLE, TOKEN_VARIABLE

HOLD = "/p2o/hold"
"""Where a run takes the server, by a request that it leaves open."""

TOKEN_HEADER = "x-p2o-token"
RUN_HEADER = "x-p2o-run"
NAME_HEADER = "x-p2o-name"
"""Of a run: its identity, and how to name it to another one."""

OPEN = {
    "GET": frozenset({"/health", "/ping", "/version", "/metrics", "/v1/models"}),
    "POST": frozenset({"/v1/completions", "/v1/chat/completions"}),
}
"""What takes no token."""

LOOK_S = 0.5
"""Seconds between looks whether the server is to end."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """Lets through what may pass. Token and vLLM's own key come from the environment."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.token = os.environ[TOKEN_VARIABLE].encode()
        self.api_key = os.environ.get(API_KEY_VARIABLE)
        self.run: str | None = None
        """The run that holds the server."""
        self.name = ""
        self.held = 0
        """Its requests that hold it."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] not in ("http", "websocket"):  # starting and stopping
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        known = hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self.token)
        refused = self.refusal(scope, headers, known=known)
        if refused is not None:
            await refuse(scope, send, *refused)
        elif self.path(scope) == HOLD:
            await self.hold(scope, headers, receive, send)
        else:
            await self.app(self.with_api_key(scope) if known else scope, receive, send)

    def path(self, scope: Message) -> str:
        """The path without the server's prefix."""
        return str(scope["path"]).removeprefix(scope.get("root_path", ""))

    def refusal(self, scope: Message, headers: dict[str, str], *, known: bool) -> tuple[int, str] | None:
        """Status and reason, or None for what may pass."""
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "requests of web pages are refused"
        method, path = scope.get("method", ""), self.path(scope)
        if path in OPEN.get(method, ()):
            return None
        if not known:
            return 401, f"the token of this `p2o serve` is missing or wrong: set {TOKEN_VARIABLE}"
        empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        if not empty and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return 415, "a body must be application/json"
        if self.run is not None and headers.get(RUN_HEADER) != self.run:
            return 409, f"the server works for another run ({self.name})"
        return None

    async def hold(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Gives the server to a run for as long as the request stays open."""
        if RUN_HEADER not in headers:
            await refuse(scope, send, 400, f"the header {RUN_HEADER} is missing")
            return
        self.run, self.name = headers[RUN_HEADER], headers.get(NAME_HEADER, "unnamed")
        self.held += 1
        left = asyncio.ensure_future(disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"held\n", "more_body": True})
            # A server that is told to end waits for open requests: this one must not keep it.
            while not left.done() and not is_ending(scope):
                await asyncio.wait([left], timeout=LOOK_S)
            if not left.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            left.cancel()
            self.held -= 1
            if not self.held:
                self.run = None

    def with_api_key(self, scope: Message) -> Message:
        """The request with vLLM's own key, which who has the token need not know."""
        if self.api_key is None:
            return scope
        kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"authorization"]
        return {**scope, "headers": [*kept, (b"authorization", f"Bearer {self.api_key}".encode())]}


async def disconnected(receive: Receive) -> None:
    """Returns once the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def is_ending(scope: Message) -> bool:
    """Whether the server is shutting down: vLLM keeps uvicorn's server in the state of its application."""
    server = getattr(getattr(scope.get("app"), "state", None), "server", None)
    return bool(getattr(server, "should_exit", False))


async def refuse(scope: Message, send: Send, status: int, reason: str) -> None:
    """Answers as vLLM does."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    body = json.dumps({"error": {"message": reason, "code": status}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
