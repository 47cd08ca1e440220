"""Tokens per second of the sampler `hf`, by rows in a batch and by how it decodes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from lane_case import Lane, Values, free_memory, model_folder, peak_memory, synchronize

ROWS_OF_A_PROMPT = 8


@cache
def loaded(source: str) -> tuple[Any, Any]:
    """Model and tokenizer, in bfloat16 on the GPU if there is one."""
    import torch

    from p2o.model.load import load_model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_model(source, dtype="bfloat16", device=device)


def requests(tokenizer: Any, rows: int) -> list[Any]:
    """`rows` requests on word problems, `ROWS_OF_A_PROMPT` of each."""
    from bench_train import SUFFIX, arithmetic
    from p2o.rollout.encode import PromptEncoder
    from p2o.rollout.sampler import SampleRequest

    encoder = PromptEncoder(tokenizer)
    problems = arithmetic(-(-rows // ROWS_OF_A_PROMPT))
    prompts = [encoder.encode([{"role": "user", "content": p["problem"] + SUFFIX}]) for p in problems]
    return [SampleRequest(prompts[row // ROWS_OF_A_PROMPT], seed=row) for row in range(rows)]


def measure(lane: Lane, rows: int, tokens: int, decoding: str, *, ends: bool) -> Values:
    """Two calls of the sampler with the same requests; the second is timed."""
    from p2o.rollout.encode import end_ids, pad_id
    from p2o.rollout.hf import HfSampler
    from p2o.rollout.sampler import SamplingParams

    model, tokenizer = loaded(model_folder(lane))
    free_memory()
    sampler = HfSampler(
        model,
        end_ids=end_ids(model, tokenizer) if ends else (),
        pad_id=pad_id(tokenizer),
        batch_size=rows,
        decoding=decoding,
    )
    asked, params = requests(tokenizer, rows), SamplingParams(tokens)
    return timed(lambda: sampler.sample(asked, params), rows)


def timed(sample: Any, rows: int) -> Values:
    """The figures of two calls."""
    seconds = []
    samples: Sequence[Any] = ()
    for _ in range(2):
        started = time.perf_counter()
        samples = sample()
        synchronize()
        seconds.append(time.perf_counter() - started)
    drawn = sum(len(sample.response_ids) for sample in samples)
    return {
        "rows": rows,
        "tokens": drawn,
        "first call s": seconds[0],
        "second call s": seconds[1],
        "tokens/s": drawn / seconds[1],
        **peak_memory(),
    }


def main() -> None:
    lane = Lane()
    tokens = 12 if lane.rehearse else 128
    sizes = (8, 16) if lane.rehearse else (2048, 64, 256, 512, 1024, 4096)

    def add(rows: int, decoding: str, *, ends: bool = False) -> None:
        name = f"{decoding}, {rows:,} rows, {'with ends' if ends else 'full length'}"
        lane.case(name, lambda: measure(lane, rows, tokens, decoding, ends=ends), 60)

    add(sizes[0], "fixed")
    add(sizes[0], "growing")
    add(sizes[0], "fixed", ends=True)
    for rows in sizes[1:]:
        add(rows, "fixed")
    add(sizes[1], "growing")


if __name__ == "__main__":
    main()
