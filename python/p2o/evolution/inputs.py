"""What one prompt step works on: made by `p2o.evolve`, read by the search and by its proposer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from p2o.evolution.budget import Ledger
from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.events import Callback
from p2o.evolution.journal import Journal
from p2o.evolution.search.turns import Turns
from p2o.evolution.types import Evaluate, Fits, PlainEnough, Reads, Reflect
from p2o.outcomes.outcomes import Outcomes
from p2o.outcomes.solutions import Solutions
from p2o.types import Problem, Template


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The arguments of `p2o.evolve`, checked, with the problems split and the books opened."""

    config: EvolveConfig
    reflection: ReflectionConfig
    evaluate: Evaluate
    reflect: Reflect
    seed: int
    policy_version: str
    outcomes: Outcomes
    dev: Sequence[Problem]
    feedback: Sequence[Problem]
    shown: Sequence[Problem]
    """The feedback problems that minibatches are drawn from; the others only help to judge."""

    journal: Journal
    ledger: Ledger
    identity: str = ""
    """A hash of what makes the step this step."""

    solutions: Solutions | None = None
    """What worked examples are made of, those of the step added as they come in; None where nobody quotes any."""

    templates: Sequence[Template] = ()
    """Those given, without the plain one and without duplicates."""

    merged: Mapping[str, str] = field(default_factory=dict)
    """Ids of duplicate problems -> that of the one kept."""

    callbacks: Sequence[Callback] = ()
    plain_text: str = ""
    """What the reflection model is shown as the plain prompt's text."""

    reflection_fits: Fits | None = None
    policy_reads: Reads | None = None
    max_rounds: int | None = None
    time_limit_s: float | None = None
    plain_enough: PlainEnough | None = None
    max_fruitless: int | None = None
    turns: Turns = field(default_factory=Turns)
    """The rounds that are open; whoever asks for rollouts or replies waits here."""
