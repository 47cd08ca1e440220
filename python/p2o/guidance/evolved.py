"""Guidance `evolve`: a prompt step makes templates that many problems share (P²O)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p2o.guidance.guidance import Found, Guidance, GuidanceParts
from p2o.guidance.prompt_step import PromptStep
from p2o.guidance.spending import allow
from p2o.outcomes.assign import assign
from p2o.outcomes.hardness import HardKind
from p2o.state import LoopState
from p2o.templates import PLAIN
from p2o.types import Template


class Evolved(Guidance):
    """The prompt step, its spending, and assignment by what is known of its templates."""

    def __init__(self, parts: GuidanceParts) -> None:
        super().__init__(parts)
        self.step = PromptStep(parts)
        self.quotes = self.step.quotes

    def find(self, state: LoopState, hard: Mapping[str, HardKind]) -> Found:
        """See [`Guidance`][]."""
        outcome = self.step.evolve(
            hard,
            state.outcomes,
            version=state.version,
            epoch=state.epoch,
            previous=state.evolution,
            allowance=allow(state, self.config, hard),
            keep_rollouts=self.config.guidance.train_on_evaluations,
            solutions=state.solutions,
        )
        # Rank 0 alone added the step's rollouts.
        state.outcomes = self.parts.collector.processes.broadcast(state.outcomes)
        state.evolution = outcome.evolution
        state.count_templates(outcome.records)
        state.count_proposals(outcome.tried)
        return Found(outcome.tokens, outcome.summary(), outcome.groups)

    def assign(self, state: LoopState, guided: Sequence[str], seed: int) -> dict[str, list[Template]]:
        """See [`Guidance`][]."""
        return assign(
            state.evolution,
            guided,
            self.config.rollout.n,
            self.config.assign,
            state.outcomes,
            seed,
            self.step.available,
            state.solved_under,
        )

    def in_use(self, state: LoopState) -> Template:
        """The training template with the highest mean reward on the dev problems; of equals, the first."""
        if state.evolution is None:
            return PLAIN
        found = [state.evolution.candidate_of(template.id) for template in state.evolution.chosen]
        best = max((each for each in found if each is not None), key=lambda each: each.mean, default=None)
        return PLAIN if best is None else best.template
