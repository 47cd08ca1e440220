"""Proposals of a reflection model: it is shown a template and what the policy did under it, and writes a better one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.ask import ask
from p2o.evolution.propose.extract import extract_template
from p2o.evolution.propose.prompt import ReflectionPrompt, load_prompt
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.evolution.propose.refuse import CUT_OFF, NO_TEMPLATE, PROMPT_TOO_LONG, REFUSED, refuse
from p2o.evolution.propose.shorten import ever_shorter
from p2o.evolution.types import ReflectionReply
from p2o.types import Message


@dataclass(frozen=True, slots=True)
class Question:
    """How a task is asked, and what its answer is recorded as."""

    prompt: ReflectionPrompt
    made_by: str
    parents: tuple[int, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    """Further placeholders of the prompt."""


class Reflection(Proposer):
    """Asks for a better template. One derived from it asks another `question`."""

    reflects = True

    def __init__(self, inputs: StepInputs) -> None:
        super().__init__(inputs)
        self.prompt = load_prompt(inputs.reflection.prompt)

    @classmethod
    def prompts(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> dict[str, ReflectionPrompt]:
        """That of `reflection.prompt`."""
        return {f"reflection.prompt = {reflection.prompt!r}": load_prompt(reflection.prompt)}

    def question(self, task: Task) -> Question:
        """What is asked for a task."""
        return Question(self.prompt, "mutation", (task.parent.id,))

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task, all asked in one batch."""
        questions = [self.question(task) for task in tasks]
        prompts = [self._messages(task, question) for task, question in zip(tasks, questions, strict=True)]
        replies = iter(ask(self.inputs, [messages for messages in prompts if messages is not None]))
        return [
            self._proposal(task, question, None if messages is None else next(replies))
            for task, question, messages in zip(tasks, questions, prompts, strict=True)
        ]

    def _messages(self, task: Task, question: Question) -> tuple[Message, ...] | None:
        """What is asked for a task, shortened where it has to be; None if it cannot be short enough."""
        fits, show_gold = self.inputs.reflection_fits, self.inputs.reflection.show_gold
        template = task.parent.template.text or self.inputs.plain_text
        forms = ever_shorter(
            question.prompt, template, task.examples, show_gold=show_gold, values=question.values
        )
        return next((form for form in forms if fits is None or fits(form)), None)

    def _proposal(self, task: Task, question: Question, reply: ReflectionReply | None) -> Proposal:
        """What a reply is worth."""
        if reply is None or reply.finish_reason == "prompt_too_long":
            return Proposal(None, refusal=PROMPT_TOO_LONG, attempted=False)
        if reply.finish_reason == "refused":
            return Proposal(None, refusal=REFUSED)
        if reply.finish_reason == "length":
            return Proposal(None, refusal=CUT_OFF, cost=reply.cost)
        text = extract_template(reply.text, question.prompt.settings.reply)
        if text is None:
            return Proposal(None, refusal=NO_TEMPLATE, cost=reply.cost)
        refusal = refuse(text, task.examples, self.inputs.reflection)
        return Proposal(text, question.made_by, question.parents, refusal, reply.cost)
