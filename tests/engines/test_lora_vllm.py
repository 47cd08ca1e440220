"""LoRA adapters in a vLLM engine in process, on the CPU, beside the same policy merged.

Tolerances of log-probs as of `test_sampler_vllm.py`: 1e-4 nats at any token in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm_world import (
    VLLM_WARNINGS,
    gaps,
    make_policy,
    optimizer_step,
    rollout_config,
    tiny_llama,
    tiny_requests,
)

from p2o.errors import TrainingError
from p2o.policy.optimizer_config import LoraConfig
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout.hf import HfSampler
from p2o.rollout.lent import BareSampler
from p2o.rollout.probe import MAX_GAP, check_gap
from p2o.rollout.sampler import SamplingParams
from p2o.rollout.vllm import VllmSampler

pytestmark = VLLM_WARNINGS

GREEDY = SamplingParams(24, 0.0)
SAMPLED = SamplingParams(24)
ENDS = (4, 5, 6)
LORA = LoraConfig(rank=3)
"""Of every linear layer; vLLM's room is for rank 8."""


@pytest.fixture(scope="module")
def engine() -> VllmSampler:
    return VllmSampler(tiny_llama(), rollout_config(lora="adapter"), end_ids=ENDS, lora=LORA)


@pytest.fixture(scope="module")
def merged() -> VllmSampler:
    return VllmSampler(tiny_llama(), rollout_config(), end_ids=ENDS)


@pytest.fixture
def policy() -> TorchPolicy:
    return make_policy(tiny_llama(), learning_rate=3e-2, lora=LORA)


class Counting:
    """What is pushed of a policy."""

    def __init__(self, policy: TorchPolicy) -> None:
        self.policy = policy
        self.model = policy.model
        self.pushed: list[str] = []

    def weights(self, *, merged: bool = True) -> Iterator[list[tuple[str, Any]]]:
        self.pushed.append("merged" if merged else "base")
        return self.policy.weights(merged=merged)

    def adapter(self) -> Any:
        self.pushed.append("adapter")
        return self.policy.adapter()


def test_the_engine_follows_the_trainer_by_its_adapters_alone(
    engine: VllmSampler, policy: TorchPolicy
) -> None:
    requests, source = tiny_requests(), Counting(policy)
    engine.version = None
    engine.sync(source)
    start = engine.sample(requests, GREEDY)
    for _ in range(2):
        samples = engine.sample(requests, SAMPLED)
        assert gaps(policy, requests, samples).max() < 1e-4
        optimizer_step(policy, requests, samples)
        assert gaps(policy, requests, samples).mean() > 0.01, "the update must matter"
        engine.sync(source)
    assert source.pushed == ["adapter", "base", "adapter", "adapter"]
    greedy = engine.sample(requests, GREEDY)
    expected = HfSampler(policy.model, end_ids=ENDS, pad_id=0).sample(requests, GREEDY)
    assert [s.response_ids for s in greedy] == [s.response_ids for s in expected]
    assert gaps(policy, requests, greedy).max() < 1e-4
    assert check_gap(engine, policy.score, [r.prompt_ids for r in requests], SAMPLED, MAX_GAP["float32"])
    # Without the adapter it is the policy at the start, before and after; no prefix of one is taken for the other's.
    bare = BareSampler(engine)
    assert bare.sample(requests, GREEDY) == start != greedy
    assert engine.sample(requests, GREEDY) == greedy
    assert source.pushed.count("base") == 1


def test_adapters_and_merged_weights_give_the_same(
    engine: VllmSampler, merged: VllmSampler, policy: TorchPolicy
) -> None:
    requests = tiny_requests()
    engine.version = None
    engine.sync(policy)
    optimizer_step(policy, requests, engine.sample(requests, SAMPLED))
    engine.sync(policy)
    by_adapter = engine.sample(requests, GREEDY)
    merged.sync(policy)
    by_weights = merged.sample(requests, GREEDY)
    assert [s.response_ids for s in by_adapter] == [s.response_ids for s in by_weights]
    for one, other in zip(by_adapter, by_weights, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_a_push_that_fails_is_repaired_by_a_whole_one(engine: VllmSampler, policy: TorchPolicy) -> None:
    class Failing(Counting):
        def adapter(self) -> Any:
            adapter = super().adapter()
            name, tensor = next(iter(adapter.tensors.items()))
            adapter.tensors[name] = torch.zeros(tensor.shape[0] + 1, tensor.shape[1] + 1)
            return adapter

    with pytest.raises(TrainingError, match="pushing the weights to vLLM failed"):
        engine.sync(Failing(policy))
    with pytest.raises(TrainingError, match="no current weights"):
        engine.sample(tiny_requests(), SAMPLED)
    source = Counting(policy)
    engine.sync(source)
    assert source.pushed == ["adapter", "base"]
    assert gaps(policy, tiny_requests(), engine.sample(tiny_requests(), SAMPLED)).max() < 1e-4
    assert not list(Path("/dev/shm").glob("p2o-adapter-*"))
