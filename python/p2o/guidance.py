"""When prompt steps take place, what they may spend, and whether their rollouts are trained on.

`adaptive` spending is a comparison of what rollouts buy. A prompt step is worth what its templates unlock: the share of
the hard problems given to them that is solved under one. As many plain rollouts solve a hard problem at the rate that
the step's own evaluation of the plain prompt finds. Where those would solve as many, the step ends there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from p2o.evolution.budget import rollouts_of
from p2o.evolution.result import PLAIN_ENOUGH
from p2o.evolution.types import PlainEnough
from p2o.outcomes.outcomes import TRAINING, Outcomes
from p2o.settings import Settings
from p2o.templates import PLAIN
from p2o.types import Template

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.state import LoopState

FIRST_GUESS = 0.9
"""Share of the hard problems that a prompt step is taken to unlock before any has."""

GUESSED_STEPS = 4
"""Prompt steps that the guess is worth: a reflection model that seldom knows what helps needs several."""

LEAST_SHARE = 0.125
"""Share of the budget that a prompt step keeps, however little was unlocked: what helps may still come."""


class GuidanceConfig(Settings):
    """When prompt steps take place and what they may spend."""

    every: PositiveInt | None = None
    """A prompt step after every so many steps of an epoch as well as between epochs, on the problems that are hard so
    far; unset, between epochs only. A run of one epoch gets prompt steps that way."""

    train_on_evaluations: bool = True
    """Whether a prompt step's rollouts of the dev problems, plain and under the templates it chose, are trained on: a
    policy step before the next rollouts."""

    spend: Literal["fixed", "adaptive"] = "adaptive"
    """`fixed`: each prompt step may spend `evolve.budget`. `adaptive`: in proportion to what earlier prompt steps
    unlocked; a step ends after its evaluation of the plain prompt where plain rollouts would solve as much."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a prompt step may spend."""

    share: float = 1.0
    """Of the rollouts of `evolve.budget`."""

    plain_enough: PlainEnough | None = None
    """Where the step ends after its evaluation of the plain prompt."""


def unlocked_share(
    assignment: Mapping[str, Sequence[Template]], outcomes: Outcomes, policy_version: str
) -> float | None:
    """Share of the problems whose training rollouts of this version were templated that were solved under a template;
    0 where no template was handed out, None where none has been tried yet."""
    solved = tried = 0
    given = {
        problem: {each.id for each in templates} - {PLAIN.id} for problem, templates in assignment.items()
    }
    for problem_id, template_ids in given.items():
        tallies = [outcomes.of(each, problem_id, policy_version, source=TRAINING) for each in template_ids]
        tried += any(tally.trials > 0 for tally in tallies)
        solved += any(tally.successes > 0 for tally in tallies)
    if tried:
        return solved / tried
    return None if any(given.values()) else 0.0


def allow(state: LoopState, config: Config, hard: Collection[str]) -> Allowance:
    """What the next prompt step, on these hard problems, may spend; takes into `state` what the last one unlocked."""
    if config.guidance.spend == "fixed":
        return Allowance()
    if state.evolution is not None and state.evolution.stop_reason != PLAIN_ENOUGH:
        share = unlocked_share(state.assignment, state.outcomes, str(state.version))
        state.unlocked += [] if share is None else [share]
    budget = rollouts_of(config.evolve.budget, min(config.evolve.dev_size, len(hard) // 2))
    return adaptive_allowance(state.unlocked, len(hard), config.rollout.n, budget)


def adaptive_allowance(unlocked: Sequence[float], hard: int, n: int, budget: int) -> Allowance:
    """The allowance of the next prompt step.

    Args:
        unlocked: what each prompt step so far unlocked (`unlocked_share`).
        hard: problems that are hard now.
        n: rollouts of a problem in training.
        budget: rollouts of a whole prompt step.
    """
    expected = (GUESSED_STEPS * FIRST_GUESS + sum(unlocked)) / (GUESSED_STEPS + len(unlocked))
    share = max(LEAST_SHARE, min(1.0, expected / FIRST_GUESS))
    # The step's rollouts, spent on the hard problems without a template, come on top of the n of the next epoch.
    return Allowance(share, PlainEnough(expected, n + share * budget / max(1, hard)))
