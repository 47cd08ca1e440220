"""Which of the accepted templates are trained under: the covers, by the names of `evolve.cover`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p2o._core import ParetoFront
from p2o.evolution.config import EvolveConfig
from p2o.evolution.result import COVER_THRESHOLD, Candidate
from p2o.outcomes.outcomes import Outcomes
from p2o.outcomes.transfer import transfer_posteriors

Cover = Callable[[ParetoFront, Sequence[Candidate], EvolveConfig, Outcomes], list[int]]
"""The front of successes (the front that parents are drawn from may count more), the candidate of each of its entries,
the settings, the ledger -> entries chosen."""


def greedy(
    front: ParetoFront, entries: Sequence[Candidate], config: EvolveConfig, outcomes: Outcomes
) -> list[int]:
    """A greedy set cover of the dev problems: most newly solved ones first (method, "Prompt step"). Without the plain
    prompt."""
    plain = [entry for entry, candidate in enumerate(entries) if candidate.made_by == "plain"]
    return list(front.cover(COVER_THRESHOLD, max_size=config.cover_max_size, exclude=plain))


def greedy_with_plain(
    front: ParetoFront, entries: Sequence[Candidate], config: EvolveConfig, outcomes: Outcomes
) -> list[int]:
    """As `greedy`, with the plain prompt as one of those that solve dev problems."""
    return list(front.cover(COVER_THRESHOLD, max_size=config.cover_max_size))


def transfer(
    front: ParetoFront, entries: Sequence[Candidate], config: EvolveConfig, outcomes: Outcomes
) -> list[int]:
    """As `greedy`, but a newly solved problem counts by the expected transfer of the template that solves it."""
    posteriors = transfer_posteriors(outcomes, [candidate.template.id for candidate in entries])
    expected = [a / (a + b) for a, b in posteriors]
    solved = {
        entry: {i for i in range(front.n_instances) if (front.score(entry, i) or 0.0) >= COVER_THRESHOLD}
        for entry, candidate in enumerate(entries)
        if candidate.made_by != "plain"
    }
    chosen: list[int] = []
    covered: set[int] = set()
    while len(chosen) < (config.cover_max_size or len(entries)):
        gains = {entry: expected[entry] * len(problems - covered) for entry, problems in solved.items()}
        entry = max(gains, key=lambda entry: gains[entry], default=None)  # the earliest of equals
        if entry is None or gains[entry] == 0:
            break
        chosen.append(entry)
        covered |= solved[entry]
    return chosen


def best(
    front: ParetoFront, entries: Sequence[Candidate], config: EvolveConfig, outcomes: Outcomes
) -> list[int]:
    """The template with the highest mean dev reward alone, the earliest of equals; none where all means are 0."""
    scored = [
        (candidate.mean, -entry) for entry, candidate in enumerate(entries) if candidate.made_by != "plain"
    ]
    mean, entry = max(scored, default=(0.0, 0))
    return [-entry] if mean > 0 else []


COVERS: dict[str, Cover] = {
    "greedy": greedy,
    "greedy_with_plain": greedy_with_plain,
    "best": best,
    "transfer": transfer,
}
