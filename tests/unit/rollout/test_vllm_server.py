"""The sampler `vllm-server` and servers that fail: what may pass is asked for again, the rest is one line."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from model_server import BROKEN, COMPLETIONS, DAMAGES, ModelServer

from p2o.errors import ConfigError, SamplerError, TrainingError
from p2o.policy.weights import FrozenWeights
from p2o.rollout import server_client
from p2o.rollout.config import RolloutConfig, VllmConfig
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams
from p2o.rollout.server_client import ServerClient, ServerError, may_pass
from p2o.rollout.vllm_server import ServerSampler

ENDS = (4, 5)
PARAMS = SamplingParams(12)
REQUESTS = [SampleRequest((7, 8, 9 + seed % 3), seed) for seed in range(6)]
TIMEOUT_S = 0.3


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "BACKOFF_S", 0.0)


@pytest.fixture
def server(random_model: Any) -> Iterator[ModelServer]:
    server = ModelServer(random_model, ENDS)
    yield server
    server.close()


@pytest.fixture
def sampler(server: ModelServer, random_model: Any) -> Iterator[ServerSampler]:
    sampler = connect(server, random_model)
    sampler.sync(FrozenWeights(random_model))
    server.calls.clear()
    yield sampler
    sampler.close()


def connect(server: ModelServer, model: Any, timeout_s: float = 60.0) -> ServerSampler:
    settings = VllmConfig(url=server.url, timeout_s=timeout_s)
    config = RolloutConfig(vllm=settings, batch_size=4, max_tokens=12, max_prompt_tokens=64)
    return ServerSampler(model, config, end_ids=ENDS)


def patience(sampler: ServerSampler, fault: str) -> None:
    """A short limit where it decides: a busy machine must not meet it elsewhere."""
    if fault in ("hangs", "drips", "drips its head"):
        sampler.client.timeout_s = TIMEOUT_S


def test_samples_from_the_weights_that_were_pushed(
    server: ModelServer, sampler: ServerSampler, random_model: Any
) -> None:
    counts: list[int] = []
    expected = HfSampler(random_model, end_ids=ENDS, pad_id=0).sample(REQUESTS, PARAMS)
    found = sampler.sample(REQUESTS, PARAMS, counts.append)
    assert [sample.response_ids for sample in found] == [sample.response_ids for sample in expected]
    assert sum(counts) == len(REQUESTS)
    other = copy.deepcopy(random_model)
    with torch.no_grad():
        other.lm_head.weight.mul_(-1)
    sampler.sync(FrozenWeights(other))
    assert [sample.response_ids for sample in sampler.sample(REQUESTS, PARAMS)] != [
        sample.response_ids for sample in found
    ]


def test_knows_that_vllm_rounds_float32_on_a_gpu(sampler: ServerSampler) -> None:
    assert (sampler.dtype, sampler.computes_in) == ("float32", "tfloat32")


@pytest.mark.parametrize("fault", [*BROKEN, *DAMAGES])
def test_a_completion_that_fails_is_asked_for_again(
    server: ModelServer, sampler: ServerSampler, fault: str
) -> None:
    expected = sampler.sample(REQUESTS, PARAMS)
    server.calls.clear()
    patience(sampler, fault)
    server.fault_of = lambda number, path: fault if number == 4 else ""
    assert sampler.sample(REQUESTS, PARAMS) == expected
    assert server.calls.count(COMPLETIONS) == len(REQUESTS) + 1
    assert server.calls[-1] == "/weight_info", "a server that has started again has other weights"


def test_completions_are_handed_on_while_one_is_not_answered(
    server: ModelServer, sampler: ServerSampler
) -> None:
    expected = sampler.sample(REQUESTS, PARAMS)
    server.calls.clear()
    server.fault_of = lambda number, path: "hangs" if number == 3 else ""  # the first is about the weights
    taken: list[int] = []
    found, turns = {}, 0

    def source() -> Iterator[SampleRequest]:
        for request in REQUESTS:
            taken.append(request.seed)
            yield request

    stream = sampler.stream(source(), PARAMS, at_once=2)
    while len(found) < 5 or turns < 2:
        ended = next(stream)
        assert len(taken) <= len(found) + 2
        found |= dict(ended)
        turns += not ended
    stream.close()
    assert all(expected[number] == sample for number, sample in found.items())
    server.fault_of = lambda number, path: ""
    assert sampler.sample(REQUESTS, PARAMS) == expected


@pytest.mark.parametrize("fault", [*BROKEN, *DAMAGES, "leaves"])
def test_completions_that_fail_for_good_are_one_line(
    server: ModelServer, sampler: ServerSampler, fault: str
) -> None:
    patience(sampler, fault)
    server.fault_of = lambda number, path: fault if path == COMPLETIONS else ""
    with pytest.raises(SamplerError) as caught:
        sampler.sample(REQUESTS, PARAMS)
    assert "\n" not in str(caught.value)
    if fault == "leaves":
        server.listen()


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        *((path, "resets") for path in ("/start_weight_update", "/update_weights", "/finish_weight_update")),
        *(("p2o_missing_weights", fault) for fault in (*BROKEN, "wrong shape", "null")),
        ("/reset_prefix_cache", "null"),
    ],
)
def test_a_push_that_fails_is_repeated(
    server: ModelServer, sampler: ServerSampler, random_model: Any, path: str, fault: str
) -> None:
    expected = sampler.sample(REQUESTS, PARAMS)
    patience(sampler, fault)
    failed: list[int] = []

    def fault_of(number: int, called: str) -> str:
        if called != path or failed:
            return ""
        failed.append(number)
        return fault

    server.fault_of = fault_of
    sampler.sync(FrozenWeights(random_model))
    assert failed
    assert sampler.sample(REQUESTS, PARAMS) == expected


def test_a_push_that_fails_for_good_is_one_line(
    server: ModelServer, sampler: ServerSampler, random_model: Any
) -> None:
    server.fault_of = lambda number, path: "500" if path == "/finish_weight_update" else ""
    with pytest.raises(SamplerError, match=r"pushing the weights to vLLM failed, .*: 500 busy") as caught:
        sampler.sync(FrozenWeights(random_model))
    assert "\n" not in str(caught.value)
    assert server.calls.count("/finish_weight_update") == server_client.RETRIES + 1
    with pytest.raises(TrainingError, match="no current weights"):
        sampler.sample(REQUESTS, PARAMS)


def test_a_server_that_started_again_meanwhile_is_noticed(
    server: ModelServer, sampler: ServerSampler
) -> None:
    def fault_of(number: int, path: str) -> str:
        if number == 4:
            server.version = "start"
        return "resets" if number == 4 else ""

    server.fault_of = fault_of
    with pytest.raises(TrainingError, match="holds the weights 'start', not 'p2o-1': it was restarted"):
        sampler.sample(REQUESTS, PARAMS)


@pytest.mark.parametrize("fault", ["resets", "hangs", "drips", "500", "html", "wrong shape", "null"])
def test_what_is_no_server_of_ours_is_refused_at_once(
    server: ModelServer, random_model: Any, fault: str
) -> None:
    server.fault_of = lambda number, call: fault if call == "p2o_describe" else ""
    with pytest.raises(ConfigError, match="start it with `p2o serve MODEL`") as caught:
        connect(server, random_model, TIMEOUT_S if fault in ("hangs", "drips") else 60.0)
    assert "\n" not in str(caught.value)
    assert server.calls.count("p2o_describe") == 1


def test_an_answer_in_time_may_be_long_in_coming(server: ModelServer) -> None:
    """The limit is one on a request, and none on the many that wait for their turn."""
    client = ServerClient(server.url, 60.0, connections=1, headers={})
    waiting = [
        client.submit("GET", "/weight_info", None, lambda answer: answer["weight_version"]) for _ in range(9)
    ]
    assert [future.result() for future in waiting] == ["start"] * 9
    client.close()
    client.close()


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ServerError("/x: 401 no", 401)))  # our own
    assert (str(error), error.status, may_pass(error)) == ("/x: 401 no", 401, False)
    assert may_pass(ServerError("x", 503))
    assert may_pass(SamplerError("x"))
    assert not may_pass(TrainingError("x"))
