"""A mixture of experts in an engine, and an update of it: run by test_experts_vllm.py."""

from __future__ import annotations

import sys

from vllm_world import gaps, make_policy, optimizer_step, rollout_config, tiny_experts, tiny_requests

from p2o.rollout.sampler import SamplingParams
from p2o.rollout.vllm import VllmSampler


def main(name: str) -> None:
    """Prints the largest difference of the engine's log-probs to the trainer's, before and after an update."""
    params, requests = SamplingParams(24), tiny_requests()
    policy = make_policy(tiny_experts(name))
    engine = VllmSampler(tiny_experts(name, seed=8), rollout_config(), end_ids=())
    for _ in range(2):
        engine.sync(policy)
        samples = engine.sample(requests, params)
        assert gaps(policy, requests, samples).max() < 1e-4
        optimizer_step(policy, requests, samples)
        assert gaps(policy, requests, samples).mean() > 1e-3, "the update must matter"
    print("agrees")


if __name__ == "__main__":
    main(sys.argv[1])
