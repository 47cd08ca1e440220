"""The sampler `vllm` beside the trainer on one GPU: updates, sleep and wake, the probe."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

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
from p2o.rollout.probe import MAX_GAP, check_gap
from p2o.rollout.sampler import SamplingParams
from p2o.rollout.vllm import VllmSampler

pytestmark = [pytest.mark.gpu, *VLLM_WARNINGS]

SAMPLED = SamplingParams(24)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_follows_the_trainer_through_updates_and_sleep(dtype: str) -> None:
    # One engine a process: vLLM's allocator for the sleep of a second one refuses.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(updates_and_sleep, dtype).result()


def updates_and_sleep(dtype: str) -> None:
    import torch

    model: Any = tiny_llama().to("cuda", getattr(torch, dtype))
    policy = make_policy(model, learning_rate=1e-2)
    config = rollout_config(gpu_memory_utilization=0.2)
    sampler = VllmSampler(model, config, end_ids=(4, 5, 6))
    limit = MAX_GAP[sampler.computes_in or dtype]
    requests = tiny_requests()
    prompts = [request.prompt_ids for request in requests]
    sampler.sync(policy)
    for _ in range(2):
        samples = sampler.sample(requests, SAMPLED)
        check_gap(sampler, policy.score, prompts, SAMPLED, limit)
        awake = torch.cuda.mem_get_info()[0]
        sampler.sleep()
        assert torch.cuda.mem_get_info()[0] - awake > 0.9 * 0.25 * 2**30, "the KV cache must be given back"
        with pytest.raises(TrainingError, match="no current weights"):
            sampler.sample(requests, SAMPLED)
        optimizer_step(policy, requests, samples)
        assert gaps(policy, requests, samples).mean() > limit, "the update must matter"
        sampler.sync(policy)
        assert gaps(policy, requests, sampler.sample(requests, SAMPLED)).mean() < limit
