"""What the rollouts of a probe say: which problems plain samples solve, which ones words unlock, which method fits.

A lucky template must not look like one that helps. So the rollouts that choose a template never judge it: the best
template is chosen on one half of the problems and judged on the other, and the template chosen for a problem is judged
on fresh rollouts, against equally many fresh plain ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from p2o.evolution.search.statistics import probability_better
from p2o.intervals import Interval, mean_of_bounded, share_interval
from p2o.templates import PLAIN
from p2o.types import Template

MOSTLY = 0.5
"""Share of successful plain samples from which a problem counts as mostly solved."""

GRPO_LEAST = 0.5
"""Share of problems with a plain success from which GRPO alone fits."""

UNLOCKED_LEAST = 0.10
"""For P²O: share of the problems plain samples never solve that words unlock, beyond what more plain samples would."""

CONFIDENCE = 0.99
"""Posterior probability of being better than the plain prompt that counts as certain."""

HELPS_NOWHERE_ELSE = (
    "; but on problems it was not chosen on, the best template is not shown to help: each problem may have a wording "
    "of its own, and evolution finds none for all"
)
"""Added to a verdict for P²O. Where wordings shift each problem at random, some unlock it and none carries over."""

PLAIN_MOST = 0.02
"""The study's rule: highest rate of success of plain samples, and ..."""

BEST_LEAST = 0.10
"""... lowest rate of the best template on problems that it was not chosen on."""

Method = Literal["GRPO", "P²O", "other guidance"]

Successes = Mapping[str, Mapping[str, Sequence[bool]]]
"""Template id -> problem id -> whether each rollout succeeded."""


@dataclass(frozen=True, slots=True)
class PlainResult:
    """What plain samples solve: shares of the problems, and the rate of success of all samples."""

    rate: Interval
    never: float
    now_and_then: float
    mostly: float


@dataclass(frozen=True, slots=True)
class TemplateResult:
    """A template over all problems, over the held-out half, and over the problems plain samples never solved.

    `unlocked` is the share of the last that it solved at least once; None without such problems.
    """

    template: Template
    rate: float
    heldout: Interval
    unlocked: Interval | None


@dataclass(frozen=True, slots=True)
class Unlocked:
    """The problems that plain samples never solved, rolled out afresh.

    `tried` of the `never` were solved by some template, and get as many rollouts of their best template as before; all
    get as many plain ones.
    """

    never: int
    tried: int
    by_template: int
    """Problems that the fresh rollouts of their template solve at least once."""
    by_plain: int
    """Problems that the fresh plain rollouts solve at least once: what bad luck made look unsolvable."""
    gain: Interval
    """Share of `never` that the template solves and plain rollouts do not, less the reverse, on the `tried`."""
    probability_better: float
    """That templates are better than the plain prompt on the `tried`: the test of the race, a problem counting once."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Everything a probe found."""

    problems: int
    samples: int
    plain: PlainResult
    plain_heldout: Interval
    plain_again: Interval | None
    """Share of the never-solved that fresh plain rollouts solve: what `TemplateResult.unlocked` is compared with."""
    templates: tuple[TemplateResult, ...]
    best: TemplateResult
    """The template with the highest rate on the half that is not held out."""
    best_probability: float
    """That it is better than the plain prompt on the held-out problems, a problem counting once."""
    unlocked: Unlocked | None
    method: Method
    reason: str

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        return "Other guidance is needed" if self.method == "other guidance" else f"{self.method} fits"

    @property
    def meets_rule(self) -> bool:
        """The study's rule for P²O's regime: plain at most `PLAIN_MOST`, the best template at least `BEST_LEAST`."""
        return _meets_rule(self.plain, self.best)


def _meets_rule(plain: PlainResult, best: TemplateResult) -> bool:
    return plain.rate.mean <= PLAIN_MOST and best.heldout.mean >= BEST_LEAST


def never_solved(plain: Mapping[str, Sequence[bool]]) -> list[str]:
    """The problems without a success."""
    return [problem for problem, successes in plain.items() if not any(successes)]


def templates_for(problems: Sequence[str], sampled: Successes) -> dict[str, str]:
    """The template that solved a problem most often, among equals the one with the most successes on the others, for
    each of the problems that any solved."""
    successes = {t: sum(map(sum, rows.values())) for t, rows in sampled.items() if t != PLAIN.id}
    found: dict[str, str] = {}
    for problem in problems:
        solved = {t: sum(sampled[t][problem]) for t in successes if any(sampled[t][problem])}
        if solved:
            found[problem] = max(solved, key=lambda t: (solved[t], successes[t], t))
    return found


