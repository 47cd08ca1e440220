"""What one rank does in a step beside sampling and passes of the model: a simulation of the largest recipe.

    python benches/bench_bookkeeping.py [--tokens 12288] [--output benches/bookkeeping.md]

128 problems x 6 rollouts of 12,288 tokens each on 8 ranks: as many tokens as a step of the recipes `paper` and `p2o`
can have. Rank 0's part runs in this process, through p2o's own loop, with SmolLM2's tokenizer: it encodes and decodes
its share, verifies it, writes and reads what all ranks exchange (the others' shares are made without the clock), takes
groups apart into rows, packs and fills the micro-batches of its share of a scoring pass and an update, and writes its
records. Sampling and the model itself take no time here. Half of the problems are hard and rolled out under a template,
so that their rows are scored under both prompts. Times are CPU seconds of the process, one thread but for verification.
"""

from __future__ import annotations

import argparse
import pickle
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console as RichConsole

import p2o.assembly
import p2o.parts
from bench_train import arithmetic
from p2o import loop
from p2o.config import build_config
from p2o.distributed import Processes
from p2o.files import write_jsonl
from p2o.policy.layout import head_chunks, score_share
from p2o.rollout.sampler import Sample, Sampler
from p2o.templates import make_template
from p2o.track.console import Console

RANKS = 8
PROBLEMS = 128
N = 6
TOKENS_PER_SECOND = 8 * 6000
"""Response tokens sampled, scored and learnt a second by eight GPUs: what the share of a step is worked out with."""


NOBODY = "nobody"
"""Whose work is not counted, nor what is within it."""


class Clock:
    """CPU seconds by what they are spent on; nested ones count once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.open: list[str] = []
        self.last = time.process_time()

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        self._note()
        self.open.append(what)
        try:
            yield
        finally:
            self._note()
            self.open.pop()

    def timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self.on(what):
                return function(*arguments, **options)

        return call

    def _note(self) -> None:
        now = time.process_time()
        if self.open and NOBODY not in self.open:
            self.seconds[self.open[-1]] += now - self.last
        self.last = now


CLOCK = Clock()


class Simulated(Processes):
    """Rank 0 of eight: the others' work is done without the clock, and read like a message from them."""

    def map(self, function: Any, items: Any, team: int = 1) -> list[Any]:
        own = function(self.share(items))
        with CLOCK.on("exchange"):
            blobs = [pickle.dumps((own, None))]
        with CLOCK.on(NOBODY):
            for rank in range(1, RANKS):
                blobs.append(pickle.dumps((function(Simulated(rank, RANKS).share(items)), None)))
        with CLOCK.on("exchange"):
            return [each for blob in blobs for each in pickle.loads(blob)[0]]

    def gather(self, value: Any) -> list[Any]:
        return [value] + [type(value)()] * (RANKS - 1)


class Drawn(Sampler):
    """Completions made up beforehand."""

    responses: list[Sample]

    @classmethod
    def make(cls, config: Any, model: Any, tokenizer: Any, processes: Any) -> Drawn:
        return cls()

    def sample(self, requests: Any, params: Any, progress: Any = None) -> list[Sample]:
        with CLOCK.on(NOBODY):
            drawn = [self.responses[request.seed % len(self.responses)] for request in requests]
            # Lists of their own: pickle writes one that it has met before as a reference.
            return [
                Sample(list(each.response_ids), list(each.logprobs), each.finish_reason) for each in drawn
            ]

    def sync(self, policy: Any) -> None:
        pass


def made_up(tokenizer: Any, tokens: int) -> list[Sample]:
    """Completions of words and numbers that end in a box."""
    generator = random.Random(0)
    found = []
    for number in range(64):
        words = " ".join(
            generator.choice(("add", "3", "carry", "so", "17", "=", "then", "x")) for _ in range(tokens)
        )
        ids = tokenizer.encode(words, add_special_tokens=False)
        end = tokenizer.encode(f" The answer is \\boxed{{{number}}}.", add_special_tokens=False)
        ids = (ids * 2)[: tokens - len(end)] + end
        found.append(Sample(ids, [-generator.random() for _ in ids], "stop"))
    return found


def score(policy: Any) -> Callable[[Any], list[Any]]:
    """`Policy.score` of rank 0 with a model that takes no time."""

    def call(sequences: Any) -> list[Any]:
        policy.forward = no_model
        with CLOCK.on("packing"):
            packing = policy.layout.split(
                [len(prompt) + len(response) for prompt, response in sequences], RANKS
            )
        share: dict[str, Any] = {"ranks": RANKS, "pad_id": policy.pad_id, "device": policy.device}
        with CLOCK.on("packing"):
            own = score_share(policy.forward, policy.layout, sequences, packing, rank=0, **share)
        with CLOCK.on("exchange"):
            blobs = [pickle.dumps(own)]
        with CLOCK.on(NOBODY):
            for rank in range(1, RANKS):
                other = score_share(policy.forward, policy.layout, sequences, packing, rank=rank, **share)
                blobs.append(pickle.dumps(other))
        with CLOCK.on("exchange"):
            parts = [pickle.loads(blob) for blob in blobs]
            return [
                logp
                for _, logp in sorted((pair for part in parts for pair in part), key=lambda pair: pair[0])
            ]

    return call


