"""Seconds of a scoring pass and of an update of 2,048 rows, by the tokens of a micro-batch.

Then the head alone, output matrix and log-probs, beside Liger's fused loss.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from lane_case import Absent, Lane, Values, free_memory, model_folder, peak_memory, require, synchronize
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


Head = Callable[[Any, Any], Any]
"""Hidden states [N, D] and targets [N] to a loss: the sum of the negative log-probs."""


def heads(lane: Lane, model: Any) -> dict[str, Callable[[], Head]]:
    """Ways to the same loss, by name; what they need is looked for when they are run."""
    from p2o.policy.logprobs import CHUNK_TOKENS, output_head, token_logprobs

    def ours(keep: bool) -> Head:
        head = output_head(model)
        return lambda hidden, targets: (
            -token_logprobs(
                hidden, targets, head, chunks=max(1, len(targets) // CHUNK_TOKENS), keep=keep
            ).sum()
        )

    def liger() -> Head:
        require("liger_kernel")
        if lane.rehearse:
            raise Absent("liger_kernel has no kernels for a CPU")
        from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

        weight = model.get_output_embeddings().weight
        return lambda hidden, targets: liger_fused_linear_cross_entropy(
            hidden, weight, targets, reduction="sum"
        )

    return {
        "head: p2o, logits kept": lambda: ours(True),
        "head: p2o, logits computed again": lambda: ours(False),
        "head: Liger's fused linear cross entropy": liger,
    }


def measure_head(lane: Lane, name: str) -> Values:
    """Forward and backward pass of the output matrix and the log-probs, from random hidden states."""
    import torch

    model, _ = loaded(model_folder(lane))
    matrix = model.get_output_embeddings().weight
    head = heads(lane, model)[name]()
    free_memory()
    torch.manual_seed(0)
    tokens = 256 if lane.rehearse else 16384
    hidden = torch.randn(tokens, matrix.shape[1], dtype=matrix.dtype, device=matrix.device).requires_grad_()
    targets = torch.randint(len(matrix), (tokens,), device=matrix.device)

    def call() -> float:
        hidden.grad = matrix.grad = None
        loss = head(hidden, targets)
        loss.backward()
        return float(loss.detach())

    took, loss = seconds(call)
    gradients = {"hidden": float(hidden.grad.float().norm()), "matrix": float(matrix.grad.float().norm())}
    matrix.grad = None
    return {
        "tokens": tokens,
        "head s": took,
        "loss a token": loss / tokens,
        **{f"gradient of {of}": norm for of, norm in gradients.items()},
        **peak_memory(),
    }


def main() -> None:
    lane = Lane()
    for tokens in (128, 256) if lane.rehearse else (16384, 32768, 65536):
        lane.case(f"micro-batches of {tokens:,} tokens", lambda t=tokens: measure(lane, t), 60)  # type: ignore[misc]
    for name in heads(lane, None):
        lane.case(name, lambda n=name: measure_head(lane, n), 30)  # type: ignore[misc]


if __name__ == "__main__":
    main()
