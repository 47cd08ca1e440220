"""Proposals of a reflection model: a better template (mutation), or two templates joined (crossover)."""

from __future__ import annotations

from collections.abc import Sequence

from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.ask import ask
from p2o.evolution.propose.extract import extract_template
from p2o.evolution.propose.prompt import CROSSOVER_PROMPT, load_prompt, render_template
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.evolution.propose.refuse import CUT_OFF, NO_TEMPLATE, PROMPT_TOO_LONG, REFUSED, refuse
from p2o.evolution.propose.shorten import ever_shorter
from p2o.evolution.types import ReflectionReply
from p2o.types import Message


class Reflection(Proposer):
    """Shows the model a template and what the policy did under it. A task with a partner asks for a crossover."""

    reflects = True

    def __init__(self, inputs: StepInputs) -> None:
        super().__init__(inputs)
        self._prompt = load_prompt(inputs.reflection.prompt)
        self._crossover_prompt = load_prompt(CROSSOVER_PROMPT)

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """One proposal per task."""
        prompts = [self._messages(task) for task in tasks]
        replies = iter(ask(self.inputs, [messages for messages in prompts if messages is not None]))
        return [
            self._proposal(task, next(replies) if messages is not None else None)
            for task, messages in zip(tasks, prompts, strict=True)
        ]

    def _messages(self, task: Task) -> tuple[Message, ...] | None:
        """What is asked for a task, shortened where it has to be; None if it cannot be short enough."""
        prompt, values, fits = self._prompt, {}, self.inputs.reflection_fits
        if task.partner is not None:
            prompt = self._crossover_prompt
            values = {"other": render_template(prompt, task.partner.template)}
        template = task.parent.template.text or self.inputs.plain_text
        show_gold = self.inputs.reflection.show_gold
        forms = ever_shorter(prompt, template, task.examples, show_gold=show_gold, values=values)
        return next((form for form in forms if fits is None or fits(form)), None)

    def _proposal(self, task: Task, reply: ReflectionReply | None) -> Proposal:
        """What a reply is worth."""
        if reply is None or reply.finish_reason == "prompt_too_long":
            return Proposal(None, refusal=PROMPT_TOO_LONG)
        if reply.finish_reason == "refused":
            return Proposal(None, refusal=REFUSED)
        prompt = self._prompt if task.partner is None else self._crossover_prompt
        text = extract_template(reply.text, prompt.settings.reply)
        if reply.finish_reason == "length" or text is None:
            cut_off = reply.finish_reason == "length"
            return Proposal(None, refusal=CUT_OFF if cut_off else NO_TEMPLATE, cost=reply.cost)
        refusal = refuse(text, task.examples, self.inputs.reflection)
        if task.partner is None:
            return Proposal(text, "mutation", (task.parent.id,), refusal, reply.cost)
        return Proposal(text, "crossover", (task.parent.id, task.partner.id), refusal, reply.cost)
