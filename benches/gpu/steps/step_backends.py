"""The same updates by each backend: how far weights and losses are apart, seconds, and memory beside the estimate."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
from lane_case import Lane, Values, free_memory, model_folder, peak_memory, require, synchronize

UPDATES = 3
LEARNING_RATE = 1e-4
"""Large enough that an update of bfloat16 weights shows."""

LORA = {"rank": 16}

BACKENDS: dict[str, dict[str, Any]] = {
    "torch": {"backend": "torch"},
    "ZeRO-1": {"backend": "deepspeed", "zero_stage": 1},
    "ZeRO-2": {"backend": "deepspeed", "zero_stage": 2},
    "ZeRO-3": {"backend": "deepspeed", "zero_stage": 3},
    "ZeRO-2, optimizer offloaded": {"backend": "deepspeed", "zero_stage": 2, "offload": "optimizer"},
    "ZeRO-3, all offloaded": {"backend": "deepspeed", "zero_stage": 3, "offload": "all"},
    "torch, checkpointing": {"backend": "torch", "gradient_checkpointing": True},
    "torch, LoRA": {"backend": "torch", "lora": LORA},
    "ZeRO-2, LoRA": {"backend": "deepspeed", "zero_stage": 2, "lora": LORA},
    "ZeRO-3, LoRA": {"backend": "deepspeed", "zero_stage": 3, "lora": LORA},
}


class Updates:
    """The rows of the updates, and what the backend `torch` makes of them."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.rows, self.longest = (12, 24) if lane.rehearse else (96, 128)
        self.micro_batch_tokens = 256 if lane.rehearse else 8192

    def settings(self, name: str) -> dict[str, Any]:
        """`optimizer.*` of a backend."""
        return {
            "learning_rate": LEARNING_RATE,
            "micro_batch_tokens": self.micro_batch_tokens,
            **BACKENDS[name],
        }

    def policy(self, name: str) -> Any:
        """A policy of the start weights; ZeRO-3 loads them in partitions."""
        import torch

        from p2o.distributed import Processes
        from p2o.model.load import load_model
        from p2o.policy.backends import backend_class, make_policy
        from p2o.policy.config import LossConfig
        from p2o.policy.optimizer_config import OptimizerConfig

        torch.manual_seed(0)  # of LoRA's first factors
        config, processes = OptimizerConfig(**self.settings(name)), Processes()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        with backend_class(config, processes.size).loading(config, "bfloat16", processes):
            model, _ = load_model(model_folder(self.lane), dtype="bfloat16", device=device)
        return make_policy(
            model, config, LossConfig(), pad_id=0, temperature=1.0, planned_steps=UPDATES, processes=processes
        )

    @cache  # noqa: B019  # one object a process
    def scored(self) -> list[tuple[Any, Any]]:
        """Rows of each update: random tokens, advantages of both signs, old log-probs a little off the policy's."""
        from p2o.packing import Rows
        from p2o.policy.streams import GlobalCounts

        policy = self.policy("torch")
        vocabulary = policy.model.config.vocab_size
        updates = []
        for update in range(UPDATES):
            random = np.random.default_rng(update)
            pairs = [
                (
                    random.integers(3, vocabulary, random.integers(20, 60)).tolist(),
                    random.integers(3, vocabulary, random.integers(8, self.longest)).tolist(),
                )
                for _ in range(self.rows)
            ]
            old = np.concatenate(policy.score(pairs))
            ones = np.ones_like(old)
            rows = Rows.of(
                *zip(*pairs, strict=True),
                advantages=random.normal(size=len(pairs)),
                streams={
                    "old_logp": old + random.normal(0, 0.05, len(old)),
                    "context_weight": ones,
                    "engine_weight": ones,
                },
            )
            counts = GlobalCounts(float(len(old)), float(len(pairs)), max_tokens=self.longest)
            updates.append((rows, counts))
        return updates

    @cache  # noqa: B019
    def start(self) -> dict[str, Any]:
        """The weights before the first update."""
        return whole(self.policy("torch"))

    @cache  # noqa: B019
    def reference(self, name: str) -> tuple[dict[str, Any], list[float]]:
        """Weights and losses of the backend `torch`: `name` is `torch` or `torch, LoRA`."""
        policy = self.policy(name)
        losses = [policy.update(*batch)["policy_loss"] for batch in self.scored()]
        return whole(policy), losses


