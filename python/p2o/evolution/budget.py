"""The budget of the prompt step: levels by name, and the ledger that never overshoots."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from p2o.errors import ConfigError
from p2o.evolution.config import EvolveConfig, Level, ReflectionConfig

LEVEL_CANDIDATES: dict[Level, int] = {
    "light": 6,
    "medium": 12,
    "heavy": 18,
    "heavy_2": 36,
    "heavy_3": 54,
    "heavy_4": 72,
    "heavy_16": 288,
}
"""Candidates each level plans for."""


def rollouts_of(budget: Level | int, dev_size: int) -> int:
    """Rollouts of a budget.

    A level of c candidates on V dev problems is V + 5c + 35N + ((N+1)//5 + 1 + [N < 5]) V rollouts with
    N = int(max(4 log2 c, 1.5 c)): the formula of DSPy's MIPROv2, which the paper takes over.
    """
    if isinstance(budget, int):
        return budget
    candidates = LEVEL_CANDIDATES[budget]
    trials = int(max(4 * log2(candidates), 1.5 * candidates))
    evaluations = (trials + 1) // 5 + 1 + (trials < 5)
    return dev_size + 5 * candidates + 35 * trials + evaluations * dev_size


@dataclass
class Ledger:
    """What the prompt step may spend and has spent. Amounts are reserved before a request is dispatched."""

    rollout_limit: int
    rollouts: int = 0
    rollout_tokens: int = 0
    reflection_calls: int = 0
    reflection_tokens: int = 0
    reflection_cost: float = 0.0

    def affordable_rollouts(self, config: EvolveConfig) -> int:
        """Rollouts that fit into what is left, by number and by reserved tokens."""
        left = self.rollout_limit - self.rollouts
        if config.max_rollout_tokens is not None and config.tokens_per_rollout is not None:
            tokens = config.max_rollout_tokens - self.rollout_tokens
            left = min(left, tokens // config.tokens_per_rollout)
        return max(left, 0)

    def affordable_reflections(self, config: ReflectionConfig) -> int | None:
        """Reflection calls that fit into what is left; None without a limit."""
        limits: list[int] = []
        if config.max_calls is not None:
            limits.append(config.max_calls - self.reflection_calls)
        if config.max_total_tokens is not None:
            limits.append((config.max_total_tokens - self.reflection_tokens) // config.max_tokens)
        if config.max_cost is not None:
            left = config.max_cost - self.reflection_cost
            if config.cost_per_call > 0:
                limits.append(int(left / config.cost_per_call))
            elif left <= 0:
                limits.append(0)
        return max(min(limits), 0) if limits else None

    def reserve_rollouts(self, count: int, config: EvolveConfig) -> None:
        """Takes rollouts out of the budget before they are dispatched.

        Raises:
            ConfigError: if they do not fit.
        """
        left = self.affordable_rollouts(config)
        if count > left:
            raise ConfigError(f"evolve.budget: {count} rollouts do not fit into the {left} that are left")
        self.rollouts += count
