"""What templates leave behind: queries on the ledger about what is solved plain once the template is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

from p2o.outcomes.outcomes import TRAINING, ContextTally, Outcomes, Tally
from p2o.templates import PLAIN


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of the problems solved under a template.

    Each problem counts once: from the first version in which training solved it under the template, or a prompt step
    where training never did. It is looked at once, in the first later version in whose training it was tried
    plain; a problem that was tried several times then counts as solved by its success rate, so that many trials are
    no better than one.
    """

    problems: int = 0
    """Problems solved under the template."""
    tried: int = 0
    """Those of them tried plain later."""
    solved: float = 0.0
    """Those of them solved plain then: the sum of the rates."""
    compared: int = 0
    """Those tried later that training also tried plain in the version of the success, before it was learnt from."""
    gained: float = 0.0
    """Sum over the compared ones of the plain rate later minus the plain rate in the version of the success."""

    @property
    def share(self) -> float | None:
        """Of the problems solved under the template and tried plain later, the share solved."""
        return self.solved / self.tried if self.tried else None

    @property
    def gain(self) -> float | None:
        """How much the plain rate of the compared problems rose."""
        return self.gained / self.compared if self.compared else None


@dataclass(frozen=True, slots=True)
class Reliance:
    """How training did on the problems that one version tried both under a template and plain: means of their rates."""

    policy_version: str
    problems: int
    under: float
    plain: float

    @property
    def difference(self) -> float:
        """Success under the template minus plain success."""
        return self.under - self.plain


def transfers(outcomes: Outcomes) -> dict[str, Transfer]:
    """The transfer of every template that was tried, by its id, sorted."""
    plain = [_plain_rates(outcomes.tallies(version)) for version in outcomes.versions]
    found: dict[str, Transfer] = {}
    first: dict[tuple[str, str], tuple[bool, int]] = {}
    for position, version in enumerate(outcomes.versions):
        for (source, template, problem), tally in outcomes.tallies(version).items():
            if template == PLAIN.id:
                continue
            found[template] = Transfer()
            if tally.successes > 0:
                success = (source != TRAINING, position)
                first[template, problem] = min(success, first.get((template, problem), success))
    for (template, problem), (_, position) in sorted(first.items()):
        before = plain[position].get(problem)
        after = next((rates[problem] for rates in plain[position + 1 :] if problem in rates), None)
        known = found[template]
        found[template] = Transfer(
            problems=known.problems + 1,
            tried=known.tried + (after is not None),
            solved=known.solved + (after or 0.0),
            compared=known.compared + (after is not None and before is not None),
            gained=known.gained + (0.0 if after is None or before is None else after - before),
        )
    return dict(sorted(found.items()))


def reliances(outcomes: Outcomes) -> dict[str, list[Reliance]]:
    """The reliance on each template, by its id, in every version whose training tried it beside the plain prompt, the
    newest first."""
    found: dict[str, list[Reliance]] = {}
    for version in reversed(outcomes.versions):
        tallies = outcomes.tallies(version)
        plain = _plain_rates(tallies)
        pairs: dict[str, list[tuple[float, float]]] = {}
        for (source, template, problem), tally in sorted(tallies.items()):
            if source == TRAINING and template != PLAIN.id and problem in plain:
                pairs.setdefault(template, []).append((tally.successes / tally.trials, plain[problem]))
        for template, rates in pairs.items():
            under, without = (sum(side) / len(rates) for side in zip(*rates, strict=True))
            found.setdefault(template, []).append(Reliance(version, len(rates), under, without))
    return found


def transfer_records(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A line for each template that was tried: its transfer so far, and reliance and context ratio in the newest
    version that has any."""
    reliance = reliances(outcomes)
    records: list[dict[str, Any]] = []
    for template, transfer in transfers(outcomes).items():
        newest = reliance.get(template, [None])[0]
        context = next(
            (known for v in reversed(outcomes.versions) if (known := outcomes.context(v, template)).tokens),
            ContextTally(),
        )
        records.append(
            {
                "template": template,
                "problems": transfer.problems,
                "tried_later": transfer.tried,
                "solved_later": transfer.share,
                "gain": transfer.gain,
                "compared": transfer.compared,
                "reliance": None if newest is None else newest.difference,
                "reliance_problems": 0 if newest is None else newest.problems,
                "context_tokens": context.tokens,
                "context_ratio": exp(context.log_ratio / context.tokens) if context.tokens else None,
                "context_masked": context.masked / context.tokens if context.tokens else None,
            }
        )
    return records


def _plain_rates(tallies: Mapping[tuple[str, str, str], Tally]) -> dict[str, float]:
    """The success rates of training's plain rollouts, by problem."""
    return {
        problem: tally.successes / tally.trials
        for (source, template, problem), tally in tallies.items()
        if source == TRAINING and template == PLAIN.id
    }
