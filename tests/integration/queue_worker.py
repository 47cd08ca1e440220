"""One process of `test_shared_queue.py`: ranks that draw rollouts from one queue."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from p2o.distributed import Processes, join_processes
from p2o.model.load import load_model
from p2o.rollout.collect import Collector, RolloutRequest
from p2o.rollout.encode import PromptEncoder, end_ids, pad_id
from p2o.rollout.hf import HfSampler
from p2o.rollout.reward import RewardConfig, make_reward
from p2o.rollout.sampler import Ended, SampleRequest, SamplingParams
from p2o.templates import PLAIN
from p2o.tiny import MODEL_PATH
from p2o.tiny.world import make_problems

PROBLEMS, N = 10, 2


class Watched(HfSampler):
    """Says in files which problems it draws; as `slow`, it has drawn the first when the other has drawn the rest."""

    folder: Path
    taken: list[int]
    slow = False

    def stream(self, requests: Iterable[SampleRequest], *arguments: Any, **options: Any) -> Generator[Ended]:
        known = list(requests)
        while not self.slow and not (self.folder / "begun").exists():
            time.sleep(0.005)  # polling another process
        for ended in super().stream(known, *arguments, **options):
            (self.folder / "begun").touch()
            while self.slow and not (self.folder / "done").exists():
                time.sleep(0.005)
            yield ended
        self.taken += [request.seed for request in known]
        if len(self.taken) == N * (PROBLEMS - 1):
            (self.folder / "done").touch()


def collect(processes: Processes, folder: Path) -> tuple[list[Any], Any]:
    """All rollouts, and the sampler of this rank."""
    model, tokenizer = load_model(MODEL_PATH)
    ends = end_ids(model, tokenizer)
    sampler = Watched(model, end_ids=ends, pad_id=pad_id(tokenizer), batch_size=N)
    sampler.taken = []
    sampler.folder, sampler.slow = folder, processes.size > 1 and processes.is_main
    encoder = PromptEncoder(tokenizer, {}, ends)
    reward = make_reward(RewardConfig())
    collector = Collector(sampler, encoder, reward, max_prompt_tokens=192, processes=processes)
    requests = [
        RolloutRequest(problem, PLAIN, index, N * place + index)
        for place, problem in enumerate(make_problems(PROBLEMS, seed=3))
        for index in range(N)
    ]
    counts: list[int] = []
    rollouts = collector.collect(requests, SamplingParams(24), counts.append)
    assert sum(counts) <= len(requests), "the bar is not longer than it is"
    return [[r.problem_id, r.index, list(r.response_ids), r.text, r.reward] for r in rollouts], sampler


def draw(folder: str) -> Any:
    """The rollouts of the launch, and the seeds that this rank drew."""
    rollouts, sampler = collect(join_processes(), Path(folder))
    return [rollouts, sampler.taken]


def draw_alone(folder: Path) -> Any:
    """The rollouts of a run of one process."""
    (folder / "begun").touch()
    return collect(Processes(), folder)[0]
