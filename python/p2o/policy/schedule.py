"""The learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Callable

from p2o.policy.optimizer_config import OptimizerConfig

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Factor of the learning rate by the share of the steps after the warm-up that is done."""


def learning_rate(config: OptimizerConfig, step: int, planned_steps: int) -> float:
    """The learning rate of optimizer step `step` (from 0) of `planned_steps`: a linear warm-up, then the schedule."""
    warmup = config.warmup_steps
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, planned_steps - warmup)
    return config.learning_rate * SCHEDULES[config.schedule](min(1.0, done))
