"""The gap probe: does the sampler draw from the weights that the trainer has?

A sampler with stale weights, a stale prefix cache or another prompt than the trainer's raises no error; training
merely gets worse. The log-probs of a few completions, scored by the trainer, tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import TrainingError
from p2o.policy.policy import Policy
from p2o.rollout.sampler import Sampler, SampleRequest, SamplingParams
from p2o.seeds import derive_seed

PROBE_TOKENS = 16
"""Longest completion of the probe."""

MAX_GAP = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1}
"""Default of `correction.max_gap` by the type of the sampler's weights.

Measured on SmolLM2-135M, 8 prompts: in float32 a right sync differs by 8e-6 on average, and after one update at a
learning rate of 1e-5 a tied head left stale by 2e-3, a stale prefix cache by 0.015, stale weights by 0.04. In bfloat16
a right sync differs by 0.03 to 0.04, and after an update at 1e-4 stale weights by 0.14: the limit finds wrong weights,
not one small update left out. float16 has three more bits than bfloat16, an eighth of its rounding.
"""


def default_max_gap(*dtypes: str) -> float:
    """The limit for a sampler and a trainer of these types: that of the coarser one."""
    return max(MAX_GAP[dtype] for dtype in dtypes)


def check_gap(
    sampler: Sampler,
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    params: SamplingParams,
    limit: float,
    processes: Processes = ONE_PROCESS,
) -> dict[str, float]:
    """Draws a completion for each prompt and compares its log-probs with the trainer's.

    The same prompts and seeds every time. Prompts longer than a block of the KV cache (32 tokens on a CPU, 16 on a
    GPU) can show a stale prefix cache. With several ranks each probes its own engine, and the worst one counts.

    Args:
        sampler: after `sync(policy)`.
        policy: scores at the sampling temperature.
        prompts: token ids, at least one prompt.
        params: as in training; top-p and top-k are left out, since the trainer scores the whole distribution.
        limit: largest mean difference, in nats.
        processes: the processes of the run.

    Returns:
        `sync/gap_mean` and `sync/gap_max`: mean (of the worst rank) and maximum of |sampler - trainer|, in nats.

    Raises:
        TrainingError: if the mean is over `limit` or not finite.
    """
    probe = replace(params, max_tokens=min(params.max_tokens, PROBE_TOKENS), top_p=1.0, top_k=0)
    requests = [
        SampleRequest(tuple(prompt), derive_seed("probe", index)) for index, prompt in enumerate(prompts)
    ]
    by_rank = processes.gather(sampler.sample(requests, probe))
    scored = iter(
        policy.score(
            [
                (request.prompt_ids, sample.response_ids)
                for samples in by_rank
                for request, sample in zip(requests, samples, strict=True)
            ]
        )
    )
    means, largest = [], []
    for samples in by_rank:
        gaps = np.concatenate([np.abs(np.asarray(sample.logprobs) - next(scored)) for sample in samples])
        means.append(float(gaps.mean()))
        largest.append(float(gaps.max()))
    mean, maximum = float(np.max(means)), float(np.max(largest))
    if not math.isfinite(mean) or mean > limit:
        rank = f" on rank {int(np.argmax(means))}" if processes.size > 1 else ""
        raise TrainingError(
            f"sampler and trainer disagree{rank} by {mean:.2g} nats a token (largest {maximum:.2g}), over "
            f"correction.max_gap = {limit:g}: the sampler has stale weights or a stale prefix cache, another model or "
            "another type than the trainer; raise correction.max_gap only if the types explain it"
        )
    return {"sync/gap_mean": mean, "sync/gap_max": maximum}
