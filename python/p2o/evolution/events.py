"""What happens in a prompt step, for callbacks. Texts travel in the events, never in metric names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2o.evolution.result import Candidate


@dataclass(frozen=True, slots=True)
class Started:
    """The problems are split; nothing is evaluated yet."""

    dev_ids: tuple[str, ...]
    feedback_ids: tuple[str, ...]
    rollout_limit: int


@dataclass(frozen=True, slots=True)
class RolloutsDone:
    """A batch of rollouts came back: how many were new, and how many are spent in all."""

    count: int
    spent: int


@dataclass(frozen=True, slots=True)
class Decided:
    """A candidate was accepted or refused."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """A round of proposals ended; `metrics` has the keys of `Evolution.metrics`."""

    round: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The step ended."""

    reason: str


Event = Started | RolloutsDone | Decided | RoundEnded | Stopped
Callback = Callable[[Event], None]
"""Called in the order given, in the thread of the step. What it raises ends the step."""
