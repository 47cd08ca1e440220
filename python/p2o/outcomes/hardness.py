"""Hard-sample mining: which problems the policy cannot solve yet."""

from __future__ import annotations

from typing import Literal

from p2o.outcomes.config import MiningConfig
from p2o.outcomes.outcomes import Outcomes

HardKind = Literal["very_hard", "near_hard"]
"""`very_hard`: no success. `near_hard`: exactly one in at least two rollouts."""


def hard_problems(outcomes: Outcomes, policy_version: str, config: MiningConfig) -> dict[str, HardKind]:
    """The problems that are hard by all rollouts of a version's training groups (the paper), sorted by id."""
    found: dict[str, HardKind] = {}
    for problem_id, (successes, trials, _) in sorted(outcomes.training(policy_version).items()):
        if successes == 0:
            found[problem_id] = "very_hard"
        elif config.near_hard and successes == 1 and trials >= 2:
            found[problem_id] = "near_hard"
    return found
