"""The gap probe: does the sampler draw from what the trainer scores?

A sampler with stale weights, a stale prefix cache or another prompt than the trainer's raises no error; training
merely gets worse. Nor does a model whose cached decoding is not what it computes in one pass. The log-probs of a few
completions, scored by the trainer, tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ModelError, P2oError, TrainingError, in_one_line
from p2o.policy.rows import Score, Sequences
from p2o.rollout.sampler import Sample, Sampler, SampleRequest, SamplingParams, checked_samples
from p2o.seeds import derive_seed

PROBE_TOKENS = 16
"""Longest completion of the probe."""

MAX_GAP = {"float32": 1e-3, "tfloat32": 0.02, "float16": 0.02, "bfloat16": 0.1}
"""Default of `correction.max_gap` by the type that the sampler computes in.

Measured on SmolLM2-135M, 8 prompts: in float32 a right sync differs by 8e-6 on average, and after one update at a
learning rate of 1e-5 a tied head left stale by 2e-3, a stale prefix cache by 0.015, stale weights by 0.04. In bfloat16
a right sync differs by 0.03 to 0.04, and after an update at 1e-4 stale weights by 0.14: the limit finds wrong weights,
not one small update left out. float16 has three more bits than bfloat16, an eighth of its rounding. The sampler `hf`
differs from a full forward pass by 0.046 in bfloat16. vLLM's attention multiplies float32 on a GPU in TF32, which has
float16's precision: a small random Llama differed by 0.003 on an H200.
"""


def vllm_computes_in(dtype: str, *, gpu: bool) -> str:
    """The key of `MAX_GAP` for vLLM with weights of this type."""
    return "tfloat32" if gpu and dtype == "float32" else dtype


def default_max_gap(*dtypes: str) -> float:
    """The limit for a sampler and a trainer of these types: that of the coarser one."""
    return max(MAX_GAP[dtype] for dtype in dtypes)


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def full_forward(model: Any, temperature: float, sequences: Sequences) -> list[NDArray[np.float32]]:
    """Scores by the model's own logits, in one pass a sequence without a cache: where there is no trainer."""
    scored = []
    for prompt, response in sequences:
        ids = torch.tensor([[*prompt, *response]], device=model.device)
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        logits = output.logits[0, len(prompt) - 1 : -1]
        logprobs = (logits.float() / temperature).log_softmax(-1)
        scored.append(logprobs.gather(1, ids[0, len(prompt) :, None])[:, 0].cpu().numpy())
    return scored


def check_gap(
    sampler: Sampler,
    score: Score,
    prompts: Sequence[Sequence[int]],
    params: SamplingParams,
    limit: float,
    processes: Processes = ONE_PROCESS,
) -> dict[str, float]:
    """Draws a completion for each prompt and compares its log-probs with the trainer's.

    The same prompts and seeds every time. Prompts longer than a block of the KV cache (32 tokens on a CPU, 16 on a
    GPU) can show a stale prefix cache. With several ranks each probes its own engine, and the worst one counts.

    Args:
        sampler: after `sync`.
        score: what log-probs are right, at the sampling temperature.
        prompts: token ids, at least one prompt.
        params: as in training; top-p and top-k are left out, since the trainer scores the whole distribution.
        limit: largest mean difference, in nats.
        processes: the processes of the run.

    Returns:
        `sync/gap_mean` and `sync/gap_max`: mean (of the worst rank) and maximum of |sampler - trainer|, in nats.

    Raises:
        TrainingError: if the mean is over `limit` or not finite.
        InputError: if the sampler returns something else than samples of the prompts.
        ModelError: if a sampler that runs the trainer's model cannot.
    """
    probe = replace(params, max_tokens=min(params.max_tokens, PROBE_TOKENS), top_p=1.0, top_k=0)
    # `hf` makes the rows of a group from the cache of one prompt: that is to be tried as well.
    copies = 2 if sampler.shares_weights else 1
    requests = [
        SampleRequest(tuple(prompt), derive_seed("probe", index))
        for index, prompt in enumerate([*prompts] * copies)
    ]
    drawn: list[Sample] = []
    failed: P2oError | None = None
    try:
        drawn = checked_samples(sampler.sample(requests, probe), len(requests))
    except P2oError as error:
        failed = error  # of one rank's requests to a server, say: the others are told below
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a model that was not made for it can raise anything
        if not sampler.shares_weights:
            raise
        reason = in_one_line(error)
        raise ModelError(
            f'this model cannot be sampled by transformers here ({reason}): set rollout.sampler = "vllm"'
        ) from error
    outcomes = processes.gather((drawn, failed))
    for _, failure in outcomes:
        if failure is not None:
            raise failure
    by_rank = [samples for samples, _ in outcomes]
    scored = iter(
        score(
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
        why = (
            "decoding token by token does not give what the model computes in one pass; set rollout.decoding = "
            '"growing" where it is another, else rollout.sampler = "vllm"'
            if sampler.shares_weights
            else "the sampler has stale weights or a stale prefix cache, another model or another type than the trainer"
        )
        raise TrainingError(
            f"sampler and trainer disagree{rank} by {mean:.2g} nats a token (largest {maximum:.2g}), over "
            f"correction.max_gap = {limit:g}: {why}; raise correction.max_gap only if the types explain it"
        )
    return {"sync/gap_mean": mean, "sync/gap_max": maximum}
