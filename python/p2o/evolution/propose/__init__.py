"""Where templates come from: proposers, by the names of `evolve.proposer`."""

from p2o.evolution.config import PROPOSERS
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.plugins import look_up_class

__all__ = ["Proposal", "Proposer", "Task", "find_proposer", "make_proposer"]


def find_proposer(name: str) -> type[Proposer]:
    """The class that `evolve.proposer` names."""
    return look_up_class(PROPOSERS, name, "evolve.proposer", Proposer)


def make_proposer(inputs: StepInputs) -> Proposer | None:
    """The proposer of `evolve.proposer`; None where it would have to ask a reflection model that is not there."""
    proposer = find_proposer(inputs.config.proposer)
    return None if proposer.reflects and inputs.reflection.kind == "none" else proposer(inputs)
