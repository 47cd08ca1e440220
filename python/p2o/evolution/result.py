"""What the prompt step returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pydantic import TypeAdapter

from p2o.errors import InputError, harmless
from p2o.evolution.budget import Ledger
from p2o.types import Template

UNPROPOSED = ("plain", "given")
"""What `made_by` says of candidates that came from no proposer."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A template that was tried, and what became of it.

    `id` counts the candidates of this step from 0, `parents` are such ids. `minibatch` holds the feedback problems with
    the mean reward of the (first) parent and of the candidate. `scores` are rewards and trials per dev problem id: on
    the whole dev set if accepted, on the part raced over if refused in the race, else empty. `mean` is the mean reward
    of the first rollouts and `success_rate` the share of successes among them: `scores` count replicas, which were made
    where the first went well. Acceptance goes by `probability_better`, the posterior probability of the race, or by
    `e_value`, the higher one of the sequential test; under other rules both are None. `made_by` is `plain`, `given`,
    `mutation`, `crossover`, or another proposer's word; `cost` what its proposal cost.
    """

    id: int
    template: Template
    parents: tuple[int, ...] = ()
    made_by: str = "mutation"
    round: int = 0
    accepted: bool = False
    reason: str = ""
    minibatch: tuple[tuple[str, float, float], ...] = ()
    scores: dict[str, tuple[float, int]] = field(default_factory=dict)
    probability_better: float | None = None
    e_value: float | None = None
    mean: float = 0.0
    success_rate: float = 0.0
    cost: float = 0.0

    @property
    def proposed(self) -> bool:
        """Whether it came in a round, from a proposer."""
        return self.made_by not in UNPROPOSED

    @property
    def tried(self) -> bool:
        """Whether it was rolled out."""
        return bool(self.minibatch or self.scores)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form: a line of `templates.jsonl`."""
        return asdict(self)


PLAIN_ENOUGH = "plain rollouts do"
"""The stop reason where the plain prompt's success rate on dev is at least `plain_enough` of `p2o.evolve`."""

FRUITLESS = "fruitless"
"""The stop reason after `max_fruitless` proposals in a row that were not accepted."""

COVER_THRESHOLD = 0.5
"""Score from which a dev problem counts as solved: the success rate in `strict`, its posterior mean in `posterior`."""


@dataclass(frozen=True, slots=True)
class Evolution:
    """The result of a prompt step.

    `chosen` are the training templates in the order of the cover; the plain one only under the cover
    `greedy_with_plain`, where it is one of the `solvers` too. `refusals` counts
    the proposals by why they were refused, those without a template included. `solvers` are the accepted
    templates, by their ids, that have a success rate of at least `COVER_THRESHOLD` on a dev problem; `solved`
    counts such problems. `merged` leads from the id of a duplicate problem to the one that was kept.
    """

    policy_version: str
    candidates: tuple[Candidate, ...]
    chosen: tuple[Template, ...]
    dev_ids: tuple[str, ...]
    feedback_ids: tuple[str, ...]
    ledger: Ledger
    stop_reason: str
    rounds: int = 0
    solved: int = 0
    solvers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The step in a few lines: why it stopped, what it cost, how good the templates are, what was refused."""
        ledger, metrics = self.ledger, self.metrics()
        lines = [
            f"stopped by: {self.stop_reason}; {ledger.rollouts:,} rollouts, "
            f"{ledger.reflection_calls:,} reflections, cost {ledger.reflection_cost:.2f}"
        ]
        if self.candidates and self.candidates[0].scores:
            lines.append(
                f"{len(self.dev_ids)} dev problems: plain prompt {metrics['evolve/dev_plain']:.1%}, solved by some "
                f"template {metrics['evolve/dev_solved']:.1%}"
            )
        for number, template in enumerate(self.chosen, start=1):
            candidate = self.candidate_of(template.id)
            mean = f"{candidate.mean:.1%}" if candidate is not None and candidate.scores else "not evaluated"
            lines.append(f"template {number}: {mean}")
            lines += [f"    {line}" for line in (template.text or "(the plain prompt)").splitlines()]
        if not self.chosen:
            lines.append("no template was chosen")
        lines += [f"refused, {reason}: {count}" for reason, count in self.refusals.items()]
        return "\n".join(harmless(line.expandtabs(4)) for line in lines)

    def accepted(self) -> list[Candidate]:
        """The candidates on the dev set: the plain prompt, the templates given, and the accepted proposals."""
        return [candidate for candidate in self.candidates if candidate.accepted]

    def candidate_of(self, template_id: str) -> Candidate | None:
        """The accepted candidate with a template."""
        return next((c for c in self.candidates if c.accepted and c.template.id == template_id), None)

    def metrics(self) -> dict[str, float]:
        """The step in numbers, under names that stay the same."""
        accepted = self.accepted()
        proposals = [candidate for candidate in self.candidates if candidate.proposed]
        plain = next((c.mean for c in accepted if c.made_by == "plain"), 0.0)
        return {
            "evolve/rounds": float(self.rounds),
            "evolve/proposals": float(len(proposals)),
            "evolve/accepted": float(sum(c.accepted for c in proposals)),
            "evolve/refused": float(sum(self.refusals.values())),
            "evolve/chosen": float(len(self.chosen)),
            "evolve/dev_size": float(len(self.dev_ids)),
            "evolve/dev_plain": plain,
            "evolve/dev_best": max((c.mean for c in accepted), default=0.0),
            "evolve/dev_solved": self.solved / len(self.dev_ids),
            "evolve/rollouts": float(self.ledger.rollouts),
            "evolve/rollout_tokens": float(self.ledger.rollout_tokens),
            "evolve/reflection_calls": float(self.ledger.reflection_calls),
            "evolve/reflection_tokens": float(self.ledger.reflection_tokens),
            "evolve/reflection_cost": self.ledger.reflection_cost,
        }

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form."""
        return {"schema": 1, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Reads what `to_dict` wrote, JSON in between or not.

        Raises:
            InputError: if the schema is another one.
        """
        if data.get("schema") != 1:
            raise InputError(
                f"evolution of schema {data.get('schema')!r} cannot be read; this version reads 1"
            )
        return TypeAdapter(cls).validate_python(data)
