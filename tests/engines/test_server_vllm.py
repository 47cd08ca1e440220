"""The sampler `vllm` against a real server (`p2o serve`, on the CPU), weights pushed through shared memory."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from serving import free_port, served
from vllm_world import gaps, make_policy, optimizer_step, rollout_config, tiny_llama, tiny_requests

from p2o.errors import ConfigError, TrainingError
from p2o.model.load import save_model
from p2o.policy import weights
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout import vllm_server
from p2o.rollout.hf import HfSampler
from p2o.rollout.probe import MAX_GAP, check_gap
from p2o.rollout.sampler import SampleRequest, SamplingParams
from p2o.rollout.server_access import find_token
from p2o.rollout.vllm_server import ServerSampler

GREEDY = SamplingParams(24, 0.0)
SAMPLED = SamplingParams(24)
ENDS = (4, 5, 6)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Any
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server of the tiny model, which starts with other weights than the policies."""
    folder = tmp_path_factory.mktemp("served") / "model"
    save_model(tiny_llama(seed=1), tokenizer, folder)
    with served(folder, "--vllm", "--api-key", "a-key-of-vllms-own") as found:
        yield found


@pytest.fixture
def policy() -> TorchPolicy:
    return make_policy(tiny_llama())


@pytest.fixture
def sampler(server: tuple[str, Any], policy: TorchPolicy) -> Iterator[ServerSampler]:
    with connected(server[0]) as sampler:
        sampler.sync(policy)
        yield sampler


@contextmanager
def connected(url: str, model: Any = None, **settings: Any) -> Iterator[ServerSampler]:
    config = rollout_config(url=url, **settings)
    sampler = ServerSampler(model or tiny_llama(), config, end_ids=ENDS)
    yield sampler
    sampler.close()


def test_follows_the_trainer_through_updates(sampler: ServerSampler, policy: TorchPolicy) -> None:
    requests = tiny_requests()
    for _ in range(2):
        samples = sampler.sample(requests, SAMPLED)
        assert gaps(policy, requests, samples).max() < 1e-4
        optimizer_step(policy, requests, samples)
        assert gaps(policy, requests, samples).mean() > 0.01
        sampler.sync(policy)
    greedy = sampler.sample(requests, GREEDY)
    expected = HfSampler(policy.model, end_ids=ENDS, pad_id=0).sample(requests, GREEDY)
    assert [(s.response_ids, s.finish_reason) for s in greedy] == [
        (s.response_ids, s.finish_reason) for s in expected
    ]
    assert gaps(policy, requests, greedy).max() < 1e-4
    assert check_gap(sampler, policy.score, [r.prompt_ids for r in requests], SAMPLED, MAX_GAP["float32"])


def test_the_same_request_gives_the_same_completion_whatever_the_batch(sampler: ServerSampler) -> None:
    requests = tiny_requests()
    together = [s.response_ids for s in sampler.sample(requests, SAMPLED)]
    assert together == [s.response_ids for s in sampler.sample(requests[::-1], SAMPLED)][::-1]
    assert together == [sampler.sample([request], SAMPLED)[0].response_ids for request in requests]
    ends = sampler.sample([SampleRequest((5, 9, 11), seed) for seed in (0, 2**63 - 1)], SAMPLED)
    assert ends[0].response_ids != ends[1].response_ids


def test_a_stream_that_is_closed_leaves_nothing_and_counts_its_tokens(sampler: ServerSampler) -> None:
    """The server says how many it has made; those that were received are known. Requests that were under way may just
    have ended as well, or not have begun: then there are none."""
    requests = tiny_requests(copies=4)
    expected = [sample.response_ids for sample in sampler.sample(requests, SAMPLED)]
    assert sampler.given_up(sampler.received) == 0
    given_up = 0
    for _ in range(20):
        stream = sampler.stream(requests, SAMPLED)
        ended = next(filter(None, stream))
        stream.close()
        assert len(ended) < len(requests)
        given_up = sampler.given_up(sampler.received)
        assert [sample.response_ids for sample in sampler.sample(requests, SAMPLED)] == expected
        given_up += sampler.given_up(sampler.received)
        assert given_up <= SAMPLED.max_tokens * (len(requests) - len(ended))
        if given_up:
            break
    assert given_up > 0


