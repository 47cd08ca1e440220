"""A model in an engine of its own process, and an update of it: run by test_models_vllm.py."""

from __future__ import annotations

import sys
from typing import Any

import torch
from vllm_world import (
    gaps,
    make_policy,
    optimizer_step,
    rollout_config,
    tiny_experts,
    tiny_requests,
    tiny_vision,
)

from p2o.rollout.sampler import SamplingParams
from p2o.rollout.vllm import VllmSampler


def main(name: str) -> None:
    """Prints the largest difference of the engine's log-probs to the trainer's, before and after an update."""
    params, requests = SamplingParams(24), tiny_requests()

    def model(seed: int) -> Any:
        return tiny_vision(seed) if name == "vision" else tiny_experts(name, seed)

    policy = make_policy(model(7))
    for buffer in policy.model.buffers():
        if buffer.shape == (4,):  # a router's correction biases, which start at 0
            buffer.copy_(torch.tensor([0.5, -0.5, 0.25, 0.0]))
    engine = VllmSampler(model(8), rollout_config(), end_ids=())
    for _ in range(2):
        engine.sync(policy)
        samples = engine.sample(requests, params)
        assert gaps(policy, requests, samples).max() < 1e-4
        optimizer_step(policy, requests, samples)
        assert gaps(policy, requests, samples).mean() > 1e-3, "the update must matter"
    print("agrees")


if __name__ == "__main__":
    main(sys.argv[1])
