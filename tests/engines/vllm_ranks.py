"""One rank of `test_vllm_ranks.py`: `python vllm_ranks.py TENSOR_PARALLEL_SIZE [adapter]`, as under torchrun."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from vllm_world import gaps, make_policy, optimizer_step, rollout_config, tiny_llama, tiny_requests

from p2o.distributed import Processes, join_processes
from p2o.errors import TrainingError
from p2o.policy.optimizer_config import LoraConfig
from p2o.rollout.collect import Collector, RolloutRequest
from p2o.rollout.probe import check_gap
from p2o.rollout.reward import RewardConfig, make_reward
from p2o.rollout.sampler import Sample, SampleRequest, SamplingParams
from p2o.rollout.vllm import VllmSampler
from p2o.templates import PLAIN
from p2o.types import Problem, Rollout


def main(tensor_parallel_size: int, lora: LoraConfig | None) -> None:
    """Trains the same step on every rank; rank 0 checks what all of them sampled."""
    processes = join_processes()
    policy = make_policy(tiny_llama(), lora=lora, learning_rate=1e-3 if lora is None else 3e-2)
    config = rollout_config(tensor_parallel_size=tensor_parallel_size)
    sampler = VllmSampler(policy.model, config, end_ids=(4, 5, 6), lora=lora, processes=processes)
    requests = tiny_requests(copies=4)
    params = SamplingParams(24)

    def draw(numbers: Iterator[int]) -> dict[int, Sample]:
        taken: list[int] = []

        def asked() -> Iterator[SampleRequest]:
            for number in numbers:
                taken.append(number)
                yield requests[number]

        stream = sampler.stream(asked(), params, at_once=3)
        return {taken[place]: sample for ended in stream for place, sample in ended}

    def sample() -> list[Sample]:
        drawn = processes.deal(draw, len(requests), sampler.ranks_per_engine)
        return [drawn[number] for number in range(len(requests))]

    sampler.sync(policy)
    optimizer_step(policy, requests, sample())
    sampler.sync(policy)
    samples = sample()
    largest = gaps(policy, requests, samples).max()
    assert largest < 1e-4, largest
    measured = check_gap(
        sampler, policy.score, [r.prompt_ids for r in requests[::4]], params, 1e-3, processes
    )
    assert measured["sync/gap_max"] < 1e-4, measured

    if tensor_parallel_size == 1:
        check_early_end(sampler, processes, requests, params)

    class FailsOnRankOne:
        model = policy.model

        def weights(self):  # type: ignore[no-untyped-def]
            if processes.rank == 1 and tensor_parallel_size == 1:
                raise RuntimeError("rank 1 has no weights")
            yield from policy.weights()

    if tensor_parallel_size == 1 and lora is None:
        with pytest.raises(TrainingError, match="rank 1 has no weights"):
            sampler.sync(FailsOnRankOne())  # type: ignore[arg-type]
    print(f"rank {processes.rank} of {processes.size}: {[s.response_ids for s in samples]}")


def check_early_end(
    sampler: VllmSampler, processes: Processes, requests: Sequence[SampleRequest], params: SamplingParams
) -> None:
    """Ranks give up what is under way when the first six are known, whoever drew them, and go on as if they had not."""
    encoder: Any = SimpleNamespace(
        encode=lambda messages: tuple(map(int, messages[-1]["content"].split())), decode=str
    )
    reward = make_reward(RewardConfig())
    collector = Collector(sampler, encoder, reward, max_prompt_tokens=99, processes=processes)
    texts = [" ".join(map(str, request.prompt_ids)) for request in requests]
    asked = [
        RolloutRequest(Problem(str(place), ({"role": "user", "content": text},), "1"), PLAIN, 0, request.seed)
        for place, (text, request) in enumerate(zip(texts, requests, strict=True))
    ]
    whole = collector.collect(asked, params)
    known: set[int] = set()

    def enough(place: int, rollout: Rollout) -> range | None:
        known.add(place)
        return range(6) if known >= set(range(6)) else None

    first, surplus = collector.collect_until(asked, enough, params)
    assert first == whole[:6]
    assert 0 <= surplus <= params.max_tokens * (len(asked) - 6)
    assert processes.gather(surplus) == [surplus] * processes.size
    assert collector.collect(asked, params) == whole


if __name__ == "__main__":
    main(int(sys.argv[1]), LoraConfig(rank=3) if "adapter" in sys.argv else None)
