"""Where templates come from: proposers, by the names of `evolve.proposer`."""

from p2o.errors import ConfigError
from p2o.evolution.config import PROPOSERS, EvolveConfig, ReflectionConfig
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.plugins import look_up_class

__all__ = ["Proposal", "Proposer", "Task", "check_proposer", "proposer_class"]


def proposer_class(evolve: EvolveConfig, reflection: ReflectionConfig) -> type[Proposer]:
    """The proposer of a step: that of `evolve.proposer`, or the one in its place (`given`) where it would ask a
    reflection model that is not there.

    Raises:
        ConfigError: if there is no such class.
    """
    found = look_up_class(PROPOSERS, evolve.proposer, "evolve.proposer", Proposer)
    if found.reflects and reflection.kind == "none":
        return look_up_class(PROPOSERS, found.without_reflection, "evolve.proposer", Proposer)
    return found


def check_proposer(evolve: EvolveConfig, reflection: ReflectionConfig) -> None:
    """Refuses what the proposer cannot work with, prompts that cannot be read, and templates that would never be tried.

    Raises:
        ConfigError: also if there is no such proposer.
    """
    proposer = proposer_class(evolve, reflection)
    proposer.check(evolve, reflection)
    proposer.prompts(evolve, reflection)
    if evolve.search == "random" and evolve.templates is not None and proposer.in_rounds:
        raise ConfigError(
            'evolve.search = "random" takes all of evolve.templates (reflection.kind = "none") or what the reflection '
            "model proposes, not both: leave evolve.templates out"
        )
