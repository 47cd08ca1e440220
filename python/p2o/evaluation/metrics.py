"""Metrics of one problem's n completions: pass@k and the majority vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from statistics import fmean

from p2o.errors import InputError


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that k of n completions, drawn without replacement, hold a correct one.

    The unbiased estimate of Chen et al. (arXiv 2107.03374): 1 - C(n - c, k) / C(n, k).

    Raises:
        InputError: unless 0 <= correct <= n and 1 <= k <= n.
    """
    if not (0 <= correct <= n and 1 <= k <= n):
        raise InputError(
            f"pass@{k} of {n} completions, {correct} of them correct: k must be from 1 to {n}, and correct at most {n}"
        )
    return 1 - comb(n - correct, k) / comb(n, k)


def pass_ks(n: int) -> list[int]:
    """The k for which pass@k is given: powers of two up to n, and n."""
    return sorted({*(2**i for i in range(n.bit_length())), n})


def majority(
    answers: Sequence[str | None], correct: Sequence[bool], same: Callable[[str, str], bool]
) -> float:
    """Whether the answer given most often is correct (maj@n): 1, 0, or a share where answers are tied.

    Answers are grouped by `same`, in their order: each joins the first group whose first answer it equals, which is
    also the one whose verdict counts. A completion without an answer (None) has no vote; without any vote it is 0.
    Where k groups are tied it is the share of them that are correct: what a random choice would give on average.

    Args:
        answers: of each completion.
        correct: whether each completion is.
        same: whether an answer, the second one, equals another.
    """
    groups: list[list[int]] = []
    known: dict[str, list[int]] = {}
    for i, answer in enumerate(answers):
        if answer is None:
            continue
        if answer not in known:
            found = next((group for group in groups if same(answers[group[0]] or "", answer)), None)
            if found is None:
                groups.append(found := [])
            known[answer] = found
        known[answer].append(i)
    if not groups:
        return 0.0
    most = max(map(len, groups))
    return fmean(correct[group[0]] for group in groups if len(group) == most)
