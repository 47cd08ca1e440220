"""Guidance `self_hint`: for each hard problem a hint that a model writes from the reference solution.

After SAGE (arXiv 2603.02143), where the policy itself writes it, anew as it learns (`reflection.kind = "current"`), and
says more of the solution the more often a hint has not been enough. Theirs stays in the prompt of the update
(`context.distillation = "none"`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p2o.errors import ReflectionError
from p2o.evolution.propose.extract import extract_template
from p2o.evolution.propose.prompt import fill
from p2o.evolution.propose.refuse import CUT_OFF, NO_TEMPLATE, PROMPT_TOO_LONG, REFUSED, TOO_LONG
from p2o.evolution.types import ReflectionReply, ReflectionRequest
from p2o.guidance.for_each import NO_SOLUTION, ForEachProblem, Made, failures
from p2o.guidance.guidance import Found
from p2o.outcomes.hardness import HardKind
from p2o.reflection import SelfReflection
from p2o.seeds import derive_seed
from p2o.state import LoopState
from p2o.templates import problem_text
from p2o.types import Message, Problem

PROMPT = """Here are a problem and a correct solution.

Problem:
{problem}

Solution:
{solution}

Write a hint for someone who cannot solve the problem. {strength} Do not state the answer. Reply with the hint alone."""
"""What is asked, without a wording of one's own."""

STRENGTHS = (
    "Name the idea that it takes, in one sentence.",
    "List the steps that it takes, without any numbers.",
    "Explain each step in detail.",
)
"""How much a hint says: the first, and the next one for each step whose hint did not get the problem solved."""

_NO_REPLY = {"length": CUT_OFF, "prompt_too_long": PROMPT_TOO_LONG, "refused": REFUSED}


class SelfHint(ForEachProblem):
    """One reply for each hard problem."""

    def find(self, state: LoopState, hard: Mapping[str, HardKind]) -> Found:
        """See [`Guidance`][p2o.guidance.guidance.Guidance]. A reflection model that has failed leaves the problems
        plain."""
        failed = failures(state.outcomes)
        problems = [self.problems[problem_id] for problem_id in hard]
        asked = [problem for problem in problems if problem.solution]
        without = [Made(problem, "", NO_SOLUTION) for problem in problems if not problem.solution]
        requests = [
            ReflectionRequest(
                (Message(role="user", content=self._request(problem, failed[problem.id])),),
                derive_seed(self.config.run.seed, "hint", state.version, problem.id),
            )
            for problem in asked
        ]
        try:
            replies = self._replies(requests)
        except ReflectionError as error:
            self.templates = {}  # not those of the step before
            summary = {"templates": [], "tokens": 0, "reason": f"reflection: {error}", "refusals": {}}
            return Found(0, summary)
        made = [self._made(*each) for each in zip(asked, replies, strict=True)]
        return self.hand_out(state, [*made, *without], sum(reply.tokens for reply in replies))

    def _request(self, problem: Problem, failed: int) -> str:
        values = {
            "problem": problem_text(problem),
            "solution": problem.solution,
            "gold": problem.gold,
            "strength": STRENGTHS[min(failed, len(STRENGTHS) - 1)],
        }
        return fill(self.config.guidance.prompt or PROMPT, values)

    def _replies(self, requests: list[ReflectionRequest]) -> Sequence[ReflectionReply]:
        """On all ranks; a model of our own answers on all of them, another one is asked by rank 0."""
        reflect = self.parts.reflect
        if isinstance(reflect, SelfReflection):
            with self.parts.console.phase("hints", len(requests)):
                return reflect(requests)
        return self.parts.collector.processes.on_main(lambda: list(reflect(requests)))

    def _made(self, problem: Problem, reply: ReflectionReply) -> Made:
        if (refusal := _NO_REPLY.get(reply.finish_reason)) is not None:
            return Made(problem, "", refusal)
        hint = extract_template(reply.text, "whole")
        if hint is None:
            return Made(problem, "", NO_TEMPLATE)
        too_long = len(hint) > self.config.reflection.max_template_chars
        return Made(problem, hint, TOO_LONG if too_long else "")
