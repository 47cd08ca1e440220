"""What a prompt step may spend.

`adaptive` spending compares what a rollout buys in newly solved hard problems. The prompt step unlocks, for its whole
budget, the share of them that its templates are expected to, less what plain rollouts solve anyway. Those of the next
epoch solve them at the rate that the step's own evaluation of the plain prompt finds. Where a plain rollout buys more,
the step ends there. It also ends after so many failures in a row as would hardly ever happen at the rate at which the
run's proposals were accepted so far.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import TYPE_CHECKING

from p2o.evolution.budget import rollouts_of
from p2o.evolution.config import EvolveConfig
from p2o.evolution.result import PLAIN_ENOUGH
from p2o.evolution.search.rollouts import REPLICATES
from p2o.evolution.types import PlainEnough
from p2o.outcomes.outcomes import TRAINING, Outcomes
from p2o.templates import PLAIN
from p2o.types import Template

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.state import LoopState

FIRST_GUESS = 0.9
"""Share of the hard problems that a prompt step is taken to unlock before any has."""

GUESSED_STEPS = 4
"""Prompt steps that the guess is worth: a reflection model that seldom knows what helps needs several."""

GUESSED_ACCEPTANCE, GUESSED_PROPOSALS = 0.05, 20
"""The share of proposals that is accepted, and how many proposals that guess is worth."""

FRUITLESS = 0.05
"""Chance of so many failures in a row, at the rate of acceptance so far, at which a prompt step gives up."""

LEAST_SHARE = 0.125
"""Share of the budget that a prompt step keeps, however little was unlocked: what helps may still come. It also keeps
what `GUESSED_PROPOSALS` and one race cost: with less it would pay for the plain prompt and hardly look for another."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a prompt step may spend."""

    share: float = 1.0
    """Of the rollouts of `evolve.budget`."""

    plain_enough: PlainEnough | None = None
    """Where the step ends after its evaluation of the plain prompt."""

    max_fruitless: int | None = None
    """Proposals in a row, tried out and not accepted, after which it ends."""


def unlocked_share(
    assignment: Mapping[str, Sequence[Template]],
    chosen: Sequence[Template],
    outcomes: Outcomes,
    policy_version: str,
) -> float | None:
    """Share of the problems whose training rollouts of this version were under templates of the prompt step that were
    solved under one; 0 where it handed none out, None where none has been tried yet.

    Args:
        assignment: the templates of each hard problem's rollouts.
        chosen: those that the prompt step chose: what a problem was given back is none of its merits.
    """
    solved = tried = 0
    ids = {template.id for template in chosen} - {PLAIN.id}
    given = {problem: ids & {each.id for each in templates} for problem, templates in assignment.items()}
    for problem_id, template_ids in given.items():
        tallies = [outcomes.of(each, problem_id, policy_version, source=TRAINING) for each in template_ids]
        tried += any(tally.trials > 0 for tally in tallies)
        solved += any(tally.successes > 0 for tally in tallies)
    if tried:
        return solved / tried
    return None if any(given.values()) else 0.0


def allow(state: LoopState, config: Config, hard: Collection[str]) -> Allowance:
    """What the prompt step of `state.version`, on these hard problems, may spend; takes into `state` what the last one
    unlocked, in the version before."""
    if config.guidance.spend == "fixed":
        return Allowance()
    if state.evolution is not None and state.evolution.stop_reason != PLAIN_ENOUGH:
        chosen, version = state.evolution.chosen, str(state.version - 1)
        share = unlocked_share(state.assignment, chosen, state.outcomes, version)
        state.unlocked += [] if share is None else [share]
    dev_size = min(config.evolve.dev_size, len(hard) // 2)
    budget = rollouts_of(config.evolve.budget, dev_size)
    least = min(budget, least_rollouts(config.evolve, dev_size))
    proposals = state.accepted_proposals, state.tried_proposals
    return adaptive_allowance(state.unlocked, proposals, len(hard), config.rollout.n, budget, least)


def least_rollouts(config: EvolveConfig, dev_size: int) -> int:
    """Rollouts of the plain prompt, with its repetitions, and of a template on the dev problems, and of
    `GUESSED_PROPOSALS` and the plain prompt on minibatches."""
    on_dev = dev_size * (2 * config.rollouts_per_evaluation + REPLICATES)
    return on_dev + 2 * GUESSED_PROPOSALS * config.minibatch * config.rollouts_per_evaluation


def adaptive_allowance(
    unlocked: Sequence[float], proposals: tuple[int, int], hard: int, n: int, budget: int, least: int = 0
) -> Allowance:
    """The allowance of the next prompt step.

    Args:
        unlocked: what each prompt step so far unlocked (`unlocked_share`).
        proposals: those accepted so far, and those tried out.
        hard: problems that are hard now.
        n: rollouts of a problem in training.
        budget: rollouts of a whole prompt step.
        least: rollouts of the smallest one that is of use.
    """
    expected = (GUESSED_STEPS * FIRST_GUESS + sum(unlocked)) / (GUESSED_STEPS + len(unlocked))
    share = max(LEAST_SHARE, least / budget, min(1.0, expected / FIRST_GUESS))
    plain, step = n * hard, share * budget
    # Where a share s of the hard problems is solved by the plain rollouts, those buy s / n problems each, and the
    # rollouts of the step (expected - s) * hard / step: the same at this share.
    enough = expected * plain / (plain + step)
    accepted, tried = proposals
    return Allowance(share, PlainEnough(enough, n), fruitless_row(accepted, tried) if tried else None)


def fruitless_row(accepted: int, tried: int) -> int:
    """How many proposals in a row fail by chance in one of twenty cases, at the rate of acceptance so far."""
    rate = (GUESSED_ACCEPTANCE * GUESSED_PROPOSALS + accepted) / (GUESSED_PROPOSALS + tried)
    return ceil(log(FRUITLESS) / log(1 - rate)) if rate < 1 else 1
