"""Which of the accepted templates are trained under: the covers, by the names of `evolve.cover`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p2o._core import ParetoFront
from p2o.evolution.result import COVER_THRESHOLD, Candidate

Cover = Callable[[ParetoFront, Sequence[Candidate]], list[int]]
"""The front of successes (the front that parents are drawn from may count more), the candidate of each of its entries
-> entries chosen."""


def greedy(front: ParetoFront, entries: Sequence[Candidate]) -> list[int]:
    """A greedy set cover of the dev problems: most newly solved ones first (method, "Prompt step"). Without the plain
    prompt."""
    plain = [entry for entry, candidate in enumerate(entries) if candidate.made_by == "plain"]
    return list(front.cover(COVER_THRESHOLD, exclude=plain))


def greedy_with_plain(front: ParetoFront, entries: Sequence[Candidate]) -> list[int]:
    """As `greedy`, with the plain prompt as one of those that solve dev problems."""
    return list(front.cover(COVER_THRESHOLD))


def best(front: ParetoFront, entries: Sequence[Candidate]) -> list[int]:
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
}
