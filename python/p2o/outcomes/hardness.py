"""Mining of hard problems: which problems the policy cannot solve yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Literal

from p2o.outcomes.config import MiningConfig
from p2o.outcomes.outcomes import Outcomes

HardKind = Literal["very_hard", "near_hard"]
"""`very_hard`: no success. `near_hard`: exactly one in at least two rollouts."""


def hard_problems(outcomes: Outcomes, config: MiningConfig) -> dict[str, HardKind]:
    """The problems that are hard by all rollouts of their latest training group (the paper), sorted by id."""
    found: dict[str, HardKind] = {}
    for problem_id, (successes, trials, _) in sorted(outcomes.latest_training().items()):
        if successes == 0:
            found[problem_id] = "very_hard"
        elif config.near_hard and successes == 1 and trials >= 2:
            found[problem_id] = "near_hard"
    return found


def likely_hard(
    problem_ids: Iterable[str], outcomes: Outcomes, hard: Mapping[str, HardKind], seed: int
) -> list[str]:
    """The problems to be guided: those that are hard, and of those that no training group has tried yet as large a
    share, drawn, as is hard of the others."""
    tried = outcomes.latest_training()
    share = len(hard) / len(tried) if tried else 0.0
    return [
        problem_id
        for problem_id in problem_ids
        if problem_id in hard
        or (problem_id not in tried and Random(f"{seed}/likely hard/{problem_id}").random() < share)
    ]
