"""Seconds of a scoring pass and of an update of 2,048 rows, by the tokens of a micro-batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from lane_case import Lane, Values, free_memory, model_folder, peak_memory, synchronize
from step_sampling import loaded, requests

CALLS = 2
"""Timed calls, after one that warms up."""


@cache
def pairs(lane: Lane) -> list[tuple[list[int], list[int]]]:
    """Prompts of word problems, responses of random tokens."""
    model, tokenizer = loaded(model_folder(lane))
    rows, longest = (8, 12) if lane.rehearse else (2048, 128)
    random = np.random.default_rng(0)
    vocabulary = model.config.vocab_size
    return [
        (
            list(request.prompt_ids),
            random.integers(3, vocabulary, random.integers(longest // 2, longest + 1)).tolist(),
        )
        for request in requests(tokenizer, rows)
    ]


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Mean of the timed calls, and what the last returned."""
    call()
    synchronize()
    started = time.perf_counter()
    for _ in range(CALLS):
        returned = call()
        synchronize()
    return (time.perf_counter() - started) / CALLS, returned


def measure(lane: Lane, micro_batch_tokens: int) -> Values:
    """One policy, its scoring pass and its update."""
    from p2o.packing import Rows
    from p2o.policy.backends import make_policy
    from p2o.policy.config import LossConfig
    from p2o.policy.optimizer_config import OptimizerConfig
    from p2o.policy.streams import GlobalCounts

    rows = pairs(lane)
    free_memory()
    model, _ = loaded.__wrapped__(model_folder(lane))  # one of its own: a policy leaves hooks behind
    config = OptimizerConfig(learning_rate=1e-6, micro_batch_tokens=micro_batch_tokens)
    policy = make_policy(model, config, LossConfig(), pad_id=0, temperature=1.0, planned_steps=10)
    scoring, scored = seconds(lambda: policy.score(rows))
    old = np.concatenate(scored)
    ones = np.ones_like(old)
    packed = Rows.of(
        *zip(*rows, strict=True),
        advantages=np.random.default_rng(1).normal(size=len(rows)),
        streams={"old_logp": old, "context_weight": ones, "engine_weight": ones},
    )
    counts = GlobalCounts(float(len(old)), float(len(rows)), max_tokens=128)
    update, _ = seconds(lambda: policy.update(packed, counts))
    return {
        "rows": len(rows),
        "tokens": sum(len(prompt) + len(response) for prompt, response in rows),
        "scoring s": scoring,
        "update s": update,
        **peak_memory(),
    }


def main() -> None:
    lane = Lane()
    for tokens in (128, 256) if lane.rehearse else (16384, 32768, 65536):
        lane.case(f"micro-batches of {tokens:,} tokens", lambda t=tokens: measure(lane, t), 60)  # type: ignore[misc]


if __name__ == "__main__":
    main()
