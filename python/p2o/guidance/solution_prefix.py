"""Guidance `solution_prefix`: the beginning of a problem's reference solution stands before it.

As in QuestA (arXiv 2507.13266), less of it from step to step, and as in POPE (arXiv 2601.18779), beside plain rollouts
of the same problem (`assign.plain_rollouts`). Theirs stays in the prompt of the update (`context.distillation =
"none"`).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping

from p2o.evolution.propose.prompt import fill
from p2o.evolution.propose.refuse import leaks
from p2o.guidance.for_each import ForEachProblem, Made
from p2o.guidance.guidance import Found
from p2o.outcomes.hardness import HardKind
from p2o.state import LoopState
from p2o.types import Problem

PROMPT = "A solution of the problem below begins like this:\n\n{prefix}"
"""What stands before the problem, without a wording of one's own."""


class SolutionPrefix(ForEachProblem):
    """Generates nothing."""

    def find(self, state: LoopState, hard: Mapping[str, HardKind]) -> Found:
        """See [`Guidance`][p2o.guidance.guidance.Guidance]."""
        shares = self.config.guidance.prefix_shares
        steps = sum("prompt_step" in record for record in state.history)
        share = shares[min(steps, len(shares) - 1)]
        wording = self.config.guidance.prompt or PROMPT
        made = []
        for problem_id in hard:
            problem = self.problems[problem_id]
            prefix = prefix_of(problem, share)
            made.append(Made(problem, fill(wording, {"prefix": prefix}) if prefix else ""))
        return self.hand_out(state, made, tokens=0)


def prefix_of(problem: Problem, share: float) -> str:
    """The first words of a problem's solution, at least one and never all; fewer where they would tell the gold answer,
    and none where the first word does."""
    ends = word_ends(problem.solution)
    most = min(max(1, round(share * len(ends))), len(ends) - 1)
    # Longer beginnings of one that tells the gold tell it too.
    count = bisect(
        range(1, most + 1), False, key=lambda words: leaks(problem.solution[: ends[words - 1]], problem.gold)
    )
    return problem.solution[: ends[count - 1]].strip() if count else ""


def word_ends(text: str) -> list[int]:
    """Where the words of a text end."""
    return [
        place + 1
        for place, character in enumerate(text)
        if not character.isspace() and (place + 1 == len(text) or text[place + 1].isspace())
    ]
