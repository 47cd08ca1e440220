"""A server of two engines (`--data-parallel-size 2`) with room for LoRA adapters: pushes reach both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import served
from vllm_world import gaps, make_policy, optimizer_step, rollout_config, tiny_llama, tiny_requests

from p2o.errors import ConfigError
from p2o.model.load import save_model
from p2o.policy.optimizer_config import LoraConfig
from p2o.rollout.lent import BareSampler
from p2o.rollout.sampler import SamplingParams
from p2o.rollout.vllm_server import ServerSampler

GREEDY = SamplingParams(24, 0.0)
SAMPLED = SamplingParams(24)
ENDS = (4, 5, 6)
LORA = LoraConfig(rank=3)
REQUESTS = tiny_requests(copies=8)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Iterator[str]:
    """A server that starts with other weights than the policies."""
    folder = tmp_path_factory.mktemp("served") / "model"
    save_model(tiny_llama(seed=1), tokenizer, folder)
    with served(folder, "--lora", "3", "--vllm", "--data-parallel-size", "2") as (url, _):
        yield url


def connect(url: str, lora: LoraConfig | None = None) -> ServerSampler:
    config = rollout_config(url=url, lora="merged" if lora is None else "adapter")
    return ServerSampler(tiny_llama(), config, end_ids=ENDS, lora=lora)


def answered(url: str) -> list[int]:
    """Requests that each engine has answered."""
    metrics = httpx.get(f"{url}/metrics").text
    counts = {"0": 0.0, "1": 0.0}
    for engine, count in re.findall(r'request_success_total\{engine="(\d)".*\} ([\d.]+)', metrics):
        counts[engine] += float(count)
    return [int(count) for count in counts.values()]


def test_merged_weights_reach_every_engine(url: str) -> None:
    policy, sampler = make_policy(tiny_llama()), connect(url)
    before = answered(url)
    for _ in range(2):
        sampler.sync(policy)
        samples = sampler.sample(REQUESTS, SAMPLED)
        assert gaps(policy, REQUESTS, samples).max() < 1e-4
        optimizer_step(policy, REQUESTS, samples)
        assert gaps(policy, REQUESTS, samples).mean() > 0.01, "the update must matter"
    sampler.close()
    assert all(now > then for now, then in zip(answered(url), before, strict=True)), "both must have worked"


def test_adapters_reach_every_engine_and_the_start_is_under_them(url: str) -> None:
    policy, sampler = make_policy(tiny_llama(), learning_rate=3e-2, lora=LORA), connect(url, LORA)
    sampler.sync(policy)
    start = [sample.response_ids for sample in sampler.sample(REQUESTS, GREEDY)]
    for _ in range(2):
        samples = sampler.sample(REQUESTS, SAMPLED)
        assert gaps(policy, REQUESTS, samples).max() < 1e-4
        optimizer_step(policy, REQUESTS, samples)
        assert gaps(policy, REQUESTS, samples).mean() > 0.01, "the update must matter"
        sampler.sync(policy)
    bare = BareSampler(sampler).sample(REQUESTS, GREEDY)
    assert [sample.response_ids for sample in bare] == start
    assert [sample.response_ids for sample in sampler.sample(REQUESTS, GREEDY)] != start
    assert gaps(make_policy(tiny_llama()), REQUESTS, bare).max() < 1e-4
    sampler.close()
    # The next run's names are the same; what this one has left is dropped.
    again = connect(url, LORA)
    again.sync(policy)
    assert gaps(policy, REQUESTS, again.sample(REQUESTS, SAMPLED)).max() < 1e-4
    models = httpx.get(f"{url}/v1/models").json()["data"]
    assert [model["id"] for model in models if model["parent"]] == ["p2o-1"]
    again.close()
    assert not list(Path("/dev/shm").glob("p2o-adapter-*"))


def test_a_larger_adapter_than_there_is_room_for_is_refused(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"adapters of rank 8 at most, .*start it with `p2o serve --lora 9`"
    ):
        connect(url, LoraConfig(rank=9))