def no_model(targets: Any, **_: Any) -> Any:
    with CLOCK.on(NOBODY):
        return torch.full((len(targets),), -0.5)


def update(policy: Any) -> Callable[..., dict[str, float]]:
    """The micro-batches of rank 0's share of an update."""

    def call(rows: Any, counts: Any, engine: Any) -> dict[str, float]:
        from p2o.packing import fill

        with CLOCK.on("packing"):
            packing = policy.layout.split(rows.lengths, RANKS)
            head_chunks(packing, rows.response_lengths, RANKS)
            indices, own = packing.share(0)
            for batch in fill(own, rows.take(indices)):
                policy.layout.inputs(batch, policy.device)
        return {}

    return call


def run(tokens: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        problems = Path(folder) / "problems.jsonl"
        write_jsonl(problems, arithmetic(2 * PROBLEMS + 1))
        config = build_config(
            {
                "run": {"method": "grpo", "epochs": 1, "batch_problems": PROBLEMS},
                "model": {"source": "smollm2"},
                "data": {
                    "kind": "jsonl",
                    "train": str(problems),
                    "train_size": 2 * PROBLEMS,
                    "evaluation_size": 1,
                },
                "rollout": {
                    "sampler": "bench_bookkeeping:Drawn",
                    "n": N,
                    "max_tokens": tokens,
                    "max_prompt_tokens": 512,
                },
                "optimizer": {"micro_batch_tokens": 16384, "layout": "packed"},
                "checkpoint": {"every": 1000},
            }
        )
        p2o.parts.check_length = lambda config, model: None  # the model's positions do not matter here
        p2o.assembly.make_probe = lambda *arguments: dict
        prepared = p2o.assembly.prepare(
            config, Path(folder) / "run", console=Console(RichConsole(quiet=True))
        )
        import bench_bookkeeping

        bench_bookkeeping.Drawn.responses = made_up(prepared.tokenizer, tokens)
        bench_bookkeeping.CLOCK = CLOCK
        collector, state = prepared.collector, prepared.state
        collector.processes = Simulated(0, RANKS)
        template = make_template("Add column by column, and carry.")
        state.assignment = {
            problem.id: [template] * N for problem in prepared.problems[: len(prepared.problems) // 2]
        }
        state.history.append({})
        collector._encode = CLOCK.timed("prompts", collector._encode)
        collector.encoder.decode = CLOCK.timed("decoding", collector.encoder.decode)
        reward = collector.reward
        collector.reward = Judged(reward)
        prepared.policy.score, prepared.policy.update = score(prepared.policy), update(prepared.policy)
        prepared.log_step = CLOCK.timed("records", prepared.log_step)
        state.outcomes.observe = CLOCK.timed("records", state.outcomes.observe)
        state.epoch_problems = PROBLEMS  # one step
        with CLOCK.on("rows and weights"):
            loop.take_step(prepared)
        return dict(CLOCK.seconds)


class Judged:
    """The reward function on the clock; every other completion is right, so that all groups have a signal."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, rollouts: Sequence[Any], problems: Sequence[Any]) -> list[float]:
        with CLOCK.on("verification"):
            self.inner(rollouts, problems)
        return [float(rollout.index % 2) for rollout in rollouts]


HEADER = """# What a rank does beside sampling and passes of the model

`python benches/bench_bookkeeping.py`: rank 0 of 8 in a simulated step of 128 problems x 6 rollouts of
{tokens:,} tokens, half of them under a template. CPU seconds. A step of {step:.0f} s ({rate:,} tokens a second
on eight GPUs) spends {share:.2%} on it.

| | s |
| --- | ---: |
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokens", type=int, default=12288)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = run(args.tokens)
    total = sum(found.values())
    step = PROBLEMS * N * args.tokens / TOKENS_PER_SECOND
    rows = [
        f"| {what} | {seconds:.2f} |" for what, seconds in sorted(found.items(), key=lambda pair: -pair[1])
    ]
    text = HEADER.format(tokens=args.tokens, step=step, share=total / step, rate=TOKENS_PER_SECOND)
    text += "\n".join([*rows, f"| **all** | **{total:.2f}** |"]) + "\n"
    print(text)
    if args.output is not None:
        args.output.write_text(text)


if __name__ == "__main__":
    main()
