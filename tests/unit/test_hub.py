"""A hub that cannot be reached is tried once, and not for half a minute."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from p2o.errors import DataError, ModelError
from p2o.hub import hub_answers
from p2o.model.load import load_model
from p2o.records import load_split


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The hub's host takes no connection; what was tried. A retry would sleep, which fails."""
    tried: list[Any] = []

    def refuse(address: Any, *_: Any, **__: Any) -> socket.socket:
        tried.append(address)
        raise ConnectionRefusedError

    def sleep(seconds: float) -> None:
        raise AssertionError(f"a retry in {seconds} s")

    for name in (
        "HF_ENDPOINT",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(time, "sleep", sleep)
    return tried


def test_a_dataset(connections: list[Any]) -> None:
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    with pytest.raises(
        DataError, match=r"^nobody/nothing: .*hub cannot be reached.*; check the name and the connection$"
    ):
        load_split("nobody/nothing", None, None, usual_split="train")
    assert connections == [("huggingface.co", 443)]
    assert before == (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE)


def test_a_model(connections: list[Any]) -> None:
    with pytest.raises(ModelError, match="nobody/nothing: no such folder, and as a hub id"):
        load_model("nobody/nothing")
    assert set(connections) == {("huggingface.co", 443)}
    assert len(connections) <= 2  # ours, and what the hub's client asks about the program that it runs in


def test_where_the_hub_is(connections: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror:8080/hf")
    assert not hub_answers()
    assert connections.pop() == ("mirror", 8080)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert hub_answers()  # the proxy will say
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not hub_answers()
    assert not connections


def test_what_goes_past_the_proxy(connections: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` alone is no proxy, and a hub that it names is reached without the one there is."""
    monkeypatch.setenv("NO_PROXY", "localhost,.example.org")
    assert not hub_answers()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert hub_answers()
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example.org")
    assert not hub_answers()
    assert connections == [("huggingface.co", 443), ("mirror.example.org", 443)]


def test_a_hub_that_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            patch.delenv(name, raising=False)
        assert hub_answers()  # accepted by the system: how slow the server is makes no difference