def whole(policy: Any) -> dict[str, Any]:
    """All weights, in float32 on the host."""
    return {name: w.detach().float().cpu().clone() for group in policy.weights() for name, w in group}


def estimate(updates: Updates, name: str, model: Any) -> Values:
    """What `p2o train --check` says that such a run takes."""
    import torch

    from p2o.config import build_config
    from p2o.memory import run_memory

    cuda = torch.cuda.is_available()
    config = build_config(
        {
            "model": {"source": "p2o-tiny", "dtype": "bfloat16"},
            "data": {"kind": "tiny"},
            "run": {"method": "grpo"},
            "rollout": {"max_prompt_tokens": 60, "max_tokens": updates.longest},
            "optimizer": updates.settings(name),
        }
    )
    memory = run_memory(config, model, ranks=1, gpu=cuda)
    place = "GPU" if cuda else "host"
    # The copy of the weights that `hf` would sample from under ZeRO-3 is not made here.
    apart = sum(item.size for item in memory.items if "to sample with" in item.name)
    return {"estimate GiB": (memory.total(place) - apart) / 2**30}  # type: ignore[arg-type]


def measure(updates: Updates, name: str) -> Values:
    """Three updates by one backend, beside those of `torch`."""
    import torch

    require(*(["deepspeed"] if "ZeRO" in name else []), *(["peft"] if "LoRA" in name else []))
    expected, expected_losses = updates.reference("torch, LoRA" if "LoRA" in name else "torch")
    start = updates.start()
    free_memory()
    held = torch.cuda.memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    outline = outlined(updates.lane)
    policy = updates.policy(name)
    losses, seconds = [], []
    for rows, counts in updates.scored():
        synchronize()
        started = time.perf_counter()
        losses.append(policy.update(rows, counts)["policy_loss"])
        synchronize()
        seconds.append(time.perf_counter() - started)
    peak = peak_memory()
    if peak:
        peak["peak GiB"] -= held  # what the process already held
    weights = whole(policy)
    if weights.keys() != expected.keys():
        raise RuntimeError(f"other weights: {sorted(weights.keys() ^ expected.keys())[:4]}")
    return {
        "update s": min(seconds[1:] or seconds),
        **peak,
        **estimate(updates, name, outline),
        "loss diff": max(abs(a - b) for a, b in zip(losses, expected_losses, strict=True)),
        "weights max diff": largest(weights, expected),
        "mean diff": mean(weights, expected),
        "moved": mean(expected, start),
        "relative": mean(weights, expected) / (mean(expected, start) or 1.0),
    }


def outlined(lane: Lane) -> Any:
    """The shapes of the model."""
    from p2o.model.load import load_outline

    return load_outline(model_folder(lane), dtype="bfloat16")


def largest(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two models' weights."""
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def mean(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The mean difference of two models' weights."""
    total = sum(float((one[name] - other[name]).abs().double().sum()) for name in one)
    return total / sum(w.numel() for w in one.values())


def main() -> None:
    lane = Lane()
    updates = Updates(lane)
    names = list(BACKENDS)
    if lane.rehearse:
        names = ["torch", "ZeRO-1", "ZeRO-2", "ZeRO-3", "ZeRO-2, optimizer offloaded", "ZeRO-2, LoRA"]
    for name in names:
        lane.case(name, lambda name=name: measure(updates, name), 90)  # type: ignore[misc]


if __name__ == "__main__":
    main()
