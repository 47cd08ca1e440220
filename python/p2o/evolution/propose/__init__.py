"""Where templates come from: proposers, by the names of `evolve.proposer`."""

from p2o.errors import ConfigError
from p2o.evolution.config import PROPOSERS, EvolveConfig, ReflectionConfig
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.plugins import look_up_class

__all__ = [
    "Proposal",
    "Proposer",
    "Task",
    "check_source_of_templates",
    "find_proposer",
    "make_proposer",
    "nobody_proposes",
]


def find_proposer(name: str) -> type[Proposer]:
    """The class that `evolve.proposer` names."""
    return look_up_class(PROPOSERS, name, "evolve.proposer", Proposer)


def nobody_proposes(evolve: EvolveConfig, reflection: ReflectionConfig) -> bool:
    """Whether the templates given are all there are: the proposer would ask a reflection model that is not there."""
    return reflection.kind == "none" and find_proposer(evolve.proposer).reflects


def make_proposer(inputs: StepInputs) -> Proposer | None:
    """The proposer of `evolve.proposer`; None where nobody proposes."""
    if nobody_proposes(inputs.config, inputs.reflection):
        return None
    return find_proposer(inputs.config.proposer)(inputs)


def check_source_of_templates(evolve: EvolveConfig, reflection: ReflectionConfig) -> None:
    """Refuses a prompt step that has nothing to judge, and templates that it would never try.

    Raises:
        ConfigError: also if there is no such proposer.
    """
    alone = nobody_proposes(evolve, reflection)
    if evolve.search == "random" and evolve.templates is not None and not alone:
        raise ConfigError(
            'evolve.search = "random" takes all of evolve.templates (reflection.kind = "none") or what the reflection '
            "model proposes, not both: leave evolve.templates out"
        )
    if alone and evolve.templates is None:
        raise ConfigError(
            'reflection.kind is "none", which leaves the prompt step nothing to judge: set evolve.templates'
        )
    find_proposer(evolve.proposer)
