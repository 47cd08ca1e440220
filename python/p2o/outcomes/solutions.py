"""Verified solutions: responses that earned the reward, of which worked examples are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

from p2o.errors import InputError
from p2o.outcomes.outcomes import is_success
from p2o.templates import problem_text
from p2o.types import Group, Problem

MOST = 512
"""Problems of which a solution is kept, the latest ones: they are in every checkpoint."""

MAX_CHARS = 2500
"""Longest solution kept: two of them fit into a template of usual length (`reflection.max_template_chars`)."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A question and a response that solved it."""

    problem_id: str
    question: str
    response: str


class Solutions:
    """The latest verified solution of each problem, those of the problems solved last."""

    def __init__(self, solutions: Iterable[Solution] = ()) -> None:
        self._found = {solution.problem_id: solution for solution in solutions}

    def __iter__(self) -> Iterator[Solution]:
        """The one that was found longest ago first."""
        return iter(self._found.values())

    def add(self, problem: Problem, response: str) -> None:
        """Keeps a response that solved a problem, without what was thought before it; not one over `MAX_CHARS`."""
        response = response.rpartition("</think>")[2].strip()
        if not 0 < len(response) <= MAX_CHARS:
            return
        self._found.pop(problem.id, None)
        self._found[problem.id] = Solution(problem.id, problem_text(problem), response)
        if len(self._found) > MOST:
            del self._found[next(iter(self._found))]

    def observe(self, group: Group, success: float) -> None:
        """Takes in a training group, plain rollouts and templated ones: of those that succeeded and ended by themselves
        the longest that is kept. It shows most of how the answer comes about, where a short one may be a guess."""
        solved = [r for r in group.rollouts if r.finish_reason == "stop" and is_success(r.reward, success)]
        for rollout in sorted(solved, key=lambda rollout: len(rollout.text)):
            self.add(group.problem, rollout.text)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form."""
        return {"schema": 1, "solutions": [asdict(solution) for solution in self]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Reads what `to_dict` wrote.

        Raises:
            InputError: if the schema is another one.
        """
        if data.get("schema") != 1:
            raise InputError(
                f"solutions of schema {data.get('schema')!r} cannot be read; this version reads 1"
            )
        return cls(Solution(**solution) for solution in data["solutions"])
