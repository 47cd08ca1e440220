"""Where templates come from: proposers, by the names of `evolve.proposer`."""

from p2o.errors import ConfigError
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose.extract import extract_template
from p2o.evolution.propose.prompt import ReflectionExample, ReflectionPrompt, load_prompt, render_reflection
from p2o.evolution.propose.proposer import Proposal, Proposer, Task
from p2o.evolution.propose.reflection import Reflection
from p2o.plugins import look_up

__all__ = [
    "PROPOSERS",
    "Proposal",
    "Proposer",
    "ReflectionExample",
    "ReflectionPrompt",
    "Task",
    "extract_template",
    "find_proposer",
    "load_prompt",
    "make_proposer",
    "render_reflection",
]

PROPOSERS: dict[str, type[Proposer]] = {"reflection": Reflection}


def find_proposer(name: str) -> type[Proposer]:
    """The class that `evolve.proposer` names.

    Raises:
        ConfigError: if it cannot be imported, or is no proposer.
    """
    found: object = look_up(PROPOSERS, name, "evolve.proposer")
    if not isinstance(found, type) or not issubclass(found, Proposer):
        raise ConfigError(
            f"evolve.proposer = {name!r} is no proposer: derive it from p2o.evolution.propose.Proposer"
        )
    return found


def make_proposer(inputs: StepInputs) -> Proposer | None:
    """The proposer of `evolve.proposer`; None where it would have to ask a reflection model that is not there."""
    proposer = find_proposer(inputs.config.proposer)
    return None if proposer.reflects and inputs.reflection.kind == "none" else proposer(inputs)
