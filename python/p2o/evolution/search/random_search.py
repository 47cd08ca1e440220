"""The prompt step without evolution: what is proposed or given is used as it comes."""

from __future__ import annotations

from collections.abc import Sequence

from p2o.evolution.propose.proposer import Task
from p2o.evolution.result import Candidate
from p2o.evolution.search.step import COMPLETE, Step
from p2o.templates import PLAIN
from p2o.types import Template


class RandomSearch(Step):
    """Asks for proposals on minibatches that the plain prompt failed, and takes every one that is not refused.

    Nothing is evaluated: the only rollouts are those that the reflection model is shown. Templates of an earlier
    step play no part. Where nobody proposes in rounds, all templates given are taken.
    """

    def begin(self) -> str | None:
        """Enters the plain prompt, the parent of all proposals."""
        self.pool.add(PLAIN, (), "plain", self.round)
        for proposal in () if self.proposer.in_rounds else self.proposer.begin():
            if (candidate := self.consider(proposal, PLAIN)) is not None:
                self.pool.accept_unseen(candidate)
        return self.stop_reason()

    @property
    def may_begin(self) -> bool:
        """One round at a time, whatever `evolve.rounds_at_once`: it asks for all that is missing."""
        return not self.turns

    @property
    def wanted(self) -> int:
        """Templates still to be found."""
        return self.config.parents - len(self.pool.entries)

    def draw_tasks(self) -> list[Task]:
        """One task for each template that is missing."""
        plain = self.pool[0]
        count = min(self.wanted, self.affordable_tasks())
        return self.make_tasks([(plain, self.minibatches.next()) for _ in range(count)])

    def try_out(self, children: Sequence[tuple[Candidate, Task]]) -> None:
        """Accepts them unseen."""
        for child, _ in children:
            self.pool.accept_unseen(child)

    def affordable_tasks(self) -> int:
        """Tasks whose minibatches fit into the budget."""
        return self.rollouts.affordable // self.cost_of_task

    def stop_reason(self) -> str | None:
        """Why no further round may begin, or None."""
        return COMPLETE if self.wanted == 0 else super().stop_reason()

    def chosen(self) -> list[Template]:
        """All of them, in the order in which they were proposed."""
        return [candidate.template for candidate in self.pool.accepted]
