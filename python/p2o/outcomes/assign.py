"""Which template each rollout of a hard problem gets in the next epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from p2o.errors import ConfigError
from p2o.evolution.result import Candidate, Evolution
from p2o.outcomes.config import AssignConfig
from p2o.outcomes.outcomes import Outcomes
from p2o.templates import PLAIN
from p2o.types import Template

DISCOUNT = 0.5
"""Weight of what is known from the policy version before, and again for each version further back."""

PRIOR_STRENGTH = 2.0
"""Trials that a template's success rate on dev is worth as the prior of its success rate on one problem."""

REMEMBERED_RATE = 0.5
"""Success rate, in place of one on dev, of a template that has solved a problem before."""

_SMALLEST_WEIGHT = 1e-6
"""Weight of a chosen template whose mean dev reward is 0, so that a draw is always possible."""


def assign(
    evolution: Evolution | None,
    hard_problem_ids: Sequence[str],
    n: int,
    config: AssignConfig,
    outcomes: Outcomes,
    seed: int,
    available: Callable[[Template, str], bool] = lambda template, problem_id: True,
    solved_under: Mapping[str, Template] | None = None,
) -> dict[str, list[Template]]:
    """The n templates of each hard problem, `plain_rollouts` of them (the last ones) plain.

    A template that solved a problem earlier (`solved_under`) is one of those drawn from for it. If there is none, and
    none that the evolution chose and that is `available` to the problem, every rollout is plain. Each problem has a
    draw of its own: what it gets does not depend on the other problems.

    Raises:
        ConfigError: if `plain_rollouts` exceeds n.
    """
    if config.plain_rollouts > n:
        raise ConfigError(
            f"assign.plain_rollouts = {config.plain_rollouts} exceeds the {n} rollouts of a group"
        )
    templated = n - config.plain_rollouts
    found = [evolution.candidate_of(template.id) for template in evolution.chosen] if evolution else []
    chosen = [candidate for candidate in found if candidate is not None]
    assigned: dict[str, list[Template]] = {}
    draws: dict[tuple[str, ...], _Draw] = {}
    for problem_id in hard_problem_ids:
        usable = [candidate for candidate in chosen if available(candidate.template, problem_id)]
        former = (solved_under or {}).get(problem_id)
        if former is not None and all(candidate.template.id != former.id for candidate in usable):
            usable.append(
                Candidate(
                    -1, former, made_by="remembered", mean=REMEMBERED_RATE, success_rate=REMEMBERED_RATE
                )
            )
        if not usable:
            assigned[problem_id] = [PLAIN] * n
            continue
        ids = tuple(candidate.template.id for candidate in usable)
        if ids not in draws:
            draws[ids] = _RULES[config.rule](evolution, usable, outcomes)
        random = Random(f"{seed}/assign/{problem_id}")
        drawn = draws[ids](problem_id, 1 if config.per_group else templated, random)
        if config.per_group:
            drawn *= templated
        assigned[problem_id] = drawn + [PLAIN] * config.plain_rollouts
    return assigned


def _paper(
    evolution: Evolution | None, chosen: Sequence[Candidate], problem_id: str, count: int, random: Random
) -> list[Template]:
    """Drawn with replacement by mean dev reward; on a dev problem among those that solve it, if any does."""
    solvers: Sequence[str] = ()
    if evolution is not None:
        solvers = evolution.solvers.get(evolution.merged.get(problem_id, problem_id), ())
    eligible = [candidate for candidate in chosen if candidate.template.id in solvers] or list(chosen)
    weights = [max(candidate.mean, _SMALLEST_WEIGHT) for candidate in eligible]
    return [candidate.template for candidate in random.choices(eligible, weights=weights, k=count)]


def _thompson(
    chosen: Sequence[Candidate], outcomes: Outcomes, problem_id: str, count: int, random: Random
) -> list[Template]:
    """For each rollout the template with the highest draw from its posterior on this problem.

    The prior of a template is its success rate on dev, worth `PRIOR_STRENGTH` trials; what is known from rollouts is
    discounted by age.
    """
    posteriors: list[tuple[float, float]] = []
    for candidate in chosen:
        rate = min(max(candidate.success_rate, 0.01), 0.99)
        prior = (PRIOR_STRENGTH * rate, PRIOR_STRENGTH * (1 - rate))
        posteriors.append(
            outcomes.posterior(candidate.template.id, problem_id, prior=prior, discount=DISCOUNT)
        )
    drawn: list[Template] = []
    for _ in range(count):
        draws = [random.betavariate(a, b) for a, b in posteriors]
        drawn.append(chosen[draws.index(max(draws))].template)
    return drawn


_Draw = Callable[[str, int, Random], list[Template]]
"""(problem id, number of rollouts, the problem's random stream) -> their templates."""

_RULES: dict[str, Callable[[Evolution | None, Sequence[Candidate], Outcomes], _Draw]] = {
    "paper": lambda evolution, chosen, outcomes: partial(_paper, evolution, chosen),
    "thompson": lambda evolution, chosen, outcomes: partial(_thompson, chosen, outcomes),
}
