"""The guard of `p2o serve`, without a server: what passes, who holds it, and how its token is found."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from p2o.rollout import server_guard
from p2o.rollout.server_access import api_key_of, find_token, give_token
from p2o.rollout.server_guard import HOLD, Guard

TOKEN = "the-token"
JSON = {"content-type": "application/json", "content-length": "2"}


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Guard:
    monkeypatch.setenv("P2O_SERVER_TOKEN", TOKEN)
    monkeypatch.setenv("P2O_SERVER_API_KEY", "vllms-own")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": scope["headers"]})

    return Guard(app)


async def nothing() -> Any:
    await asyncio.Event().wait()


def scope_of(method: str, path: str, **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


def answer(guard: Guard, method: str, path: str, **headers: str) -> dict[str, Any]:
    """The start of the answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope_of(method, path, **headers), nothing, send))
    first: dict[str, Any] = sent[0]
    return first


WITH_TOKEN = {"x_p2o_token": TOKEN}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("POST", "/v1/completions", JSON, 200),
        ("POST", "/update_weights", JSON, 401),
        ("POST", "/update_weights", {**JSON, "x_p2o_token": "guessed"}, 401),
        ("POST", "/update_weights", {**JSON, **WITH_TOKEN}, 200),
        ("POST", "/v1/load_lora_adapter", JSON, 401),
        ("GET", "/get_world_size", {}, 401),
        ("GET", "/get_world_size", WITH_TOKEN, 200),
        ("PUT", "/health", {}, 401),
        ("POST", "/update_weights", {**WITH_TOKEN, "content_type": "text/plain", "content_length": "2"}, 415),
        ("POST", "/update_weights", {**WITH_TOKEN, "content_length": "2"}, 415),
        ("POST", "/update_weights", {**WITH_TOKEN, "transfer_encoding": "chunked"}, 415),
        ("POST", "/sleep", {**WITH_TOKEN, "content_length": "0"}, 200),
        ("POST", "/update_weights", {**JSON, **WITH_TOKEN, "origin": "http://evil.example"}, 403),
        ("POST", "/v1/completions", {**JSON, "origin": "null"}, 403),
        ("OPTIONS", "/update_weights", {"origin": "http://127.0.0.1:8000"}, 403),
        ("GET", "/get_world_size", {**WITH_TOKEN, "sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_what_passes(guard: Guard, method: str, path: str, headers: dict[str, str], status: int) -> None:
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    assert answer(guard, method, path, **named)["status"] == status


def test_who_has_the_token_needs_no_key_of_vllms(guard: Guard) -> None:
    known = answer(guard, "GET", "/v1/models", authorization="Bearer mine", **WITH_TOKEN)
    assert (b"authorization", b"Bearer vllms-own") in known["headers"]
    assert (b"authorization", b"Bearer mine") not in known["headers"]
    stranger = answer(guard, "GET", "/v1/models", authorization="Bearer mine")
    assert stranger["headers"] == [(b"authorization", b"Bearer mine")]


def test_a_web_socket_of_a_page_is_closed(guard: Guard) -> None:
    scope = {**scope_of("", "/v1/realtime", origin="http://evil.example"), "type": "websocket"}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard(scope, nothing, send))
    assert sent[0]["type"] == "websocket.close"


class Hold:
    """An open request of a run."""

    def __init__(self, guard: Guard, run: str, app: Any = None) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        headers = {"x_p2o_run": run, "x_p2o_name": f"process of {run}", **WITH_TOKEN}
        scope = {**scope_of("POST", HOLD, **headers), "app": app}
        self.task = asyncio.create_task(guard(scope, self.receive, self.send))  # type: ignore[arg-type]

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def leave(self) -> None:
        self.left.set()
        await self.task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_run_holds_the_server_until_its_connection_ends(guard: Guard) -> None:
    async def story() -> None:
        first = Hold(guard, "first")
        await settle()
        assert first.sent[0]["status"] == 200
        same = Hold(guard, "first")
        await settle()
        assert same.sent[0]["status"] == 200, "a run may have several samplers"
        second = Hold(guard, "second")
        await settle()
        assert second.sent[0]["status"] == 409
        assert b"works for another run (process of first)" in second.sent[1]["body"]

        async def status(**headers: str) -> int:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                sent.append(message)

            pairs = {"content_type": "application/json", "content_length": "2", **WITH_TOKEN, **headers}
            await guard(scope_of("POST", "/update_weights", **pairs), nothing, send)
            return int(sent[0]["status"])

        assert await status(x_p2o_run="first") == 200
        assert await status(x_p2o_run="second") == 409
        assert await status() == 409
        await first.leave()
        assert await status(x_p2o_run="second") == 409, "held by the other request still"
        await same.leave()
        assert await status(x_p2o_run="second") == 200

    asyncio.run(story())


def test_a_server_that_is_to_end_does_not_wait_for_the_run(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_guard, "LOOK_S", 0)

    async def story() -> None:
        server = SimpleNamespace(should_exit=False)
        hold = Hold(guard, "first", SimpleNamespace(state=SimpleNamespace(server=server)))
        await settle()
        assert not hold.task.done()
        server.should_exit = True
        await hold.task
        assert hold.sent[-1] == {"type": "http.response.body", "body": b""}
        assert guard.run is None

    asyncio.run(story())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("P2O_CACHE", str(tmp_path))
    monkeypatch.delenv("P2O_SERVER_TOKEN", raising=False)
    return tmp_path


def test_the_same_user_on_the_same_node_finds_the_token(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, path = give_token(8123)
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert find_token(f"http://{host}:8123") == token
    assert find_token("http://127.0.0.1:8124") is None
    assert find_token("http://elsewhere:8123") is None
    again, _ = give_token(8123)
    assert again != token, "each server has its own"
    assert find_token("http://localhost:8123/") == again
    monkeypatch.setenv("P2O_SERVER_TOKEN", "given")
    assert find_token("http://elsewhere:8123") == "given"
    assert give_token(8125)[0] == "given"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ([], None),
        (["--api-key", "k", "--seed", "1"], "k"),
        (["--api-key=k"], "k"),
        (["--api_key", "k"], "k"),
        (["--api-key"], None),
    ],
)
def test_vllms_own_key_is_read_from_its_arguments(
    arguments: list[str], key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    assert api_key_of(arguments) == key
    monkeypatch.setenv("VLLM_API_KEY", "of the environment")
    assert api_key_of(arguments) == key or api_key_of([]) == "of the environment"
