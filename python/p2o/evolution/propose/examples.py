"""Proposals without a reflection model: worked examples, the policy's own verified solutions of other problems."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.evolution.propose.reflection import Reflection
from p2o.outcomes.outcomes import is_success
from p2o.outcomes.solutions import Solution

NO_SOLUTION = "no solution to quote"


class Examples(Proposer):
    """Quotes `evolve.examples` solutions, in turn the nearest neighbours of a problem that the parent failed and a
    seeded draw. None is of a dev problem or of the task's minibatch: a template is not rolled out on a problem that it
    gives away (`gives_away`)."""

    quotes = True

    def __init__(self, inputs: StepInputs) -> None:
        super().__init__(inputs)
        self._made = 0

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One template of worked examples per task."""
        return [self._proposal(task) for task in tasks]

    def _proposal(self, task: Task) -> Proposal:
        self._made += 1
        away = {problem.id for problem in (*self.inputs.dev, *task.minibatch)}
        solutions = [one for one in self.inputs.solutions or () if one.problem_id not in away]
        Random(f"{self.inputs.seed}/examples/{self._made}").shuffle(solutions)
        if self._made % 2:
            failed = [one for one in task.examples if not is_success(one.reward, one.success)]
            solutions = nearest_first(failed[0].problem_text, solutions)
        text = worked_examples(
            solutions, self.inputs.config.examples, self.inputs.reflection.max_template_chars
        )
        if not text:
            return Proposal(None, refusal=NO_SOLUTION, attempted=False)
        return Proposal(text, "examples")


class ReflectionAndExamples(Reflection):
    """Every second proposal is of worked examples; the others are the reflection model's."""

    quotes = True
    without_reflection = "examples"

    def __init__(self, inputs: StepInputs) -> None:
        super().__init__(inputs)
        self._examples = Examples(inputs)
        self._asked = 0

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task, all questions to the reflection model in one batch."""
        first = self._asked % 2
        self._asked += len(tasks)
        proposals: list[Proposal] = [Proposal(None)] * len(tasks)
        proposals[first::2] = super().propose(tasks[first::2])
        proposals[1 - first :: 2] = self._examples.propose(tasks[1 - first :: 2])
        return proposals


def worked_examples(solutions: Iterable[Solution], count: int, max_chars: int) -> str:
    """The text of the first `count` solutions that fit into `max_chars`, the first one last: next to the problem, which
    stands as one more question after it. Empty if none fits."""
    blocks: list[str] = []
    left = max_chars - len("Question:")
    for solution in solutions:
        block = f"Question:\n\n{solution.question.strip()}\n\nAnswer:\n\n{solution.response}\n\n"
        if len(block) <= left:
            blocks.append(block)
            left -= len(block)
        if len(blocks) == count:
            break
    return "".join(reversed(blocks)) + "Question:" if blocks else ""


def nearest_first(question: str, solutions: Sequence[Solution]) -> list[Solution]:
    """The solutions by how alike their questions are to `question`: the cosine of TF-IDF vectors of words, numbers and
    signs. Equally near ones keep their order."""
    documents = [_terms(solution.question) for solution in solutions]
    holding = Counter(term for document in documents for term in document)

    def vector(terms: Counter[str]) -> dict[str, float]:
        weights = {
            term: count * math.log((1 + len(documents)) / (1 + holding[term]))
            for term, count in terms.items()
        }
        length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {term: weight / length for term, weight in weights.items()}

    wanted = vector(_terms(question))
    found = [vector(document) for document in documents]
    near = [sum(weight * wanted.get(term, 0.0) for term, weight in one.items()) for one in found]
    return [solutions[place] for place in sorted(range(len(solutions)), key=lambda place: -near[place])]


def _terms(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+|[^\W\d]+|[^\w\s]", text.casefold()))
