"""Where a run is: what a checkpoint holds beside the policy."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from p2o.errors import CheckpointError
from p2o.evolution.result import Candidate, Evolution
from p2o.files import json_line
from p2o.outcomes.outcomes import Outcomes
from p2o.outcomes.solutions import Solutions
from p2o.templates import make_template
from p2o.types import Template

SCHEMA = 5
"""Version of the form below."""


@dataclass
class LoopState:
    """Where the run is. Everything here is in a checkpoint; everything else derives from the configuration."""

    outcomes: Outcomes
    epoch: int = 0
    version: int = 0
    """Policy versions that the ledger of outcomes tells apart: one begins after each epoch and each prompt step."""
    epoch_step: int = 0
    """Steps done in this epoch."""
    epoch_problems: int = 0
    """Problems rolled out in this epoch."""
    step: int = 0
    """Steps done in the run."""
    training_tokens: int = 0
    prompt_step_tokens: int = 0
    """Tokens of the prompt step: rollouts under candidates and reflection."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase: `rollouts`, `update`, `prompt_step`, `evaluation`."""
    evolution: Evolution | None = None
    """The prompt step whose templates are in use."""
    solutions: Solutions = field(default_factory=Solutions)
    """Verified responses of the run; none are kept where no proposer quotes any."""
    assignment: dict[str, list[Template]] = field(default_factory=dict)
    """Templates of each hard problem's rollouts in this epoch, one per rollout."""
    solved_under: dict[str, Template] = field(default_factory=dict)
    """The template under which training last solved each problem, as of the last prompt step."""
    guided_at: int = 0
    """Step before which the last prompt step took place."""
    unlocked: list[float] = field(default_factory=list)
    """What each prompt step's templates unlocked (`p2o.guidance.spending.unlocked_share`)."""
    tried_proposals: int = 0
    """Proposals of prompt steps that were rolled out."""
    accepted_proposals: int = 0
    """Those of them that were accepted."""
    logged: int = 0
    """Lines of metrics written: a resumed run drops the later ones."""
    logged_check: int = 0
    """CRC-32 of those lines."""
    templates_logged: int | None = 0
    """Candidates of prompt steps written; None in checkpoints of earlier versions."""
    templates_check: int = 0
    """CRC-32 of their lines."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per evaluation: step, tokens, accuracies, hard problems, templates."""
    finished: bool = False

    @property
    def seconds(self) -> float:
        """Time of training, which evaluations are no part of."""
        return sum(seconds for phase, seconds in self.phases.items() if phase != "evaluation")

    @property
    def generated_tokens(self) -> int:
        """All tokens generated to learn from: what comparisons between methods are made at."""
        return self.training_tokens + self.prompt_step_tokens

    def count_line(self, record: Mapping[str, Any]) -> None:
        """Takes in that a line of metrics was written."""
        self.logged += 1
        self.logged_check = zlib.crc32(json_line(record).encode(), self.logged_check)

    def count_templates(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Takes in that the candidates of a prompt step were written."""
        if self.templates_logged is not None:
            self.templates_logged += len(records)
            self.templates_check = zlib.crc32("".join(map(json_line, records)).encode(), self.templates_check)

    def count_proposals(self, tried: Sequence[Candidate]) -> None:
        """Takes in what became of the proposals that a prompt step tried out."""
        self.tried_proposals += len(tried)
        self.accepted_proposals += sum(candidate.accepted for candidate in tried)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the checkpoint."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "schema": SCHEMA,
            "outcomes": self.outcomes.to_dict(),
            "solutions": self.solutions.to_dict(),
            "evolution": None if self.evolution is None else self.evolution.to_dict(),
            "assignment": {
                problem: [template.text for template in templates]
                for problem, templates in self.assignment.items()
            },
            "solved_under": {problem: template.text for problem, template in self.solved_under.items()},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LoopState:
        """What `to_dict` wrote.

        Raises:
            CheckpointError: if another version of p2o wrote it.
        """
        schema = values.get("schema", 1)
        if schema != SCHEMA:
            raise CheckpointError(
                f"the checkpoint is of schema {schema}, and this version of p2o reads {SCHEMA}: go on with the version "
                "that wrote it, or start a new run"
            )
        evolution = values["evolution"]
        return cls(
            **{
                "templates_logged": None,
                **{name: value for name, value in values.items() if name != "schema"},
                "evolution": None if evolution is None else Evolution.from_dict(evolution),
                "outcomes": Outcomes.from_dict(values["outcomes"]),
                "solutions": Solutions.from_dict(values["solutions"])
                if "solutions" in values
                else Solutions(),
                "assignment": {
                    problem: [make_template(text) for text in texts]
                    for problem, texts in values["assignment"].items()
                },
                "solved_under": {
                    problem: make_template(text) for problem, text in values.get("solved_under", {}).items()
                },
            }
        )