def test_a_response_ends_at_an_end_token_and_carries_it(sampler: ServerSampler) -> None:
    counts: list[int] = []
    samples = sampler.sample(tiny_requests(copies=8), SAMPLED, counts.append)
    assert sum(counts) == len(samples)
    assert {s.finish_reason for s in samples} == {"stop", "length"}
    for sample in samples:
        assert (sample.response_ids[-1] in ENDS) == (sample.finish_reason == "stop")
        assert not set(ENDS) & set(sample.response_ids[:-1])
        assert len(sample.logprobs) == len(sample.response_ids)


def test_log_probs_are_those_after_temperature(sampler: ServerSampler) -> None:
    policy = make_policy(tiny_llama(), temperature=0.6)
    assert (
        gaps(policy, tiny_requests(), sampler.sample(tiny_requests(), SamplingParams(24, 0.6))).max() < 1e-4
    )


def test_a_push_in_many_groups_and_one_that_fails_half_way(
    sampler: ServerSampler, policy: TorchPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group's place in shared memory is used again by the next; a failed push is repaired by a whole one."""
    monkeypatch.setattr(weights, "WEIGHT_GROUP_BYTES", 1)
    other = make_policy(tiny_llama(seed=8))

    class Failing:
        model = other.model

        def weights(self) -> Iterator[list[tuple[str, torch.Tensor]]]:
            yield from list(other.weights())[:4]
            raise RuntimeError("gathering failed")

    with pytest.raises(TrainingError, match="gathering failed"):
        sampler.sync(Failing())  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="no current weights"):
        sampler.sample(tiny_requests(), SAMPLED)
    sampler.sync(policy)
    assert gaps(policy, tiny_requests(), sampler.sample(tiny_requests(), SAMPLED)).max() < 1e-4


def test_weights_that_are_left_out_or_of_another_shape(sampler: ServerSampler, policy: TorchPolicy) -> None:
    name = "model.layers.1.mlp.down_proj.weight"

    class Changed:
        model = policy.model

        def __init__(self, *instead: tuple[str, torch.Tensor]) -> None:
            self.instead = list(instead)

        def weights(self) -> Iterator[list[tuple[str, torch.Tensor]]]:
            yield [(n, t) for group in policy.weights() for n, t in group if n != name] + self.instead

    with pytest.raises(TrainingError, match=rf"left out 1 weights .*\({name}\)"):
        sampler.sync(Changed())  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="pushing the weights to vLLM failed") as caught:
        sampler.sync(Changed((name, torch.zeros(3, 3))))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    sampler.sync(policy)
    assert gaps(policy, tiny_requests(), sampler.sample(tiny_requests(), SAMPLED)).max() < 1e-4


def test_another_model_or_transfer_is_refused(server: tuple[str, Any]) -> None:
    with pytest.raises(ConfigError, match="serves another model: its hidden_size is 128, the policy's 64"):
        connected(server[0], tiny_llama(heads=2)).__enter__()
    with pytest.raises(ConfigError, match="p2o serve --transfer nccl"):
        connected(server[0], transfer="nccl:127.0.0.1:29600").__enter__()


