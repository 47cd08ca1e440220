"""`p2o serve` and the settings of vLLM, without starting anything."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from p2o.cli import main, serve
from p2o.config import build_config
from p2o.errors import ConfigError, MissingDependencyError
from p2o.rollout.server_access import find_token


class Outline(nn.Module):
    """A model with three linear layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.up_proj, self.lm_head = (nn.Linear(2, 2) for _ in range(3))
        self.layers = nn.ModuleList([nn.ModuleDict({"q_proj": nn.Linear(2, 2)})])

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head


OUTLINE = Outline()


def command(*arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return serve.serve_command(parser.parse_args(arguments), "/models/m", OUTLINE)


def option(words: list[str], name: str) -> str:
    """The value that counts: vLLM takes the last one."""
    return [words[i + 1] for i, word in enumerate(words) if word == name][-1]


def test_the_server_takes_weights_by_p2os_backend_and_reports_what_it_sampled_from() -> None:
    words = command("m", "--dtype", "bfloat16", "--max-model-len", "512")
    assert option(words, "--model") == "/models/m"
    assert option(words, "--host") == "127.0.0.1"
    assert option(words, "--dtype") == "bfloat16"
    assert option(words, "--max-model-len") == "512"
    assert option(words, "--logprobs-mode") == "processed_logprobs"
    assert option(words, "--weight-transfer-config") == '{"backend": "p2o"}'
    assert option(words, "--worker-extension-cls") == "p2o.rollout.vllm_worker.WorkerExtension"


def test_nccl_is_vllms_own_backend() -> None:
    assert option(command("m", "--transfer", "nccl"), "--weight-transfer-config") == '{"backend": "nccl"}'


def test_room_for_adapters_is_what_vllm_has_above_the_rank() -> None:
    words = command("m", "--lora", "9")
    assert option(words, "--max-lora-rank") == "16"
    start = words.index("--lora-target-modules") + 1
    assert words[start:] == ["q_proj", "up_proj"]  # the head is as it was
    assert "--enable-lora" not in command("m")
    with pytest.raises(ConfigError, match=r"rank is 513, and vLLM takes adapters of rank 512 at most"):
        command("m", "--lora", "513")


def test_what_stands_after_vllm_comes_last() -> None:
    words = command("m", "--port", "9000", "--vllm", "--block-size", "64", "--enable-lora")
    assert words[-3:] == ["--block-size", "64", "--enable-lora"]
    assert option(words, "--port") == "9000"
    assert option(words, "--block-size") == "64"


def test_mistakes_are_told_before_the_server_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def start(*arguments: object) -> None:
        raise AssertionError("the server must not start")

    monkeypatch.setattr(serve, "find_spec", lambda name: True)
    monkeypatch.setattr(os, "execve", start)
    assert main.main(["serve", str(tmp_path / "nowhere")]) == 2
    told = capsys.readouterr().err
    assert "nowhere does not exist: give a model folder" in told
    assert told.count("\n") == 1
    for option, value in (("--port", "0"), ("--port", "65536"), ("--max-model-len", "-4")):
        assert main.main(["serve", "m", option, value]) == 2
        assert f"argument {option}: must be" in capsys.readouterr().err


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[list[str], dict[str, str]]]:
    """Command and environment of each server that would have been started."""
    servers: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setenv("P2O_CACHE", str(tmp_path))
    monkeypatch.delenv("P2O_SERVER_TOKEN", raising=False)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setattr(serve, "find_spec", lambda name: True)
    monkeypatch.setattr(serve, "check_port", lambda host, port: None)
    monkeypatch.setattr(os, "execve", lambda path, words, environment: servers.append((words, environment)))
    monkeypatch.setattr(
        "p2o.model.load.load_outline", lambda *arguments, **options: SimpleNamespace(config=None)
    )
    monkeypatch.setattr("p2o.rollout.vllm.check_head_size", lambda config, model: None)
    return servers


def test_a_server_has_a_token_that_its_clients_on_the_node_find(
    started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    serve.run(parser.parse_args(["p2o-tiny", "--port", "8123", "--vllm", "--api-key", "of-vllm"]))
    ((words, environment),) = started
    token = environment["P2O_SERVER_TOKEN"]
    assert find_token("http://127.0.0.1:8123") == token
    assert environment["P2O_SERVER_API_KEY"] == "of-vllm"
    assert option(words, "--middleware") == "p2o.rollout.server_guard.Guard"
    told = capsys.readouterr().err
    assert "8123.token; a run on another node needs it in P2O_SERVER_TOKEN" in told
    assert token not in " ".join([*words, told]), "neither `ps` nor a log shows it"


def test_a_port_that_is_taken_keeps_its_token() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match=r"--port \d+ cannot be listened on \(.*in use.*\): give another"),
    ):
        serve.check_port("127.0.0.1", taken.getsockname()[1])


def test_heads_that_vllm_has_no_kernel_for_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main.main(["serve", "p2o-tiny"]) == 2
    told = capsys.readouterr().err
    assert "p2o-tiny has attention heads of size 24, and vLLM on a CPU takes 32, 64," in told
    assert told.count("\n") == 1


def test_without_vllm_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'p2o-rl\[gpu\]'"):
        serve.run(argparse.Namespace(model="m"))
    assert main.main(["serve", "m"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tranfer": "nccl"}, "unknown setting rollout.vllm.tranfer; did you mean rollout.vllm.transfer"),
        (
            {"mode": "server"},
            'setting rollout.vllm.mode is gone: for a server write rollout.sampler = "vllm-server"',
        ),
        ({"url": "127.0.0.1:8000"}, "setting rollout.vllm.url = '127.0.0.1:8000'"),
        ({"gpu_memory_utilization": 1.0}, "setting rollout.vllm.gpu_memory_utilization"),
        ({"tensor_parallel_size": 0}, "setting rollout.vllm.tensor_parallel_size"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"model": {"source": "m"}, "data": {"kind": "tiny"}, "rollout": {"vllm": settings}})
    assert message in str(caught.value)
