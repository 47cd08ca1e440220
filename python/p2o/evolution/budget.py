"""The budget of the prompt step: levels by name, and the ledger that never overshoots."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from p2o.errors import ConfigError
from p2o.evolution.config import Level

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

    A level of c candidates on V dev problems is V + 5c + 35N + ((N+1)//5 + 1) V rollouts with
    N = int(max(4 log2 c, 1.5 c)): the formula of DSPy's MIPROv2, which the paper takes over.
    """
    if isinstance(budget, int):
        return budget
    candidates = LEVEL_CANDIDATES[budget]
    trials = int(max(4 * log2(candidates), 1.5 * candidates))
    evaluations = (trials + 1) // 5 + 1
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

    @property
    def affordable_rollouts(self) -> int:
        """Rollouts that fit into what is left."""
        return max(self.rollout_limit - self.rollouts, 0)

    def reserve_rollouts(self, count: int) -> None:
        """Takes rollouts out of the budget before they are dispatched.

        Raises:
            ConfigError: if they do not fit.
        """
        left = self.affordable_rollouts
        if count > left:
            raise ConfigError(f"evolve.budget: {count} rollouts do not fit into the {left} that are left")
        self.rollouts += count
