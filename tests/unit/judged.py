"""Rewards of completions that have all ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from contextlib import closing

from p2o.rollout.judging import Judging
from p2o.rollout.reward import RewardFunction
from p2o.types import Problem, Rollout


def rewards_of(
    reward: RewardFunction, rollouts: Sequence[Rollout], problems: Sequence[Problem]
) -> list[float]:
    with closing(reward.begin(apart=False)) as judging:
        for number, (rollout, problem) in enumerate(zip(rollouts, problems, strict=True)):
            judging.add(number, rollout, problem)
        return judging.rewards()


class TenthReward(RewardFunction):
    """A tenth of the digit that was answered, when all have ended."""

    code = None

    def begin(self, *, apart: bool) -> Judging:
        return Tenths()

    def judges_beside(self, *, apart: bool) -> bool:
        return False

    def take_counts(self) -> Counter[str]:
        return Counter()

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        return {}


class Tenths(Judging):
    def __init__(self) -> None:
        self.ended: dict[int, str] = {}

    def add(self, number: int, rollout: Rollout, problem: Problem) -> None:
        self.ended[number] = rollout.text

    def turn(self) -> None:
        pass

    def news(self) -> list[tuple[int, float]]:
        return []

    def finish(self) -> None:
        pass

    def rewards(self, kept: Container[int] | None = None) -> list[float]:
        numbers = [number for number in sorted(self.ended) if kept is None or number in kept]
        return [int(self.ended[number]) / 10 for number in numbers]  # an empty text would raise
