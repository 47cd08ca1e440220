"""The templates given, and no others."""

from __future__ import annotations

from collections.abc import Sequence

from p2o.errors import ConfigError
from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.propose.proposer import Proposal, Proposer, Task


class Given(Proposer):
    """Proposes those of `evolve.templates` and of the step before, with which every proposer begins, and no others."""

    in_rounds = False

    @classmethod
    def check(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> None:
        """Refuses a prompt step without a template."""
        super().check(evolve, reflection)
        if evolve.templates is None:
            setting = "evolve.proposer" if evolve.proposer == "given" else "reflection.kind"
            value = "given" if evolve.proposer == "given" else reflection.kind
            raise ConfigError(
                f'{setting} is "{value}", which leaves the prompt step nothing to judge: set evolve.templates'
            )

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        """Nothing: it is given no tasks."""
        return []
