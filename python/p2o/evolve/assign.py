"""Which template each rollout of a hard sample gets in the next epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from p2o.errors import ConfigError
from p2o.evolve.config import AssignConfig
from p2o.evolve.evidence import Evidence
from p2o.evolve.evolution import Evolution
from p2o.templates import PLAIN
from p2o.types import Template

_SMALLEST_WEIGHT = 1e-6
"""Weight of a chosen template whose mean dev reward is 0, so that a draw is always possible."""


def assign(
    evolution: Evolution | None,
    hard_problem_ids: Sequence[str],
    n: int,
    config: AssignConfig,
    evidence: Evidence | None,
    seed: int,
) -> dict[str, list[Template]]:
    """The n templates of each hard problem, `plain_rollouts` of them (the last ones) plain.

    Without an evolution, or if it chose no template, every rollout is plain. Each problem has a draw of its
    own: what it gets does not depend on the other problems.

    Raises:
        ConfigError: if `plain_rollouts` exceeds n.
    """
    if config.plain_rollouts > n:
        raise ConfigError(
            f"assign.plain_rollouts = {config.plain_rollouts} exceeds the {n} rollouts of a group"
        )
    assigned: dict[str, list[Template]] = {}
    templated = n - config.plain_rollouts
    for problem_id in hard_problem_ids:
        if evolution is None or not evolution.chosen or _graduated(problem_id, config, evidence):
            assigned[problem_id] = [PLAIN] * n
            continue
        random = Random(f"{seed}/assign/{problem_id}")
        drawn = _RULES[config.rule](evolution, problem_id, templated, config, evidence, random)
        assigned[problem_id] = drawn + [PLAIN] * config.plain_rollouts
    return assigned


def _graduated(problem_id: str, config: AssignConfig, evidence: Evidence | None) -> bool:
    if config.graduate is None or evidence is None:
        return False
    mean = evidence.posterior_mean(PLAIN.id, problem_id, discount=config.discount)
    return mean >= config.graduate


def _paper(
    evolution: Evolution,
    problem_id: str,
    count: int,
    config: AssignConfig,
    evidence: Evidence | None,
    random: Random,
) -> list[Template]:
    """Drawn with replacement by mean dev reward; on a dev problem among those that solve it, if any does."""
    means: list[float] = []
    solving: list[bool] = []
    kept_id = evolution.merged.get(problem_id, problem_id)
    for template in evolution.chosen:
        candidate = evolution.candidate_of(template.id)
        won, tried = candidate.scores.get(kept_id, (0.0, 0)) if candidate else (0.0, 0)
        means.append(max(candidate.mean if candidate else 0.0, _SMALLEST_WEIGHT))
        solving.append(tried > 0 and won / tried >= evolution.cover_threshold)
    eligible = [i for i, solves in enumerate(solving) if solves] or list(range(len(means)))
    drawn = random.choices(eligible, weights=[means[i] for i in eligible], k=count)
    return [evolution.chosen[i] for i in drawn]


def _thompson(
    evolution: Evolution,
    problem_id: str,
    count: int,
    config: AssignConfig,
    evidence: Evidence | None,
    random: Random,
) -> list[Template]:
    """For each rollout the template with the highest draw from its posterior on this problem.

    The prior of a template is its dev score, worth `prior_strength` trials; the evidence is discounted by
    age.
    """
    posteriors: list[tuple[float, float]] = []
    for template in evolution.chosen:
        candidate = evolution.candidate_of(template.id)
        mean = min(max(candidate.mean if candidate else 0.0, 0.01), 0.99)
        prior = (config.prior_strength * mean, config.prior_strength * (1 - mean))
        if evidence is not None:
            prior = evidence.posterior(template.id, problem_id, prior=prior, discount=config.discount)
        posteriors.append(prior)
    drawn: list[Template] = []
    for _ in range(count):
        draws = [random.betavariate(a, b) for a, b in posteriors]
        drawn.append(evolution.chosen[draws.index(max(draws))])
    return drawn


_Rule = Callable[[Evolution, str, int, AssignConfig, Evidence | None, Random], list[Template]]
_RULES: dict[str, _Rule] = {"paper": _paper, "thompson": _thompson}
