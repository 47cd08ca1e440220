"""Proposals that join two templates which solve different problems."""

from __future__ import annotations

from collections.abc import Iterable

from p2o.errors import ConfigError
from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.prompt import ReflectionPrompt, load_prompt, render_template
from p2o.evolution.propose.proposer import Task
from p2o.evolution.propose.reflection import Question, Reflection
from p2o.evolution.result import Candidate

CROSSOVER_PROMPT = "crossover"
"""The shipped prompt that joins two templates; it has `{other}` for the second."""


SHARE = 0.5
"""The share of the tasks that ask for a crossover."""


class ReflectionAndCrossover(Reflection):
    """Asks for a crossover on half of the tasks, where a partner is of use, else as `Reflection`. The plain prompt is
    no parent of a crossover."""

    def __init__(self, inputs: StepInputs) -> None:
        super().__init__(inputs)
        self._joining = load_prompt(CROSSOVER_PROMPT)

    @classmethod
    def check(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> None:
        """Refuses a search without templates to join."""
        if evolve.search == "random":
            raise ConfigError(
                'evolve.proposer = "reflection+crossover" joins templates that were accepted, and evolve.search = '
                '"random" asks about the plain prompt alone: write evolve.proposer = "reflection"'
            )

    @classmethod
    def prompts(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> dict[str, ReflectionPrompt]:
        """Both prompts."""
        return {
            **super().prompts(evolve, reflection),
            "the prompt of crossovers": load_prompt(CROSSOVER_PROMPT),
        }

    def question(self, task: Task) -> Question:
        """A better template, or the parent joined with its partner."""
        partner = None
        if task.chance < SHARE and task.parent.made_by != "plain":
            partner = complementary(task.parent, task.front)
        if partner is None:
            return super().question(task)
        other = render_template(self._joining, partner.template)
        return Question(self._joining, "crossover", (task.parent.id, partner.id), {"other": other})


def complementary(parent: Candidate, others: Iterable[Candidate]) -> Candidate | None:
    """The candidate that adds most to a parent: the sum of what its dev scores exceed the parent's by."""

    def gain(other: Candidate) -> float:
        total = 0.0
        for problem, (won, tried) in other.scores.items():
            mine, trials = parent.scores.get(problem, (0.0, 0))
            total += max(0.0, won / max(tried, 1) - mine / max(trials, 1))
        return total

    partners = [other for other in others if other.id != parent.id and other.made_by != "plain"]
    best = max(partners, key=gain, default=None)
    return best if best is not None and gain(best) > 0 else None
