"""A proposer: tasks in, proposals out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.prompt import ReflectionExample
from p2o.evolution.result import Candidate
from p2o.types import Problem


@dataclass(frozen=True, slots=True)
class Task:
    """A parent (and a partner to cross it with) on a minibatch, with the examples its rollouts give."""

    parent: Candidate
    partner: Candidate | None
    minibatch: list[Problem]
    examples: list[ReflectionExample]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A text that may become a template, or, with `text` None, why there is none.

    A text with a `refusal` is recorded and not tried out.
    """

    text: str | None
    made_by: str = "mutation"
    parents: tuple[int, ...] = ()
    """Ids of the candidates it was made of."""

    refusal: str | None = None
    cost: float = 0.0
    """What it cost; the ledger has it already."""


class Proposer(ABC):
    """Makes one proposal of each task of a round, which are then tried out on the task's minibatch.

    What may not become a template is for the proposer to say: a reflection model could tell the answers that it was
    shown, a proposer that quotes worked examples means to.
    """

    reflects: ClassVar[bool] = False
    """Whether it asks the reflection model. Under `reflection.kind = "none"` there are then no proposals."""

    def __init__(self, inputs: StepInputs) -> None:
        self.inputs = inputs

    @abstractmethod
    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task, in order. The same tasks must give the same proposals: a step is resumed by running
        it again.

        Raises:
            ReflectionError: if the reflection model cannot be used any longer. Ends the step.
        """
