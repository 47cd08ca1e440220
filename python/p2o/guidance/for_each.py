"""Guidance that each hard problem has of its own, as a template for it alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from p2o.evolution.propose.refuse import leaks
from p2o.evolution.result import Candidate
from p2o.guidance.guidance import Found, Guidance, GuidanceParts
from p2o.outcomes.outcomes import TRAINING, Outcomes
from p2o.state import LoopState
from p2o.templates import PLAIN, make_template
from p2o.track.run_directory import template_record
from p2o.types import Problem, Template

NO_SOLUTION = "no reference solution"
TELLS_GOLD = "tells the gold answer"
UNREADABLE = "the policy's tokenizer cannot read it"


@dataclass(frozen=True, slots=True)
class Made:
    """Guidance for one problem: a text, or why there is none."""

    problem: Problem
    text: str
    refusal: str = ""


class ForEachProblem(Guidance):
    """Texts made from reference solutions, one for each hard problem; none that tells the gold answer is handed out.

    A problem is guided in `n - assign.plain_rollouts` of its rollouts; in all of them plainly where it has no text.
    """

    needs_solutions = True

    def __init__(self, parts: GuidanceParts) -> None:
        super().__init__(parts)
        self.problems = {problem.id: problem for problem in parts.problems}
        self.templates: dict[str, Template] = {}
        """Of the last step, by problem: `assign` follows `find`."""

    def hand_out(self, state: LoopState, made: Sequence[Made], tokens: int) -> Found:
        """Takes in what was made for the problems, and writes it down."""
        candidates: list[Candidate] = []
        self.templates = {}
        kind = self.config.guidance.kind
        for number, each in enumerate(made, start=1):
            template = make_template(each.text)
            refusal = each.refusal or self._refusal(each.problem, template)
            candidates.append(Candidate(number, template, made_by=kind, accepted=not refusal, reason=refusal))
            if not refusal:
                self.templates[each.problem.id] = template
        records = [
            template_record(state.version, state.epoch, candidate, chosen=candidate.accepted)
            | {"problem": each.problem.id}
            for each, candidate in zip(made, candidates, strict=True)
        ]
        self.parts.collector.processes.on_main(
            lambda: self.parts.directory.log_templates(state.version, records)
        )
        state.count_templates(records)
        refusals = dict(sorted(Counter(c.reason for c in candidates if c.reason).items()))
        reason = f"{len(self.templates)} of {len(made)} hard problems guided"
        return Found(tokens, {"templates": [], "tokens": tokens, "reason": reason, "refusals": refusals})

    def _refusal(self, problem: Problem, template: Template) -> str:
        if template.id == PLAIN.id:
            return NO_SOLUTION if not problem.solution else "empty"
        if leaks(template.text, problem.gold):
            return TELLS_GOLD
        return "" if self.parts.collector.reads(problem, template) else UNREADABLE

    def assign(self, state: LoopState, guided: Sequence[str], seed: int) -> dict[str, list[Template]]:
        """See [`Guidance`][]. What solved a problem before is of use again where it has nothing new."""
        n, plain = self.config.rollout.n, self.config.assign.plain_rollouts
        found = {**state.solved_under, **self.templates}
        return {
            problem_id: [found.get(problem_id, PLAIN)] * (n - plain) + [PLAIN] * plain
            for problem_id in guided
        }


def failures(outcomes: Outcomes) -> Counter[str]:
    """By problem, the policy versions in whose training it was guided and not solved under guidance, since it last was
    so solved."""
    count: Counter[str] = Counter()
    for version in outcomes.versions:
        solved: dict[str, bool] = {}
        for (source, template_id, problem), tally in outcomes.tallies(version).items():
            if source == TRAINING and template_id != PLAIN.id:
                solved[problem] = solved.get(problem, False) or tally.successes > 0
        for problem, once in solved.items():
            count[problem] = 0 if once else count[problem] + 1
    return count
