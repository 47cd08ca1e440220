"""Proposals: which parent meets which problems, what the reflection model is asked, and what its reply is
worth."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from p2o.errors import RunDirectoryError
from p2o.evolution.budget import Ledger
from p2o.evolution.config import ReflectionConfig
from p2o.evolution.contract import checked_reply, in_order
from p2o.evolution.journal import Journal
from p2o.evolution.reflect.extract import extract_template
from p2o.evolution.reflect.prompt import ReflectionExample, load_prompt, render_template
from p2o.evolution.reflect.refuse import CUT_OFF, NO_TEMPLATE, PROMPT_TOO_LONG
from p2o.evolution.reflect.shorten import ever_shorter
from p2o.evolution.result import Candidate
from p2o.evolution.types import EvaluationResult, Fits, Reflect, ReflectionReply, ReflectionRequest
from p2o.types import Message, Problem


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


@dataclass(slots=True)
class Task:
    """A parent (and a partner to cross it with) on a minibatch, with the examples its rollouts give."""

    parent: Candidate
    partner: Candidate | None
    minibatch: list[Problem]
    examples: list[ReflectionExample]


def problem_text(problem: Problem) -> str:
    """What the reflection model sees of a problem: the last user message, which the template precedes."""
    return next(m["content"] for m in reversed(problem.messages) if m["role"] == "user")


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


class Reflector:
    """Asks the reflection model, through ledger and journal."""

    def __init__(
        self,
        reflect: Reflect,
        config: ReflectionConfig,
        ledger: Ledger,
        journal: Journal,
        seed: int,
        plain_text: str = "",
        fits: Fits | None = None,
    ) -> None:
        self._reflect = reflect
        self._config = config
        self._ledger = ledger
        self._journal = journal
        self._seed = seed
        self._plain_text = plain_text
        self._fits = fits
        self._prompt = load_prompt(config.prompt)
        self._crossover_prompt = load_prompt(config.crossover_prompt)

    def propose(self, tasks: Sequence[Task], refusals: Counter[str]) -> list[str | None]:
        """The text proposed for each task, or None; what came without a usable text is counted in `refusals`.

        Raises:
            ReflectionError: if the reflection model cannot be used any longer.
        """
        prompts = [self._messages(task) for task in tasks]
        replies = iter(self._ask([messages for messages in prompts if messages is not None]))
        texts: list[str | None] = []
        for task, messages in zip(tasks, prompts, strict=True):
            reply = next(replies) if messages is not None else None
            if reply is None or reply.finish_reason == "prompt_too_long":
                refusals[PROMPT_TOO_LONG] += 1
                texts.append(None)
                continue
            prompt = self._prompt if task.partner is None else self._crossover_prompt
            text = extract_template(reply.text, prompt.settings.reply)
            if reply.finish_reason == "length":
                refusals[CUT_OFF] += 1
                text = None
            elif text is None:
                refusals[NO_TEMPLATE] += 1
            texts.append(text)
        return texts

    def _messages(self, task: Task) -> tuple[Message, ...] | None:
        """What is asked for a task, shortened where it has to be; None if it cannot be short enough."""
        prompt, values = self._prompt, {}
        if task.partner is not None:
            prompt = self._crossover_prompt
            values = {"other": render_template(prompt, task.partner.template)}
        template = task.parent.template.text or self._plain_text
        forms = ever_shorter(prompt, template, task.examples, show_gold=self._config.show_gold, values=values)
        return next((form for form in forms if self._fits is None or self._fits(form)), None)

    def _ask(self, prompts: Sequence[tuple[Message, ...]]) -> list[ReflectionReply]:
        """The replies, from the journal as far as it goes. The ledger counts calls when they are reserved and gives
        back those that brought no reply."""
        requests: list[ReflectionRequest] = []
        waiting: deque[str] = deque()
        replies: list[ReflectionReply] = []
        first = self._ledger.reflection_calls
        self._ledger.reflection_calls += len(prompts)
        for call, messages in enumerate(prompts, start=first):
            digest = hashlib.sha256(f"{self._seed}/{call}/{json.dumps(messages)}".encode())
            name = digest.hexdigest()[:16]
            if call < len(self._journal.reflections):
                asked, reply = self._journal.reflections[call]
                if asked != name:
                    raise RunDirectoryError(
                        f"{self._journal.path}: reflection {call} asked something else; "
                        "delete the journal to start the step again"
                    )
                replies.append(self._pay(reply))
            else:
                requests.append(ReflectionRequest(messages, int.from_bytes(digest.digest()[:4]) >> 1))
                waiting.append(name)
        try:
            answers = self._reflect(requests) if requests else ()
            for answer in in_order("reflect", ReflectionReply, answers, len(requests)):
                reply = checked_reply(answer)
                self._journal.reflection(waiting.popleft(), reply)
                replies.append(self._pay(reply))
        finally:
            self._ledger.reflection_calls -= len(waiting)
            self._journal.sync()
        return replies

    def _pay(self, reply: ReflectionReply) -> ReflectionReply:
        self._ledger.reflection_tokens += reply.tokens
        self._ledger.reflection_cost += reply.cost
        return reply