def summarise(
    sampled: Successes, fresh: Successes, templates: Sequence[Template], choosing: Sequence[str]
) -> ProbeResult:
    """The result of a probe.

    Args:
        sampled: the first rollouts, of the plain prompt and each template on each problem.
        fresh: further rollouts on the problems that plain ones never solved: plain ones of all, and those of
            `templates_for` where there is one.
        templates: the templates, in the order in which they are shown.
        choosing: the problems on which the best template is chosen; the others are held out.
    """
    plain = sampled[PLAIN.id]
    chosen_on = set(choosing)
    heldout = [problem for problem in plain if problem not in chosen_on]
    never = never_solved(plain)
    shares = [fmean(successes) for successes in plain.values()]
    plain_result = PlainResult(
        rate=share_interval(shares),
        never=len(never) / len(plain),
        now_and_then=sum(0 < share < MOSTLY for share in shares) / len(plain),
        mostly=sum(share >= MOSTLY for share in shares) / len(plain),
    )
    results = tuple(
        TemplateResult(
            template,
            _rate(sampled[template.id], plain),
            _interval(sampled[template.id], heldout),
            _solved(sampled[template.id], never),
        )
        for template in templates
    )
    best = max(results, key=lambda result: (_rate(sampled[result.template.id], choosing), result.template.id))
    unlocked = _unlocked(never, sampled, fresh) if never else None
    probability = probability_better(*_better_and_worse(sampled[best.template.id], plain, heldout))
    method, reason = _verdict(plain_result, best, probability, unlocked)
    return ProbeResult(
        problems=len(plain),
        samples=len(next(iter(plain.values()))),
        plain=plain_result,
        plain_heldout=_interval(plain, heldout),
        plain_again=_solved(fresh[PLAIN.id], never) if never else None,
        templates=results,
        best=best,
        best_probability=probability,
        unlocked=unlocked,
        method=method,
        reason=reason,
    )


def _verdict(
    plain: PlainResult, best: TemplateResult, probability: float, unlocked: Unlocked | None
) -> tuple[Method, str]:
    signal = 1 - plain.never
    has_signal = f"plain samples solve {signal:.0%} of the problems at least once"
    if signal >= GRPO_LEAST or unlocked is None:
        return "GRPO", f"{has_signal}: GRPO meets successes without words"
    if unlocked.gain.mean >= UNLOCKED_LEAST and unlocked.probability_better >= CONFIDENCE:
        gain = f"words unlock {unlocked.gain.mean:.0%} of the others, beyond what more plain samples would"
        return "P²O", f"{has_signal}, and {gain}{'' if probability >= CONFIDENCE else HELPS_NOWHERE_ELSE}"
    if _meets_rule(plain, best) and probability >= CONFIDENCE:
        return (
            "P²O",
            f"plain samples succeed in {plain.rate.mean:.1%}, the best template in {best.heldout.mean:.1%} on problems "
            "it was not chosen on",
        )
    return (
        "other guidance",
        f"{has_signal}, and no template reliably helps on enough of the others: with reference solutions set "
        'guidance.kind = "solution_prefix", else begin with easier problems or a stronger model',
    )


def _unlocked(never: Sequence[str], sampled: Successes, fresh: Successes) -> Unlocked:
    wins = losses = 0
    by_template = by_plain = tried = 0
    gains: list[float] = []
    best = templates_for(never, sampled)
    for problem in never:
        plain = fresh[PLAIN.id][problem]
        by_plain += any(plain)
        if problem not in best:
            gains.append(0.0)
            continue
        templated = fresh[best[problem]][problem]
        tried += 1
        by_template += any(templated)
        gains.append(float(any(templated)) - float(any(plain)))
        won, lost = _better_and_worse({problem: templated}, {problem: plain}, [problem])
        wins, losses = wins + won, losses + lost
    return Unlocked(
        never=len(never),
        tried=tried,
        by_template=by_template,
        by_plain=by_plain,
        gain=mean_of_bounded([gains], -1.0, 1.0),
        probability_better=probability_better(wins, losses),
    )


def _better_and_worse(
    mine: Mapping[str, Sequence[bool]], theirs: Mapping[str, Sequence[bool]], problems: Sequence[str]
) -> tuple[int, int]:
    """Problems on which `mine` succeed more often, and less often, than as many of `theirs`.

    A problem counts once however many rollouts it has: those of one problem say little of the next.
    """
    gains = [sum(mine[problem]) - sum(theirs[problem]) for problem in problems]
    return sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)


def _rate(rows: Mapping[str, Sequence[bool]], problems: Iterable[str]) -> float:
    shares = [fmean(rows[problem]) for problem in problems]
    return fmean(shares) if shares else 0.0


def _interval(rows: Mapping[str, Sequence[bool]], problems: Sequence[str]) -> Interval:
    return share_interval([fmean(rows[problem]) for problem in problems])


def _solved(rows: Mapping[str, Sequence[bool]], problems: Sequence[str]) -> Interval | None:
    return share_interval([float(any(rows[problem])) for problem in problems]) if problems else None
