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


def learning_rate(
    config: OptimizerConfig, step: int, planned_steps: int, planned_before: int | None = None
) -> float:
    """The learning rate of optimizer step `step` (from 0): a linear warm-up, then the schedule.

    Args:
        config: the peak, the warm-up and the schedule.
        step: how many were made before it.
        planned_steps: the steps at whose end the schedule is at its own.
        planned_before: how many of those are over, which may be more or fewer than were made; unset, `step`.
    """
    warmup = config.warmup_steps
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    over = step if planned_before is None else planned_before
    done = (over - warmup) / max(1, planned_steps - warmup)
    return config.learning_rate * SCHEDULES[config.schedule](min(max(0.0, done), 1.0))
