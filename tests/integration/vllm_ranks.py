"""One rank of `test_vllm_ranks.py`: `python vllm_ranks.py TENSOR_PARALLEL_SIZE`, with the variables of torchrun."""

from __future__ import annotations

import sys

import pytest
from vllm_world import gaps, make_policy, optimizer_step, rollout_config, tiny_llama, tiny_requests

from p2o.distributed import start_world
from p2o.errors import TrainingError
from p2o.rollout.probe import check_gap
from p2o.rollout.sampler import SamplingParams
from p2o.rollout.vllm import VllmSampler


def main(tensor_parallel_size: int) -> None:
    """Trains the same step on every rank; rank 0 checks what all of them sampled."""
    world = start_world()
    policy = make_policy(tiny_llama())
    config = rollout_config(tensor_parallel_size=tensor_parallel_size)
    sampler = VllmSampler(policy.model, config, end_ids=(4, 5, 6), world=world)
    engines = world.size // sampler.ranks_per_engine
    engine = world.rank // sampler.ranks_per_engine
    requests = tiny_requests(copies=4)
    mine = requests[engine::engines]
    params = SamplingParams(24)
    sampler.sync(policy)
    optimizer_step(policy, requests, whole(world, sampler, mine, engines, params))
    sampler.sync(policy)
    samples = whole(world, sampler, mine, engines, params)
    largest = gaps(policy, requests, samples).max()
    assert largest < 1e-4, largest
    measured = check_gap(sampler, policy, [r.prompt_ids for r in requests[::4]], params, 1e-3, world)
    assert measured["sync/gap_max"] < 1e-4, measured

    class FailsOnRankOne:
        def weights(self):  # type: ignore[no-untyped-def]
            if world.rank == 1 and tensor_parallel_size == 1:
                raise RuntimeError("rank 1 has no weights")
            yield from policy.weights()

    if tensor_parallel_size == 1:
        with pytest.raises(TrainingError, match="rank 1 has no weights"):
            sampler.sync(FailsOnRankOne())  # type: ignore[arg-type]
    print(f"rank {world.rank} of {world.size}: {[s.response_ids for s in samples]}")


def whole(world, sampler, mine, engines, params):  # type: ignore[no-untyped-def]
    """The samples of all requests, from the engines that drew them; ranks of one engine must agree."""
    by_rank = world.gather(sampler.sample(mine, params))
    by_engine = [by_rank[rank] for rank in range(0, world.size, sampler.ranks_per_engine)]
    for rank, samples in enumerate(by_rank):
        same = by_engine[rank // sampler.ranks_per_engine]
        assert [s.response_ids for s in samples] == [s.response_ids for s in same]
    merged = [None] * sum(map(len, by_engine))
    for engine, samples in enumerate(by_engine):
        merged[engine::engines] = samples
    return merged


if __name__ == "__main__":
    main(int(sys.argv[1]))
