"""A proposer: tasks in, proposals out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.prompt import ReflectionExample, ReflectionPrompt
from p2o.evolution.result import Candidate
from p2o.types import Problem


@dataclass(frozen=True, slots=True)
class Task:
    """A parent on a minibatch, with the examples its rollouts give."""

    parent: Candidate
    minibatch: list[Problem]
    examples: list[ReflectionExample]
    front: Sequence[Candidate] = ()
    """The accepted candidates: what else a proposal could be made of."""

    chance: float = 0.0
    """The task's own draw from [0, 1): what a proposer does for a share of its tasks only, it decides by this."""


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

    attempted: bool = True
    """False where the proposer could not even try: rounds in which it never can lead nowhere, and end the step."""


class Proposer(ABC):
    """Makes one proposal of each task of a round, which are then tried out on the task's minibatch.

    What may not become a template is for the proposer to say: a reflection model could tell the answers that it was
    shown, a proposer that quotes worked examples means to. So are the settings that it cannot work with.
    """

    reflects: ClassVar[bool] = False
    """Whether it asks the reflection model. Under `reflection.kind = "none"` `without_reflection` takes its place."""

    without_reflection: ClassVar[str] = "given"
    """The proposer in its place, by its name in `PROPOSERS`."""

    quotes: ClassVar[bool] = False
    """Whether it quotes solutions: they are then gathered (`StepInputs.solutions`), and no template of the step is
    given to a problem that it gives away (`p2o.evolution.propose.refuse.gives_away`)."""

    in_rounds: ClassVar[bool] = True
    """Whether it is given tasks. Without, the step ends once what it begins with is judged."""

    def __init__(self, inputs: StepInputs) -> None:
        self.inputs = inputs

    @classmethod  # noqa: B027 (most refuse nothing)
    def check(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> None:
        """Refuses what it would otherwise refuse only in the run: called before anything is loaded.

        Raises:
            ConfigError: naming the setting and the remedy.
        """

    @classmethod
    def prompts(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> dict[str, ReflectionPrompt]:
        """What it asks the reflection model by, under what a user would call it.

        Raises:
            ConfigError: if a prompt file cannot be used.
        """
        return {}

    def begin(self) -> list[Proposal]:
        """What is proposed before the first round, of no task: the templates given. It goes to the dev set at once."""
        return [Proposal(template.text, "given") for template in self.inputs.templates]

    @abstractmethod
    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task, in order. The same tasks must give the same proposals: a step is resumed by running
        it again.

        Raises:
            ReflectionError: if the reflection model cannot be used any longer. Ends the step.
        """