def test_shared_memory_that_cannot_be_used(
    server: tuple[str, Any], policy: TorchPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        connected(server[0], transfer=f"shared-memory:{tmp_path}/none") as sampler,
        pytest.raises(ConfigError, match=r"none, the folder of .*, cannot be written: No such file"),
    ):
        sampler.sync(policy)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        connected(server[0], transfer=f"shared-memory:{tmp_path}") as sampler,
        pytest.raises(ConfigError, match=r"has no room for .* GiB of weights"),
    ):
        sampler.sync(policy)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_run_are_noticed(sampler: ServerSampler) -> None:
    sampler.control.set_version("somebody else's")
    with pytest.raises(TrainingError, match="holds the weights \"somebody else's\", not 'p2o-1'"):
        sampler.sample(tiny_requests(), SAMPLED)


def test_a_prompt_that_leaves_no_room_is_refused(sampler: ServerSampler) -> None:
    with pytest.raises(ConfigError, match="p2o serve --max-model-len"):
        sampler.sample([SampleRequest(tuple(range(90)) * 2, 0)], SAMPLED)


def test_a_server_too_short_for_the_longest_rollout_is_refused_at_once(server: tuple[str, Any]) -> None:
    config = rollout_config(max_tokens=25, url=server[0])
    with pytest.raises(
        ConfigError, match=r"takes 128 tokens, .* start it with `p2o serve --max-model-len 129`"
    ):
        ServerSampler(tiny_llama(), config, end_ids=ENDS)


def test_nothing_listens() -> None:
    with pytest.raises(ConfigError, match=r"does not answer \(.*refused\): start it with `p2o serve MODEL`"):
        connected(f"http://127.0.0.1:{free_port()}").__enter__()


def test_something_else_listens() -> None:
    class NotFound(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            """Keeps the test's output clean."""

    other = HTTPServer(("127.0.0.1", 0), NotFound)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        with pytest.raises(ConfigError, match="is not one of p2o's: start it with `p2o serve MODEL`"):
            connected(f"http://127.0.0.1:{other.server_port}").__enter__()
    finally:
        other.shutdown()
        thread.join()
        other.server_close()


def test_a_second_run_is_refused_until_the_first_is_gone(
    server: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(server[0]) as first:
        monkeypatch.setattr(vllm_server, "RUN", "another run")
        with pytest.raises(
            ConfigError, match=rf"is taken: .*works for another run \(process {os.getpid()} on "
        ):
            connected(server[0]).__enter__()
        assert first.control.workers() == 1
    with connected(server[0]):
        pass


def test_without_the_token_nothing_but_sampling_is_open(
    server: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2O_SERVER_TOKEN", "guessed")
    with pytest.raises(ConfigError, match=r"asks for its token: .*set P2O_SERVER_TOKEN"):
        connected(server[0]).__enter__()
    monkeypatch.delenv("P2O_SERVER_TOKEN")
    token = find_token(server[0])
    assert token is not None
    with httpx.Client(base_url=server[0], trust_env=False) as client:
        for path in ("/collective_rpc", "/update_weights", "/init_weight_transfer_engine", "/sleep"):
            assert client.post(path, json={}).status_code == 401, path
        page = {"origin": "http://evil.example", "content-type": "text/plain", "x-p2o-token": token}
        assert client.post("/update_weights", content="{}", headers=page).status_code == 403
        plain = {"content-type": "text/plain", "x-p2o-token": token}
        assert client.post("/update_weights", content="{}", headers=plain).status_code == 415
        assert client.get("/health").status_code == 200
        assert client.post("/v1/completions", json={}).status_code == 401, "vLLM's own key still counts"


def test_a_server_that_dies_ends_the_run_in_one_line(
    sampler: ServerSampler, policy: TorchPolicy, server: tuple[str, subprocess.Popen[str]]
) -> None:
    """Last in this file: there is no server afterwards."""
    os.killpg(server[1].pid, signal.SIGTERM)
    server[1].wait(timeout=60)
    with pytest.raises(TrainingError, match="does not answer"):
        sampler.sample(tiny_requests(), SAMPLED)
    with pytest.raises(TrainingError, match="does not answer") as caught:
        sampler.sync(policy)
    assert "\n" not in str(caught.value)
