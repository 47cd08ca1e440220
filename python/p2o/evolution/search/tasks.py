"""What the tasks of a round are made of: minibatches and examples."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from p2o.evolution.propose.prompt import ReflectionExample
from p2o.evolution.types import EvaluationResult
from p2o.templates import problem_text
from p2o.types import Problem


class Minibatches:
    """Feedback problems in shuffled order, pass after pass; nothing repeats within a pass.

    The problems at the end of a pass that do not fill a minibatch wait for a later pass, each shuffled anew.
    """

    def __init__(self, problems: Sequence[Problem], size: int, seed: int) -> None:
        self._problems = list(problems)
        self.size = min(size, len(self._problems))
        self._seed = seed
        self._pass = 0
        self._order: list[Problem] = []

    def next(self) -> list[Problem]:
        """The next minibatch."""
        if len(self._order) < self.size:
            self._order = list(self._problems)
            Random(f"{self._seed}/minibatches/{self._pass}").shuffle(self._order)
            self._pass += 1
        batch, self._order = self._order[: self.size], self._order[self.size :]
        return batch


def make_example(
    problem: Problem, results: Sequence[EvaluationResult], success: float = 1.0
) -> ReflectionExample:
    """The rollout of a problem worth showing: the first of those with the lowest reward."""
    shown = min(results, key=lambda result: result.reward)
    return ReflectionExample(
        problem_text(problem),
        shown.text,
        shown.reward,
        problem.gold,
        shown.finish_reason,
        shown.feedback,
        success,
    )
