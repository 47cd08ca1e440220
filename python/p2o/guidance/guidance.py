"""What the loop asks of guidance: something for the problems that are hard, and who gets what.

To add a kind: a subclass of `Guidance` in a file of its own, a name in `GuidanceKind` and a line in `GUIDANCES`; or a
class of your own, named by its import path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from p2o.config import Config
from p2o.errors import ConfigError
from p2o.evolution.types import Reflect
from p2o.guidance.config import GUIDANCES
from p2o.outcomes.hardness import HardKind
from p2o.plugins import look_up_class
from p2o.rollout.collect import Collector
from p2o.state import LoopState
from p2o.templates import PLAIN
from p2o.track.console import Console
from p2o.track.run_directory import RunDirectory
from p2o.types import Group, Problem, Template


@dataclass(frozen=True, slots=True)
class GuidanceParts:
    """What a run has for its guidance."""

    config: Config
    problems: Sequence[Problem]
    """The training problems."""
    collector: Collector
    reflect: Reflect
    """The reflection model."""
    directory: RunDirectory
    console: Console
    templates: Sequence[Template] = ()
    """Those of `evolve.templates`, read when the run began."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a step of guidance brought."""

    tokens: int
    """Generated for it, beside training's."""
    summary: Mapping[str, Any]
    """For the history and the final table: `templates` (texts), `tokens`, `reason` (a few words), `refusals`."""
    groups: Sequence[Group] = ()
    """Rollouts that it made and that may be trained on, by the weights that are there."""


class Guidance(ABC):
    """Guidance of hard problems. All ranks call it with the same arguments and get the same."""

    needs_solutions: ClassVar[bool] = False
    """Whether it is made from reference solutions."""

    quotes: bool = False
    """Whether it quotes the policy's own solutions: only then does a run keep any."""

    def __init__(self, parts: GuidanceParts) -> None:
        self.parts = parts
        self.config = parts.config

    @abstractmethod
    def find(self, state: LoopState, hard: Mapping[str, HardKind]) -> Found:
        """Makes guidance for the hard problems, by the policy of `state.version`, which has begun.

        What a killed run must find again goes into `state` or a file of the run directory; it is called again with the
        same state where a run was killed before the next checkpoint.
        """

    @abstractmethod
    def assign(self, state: LoopState, guided: Sequence[str], seed: int) -> dict[str, list[Template]]:
        """The templates of the n rollouts of each problem to be guided: ids of hard problems, and of some not tried yet
        that are likely to be."""

    def in_use(self, state: LoopState) -> Template:
        """The template that one would keep at test time, for `evaluation.guided`; the plain one if there is none that
        serves unseen problems."""
        return PLAIN


def guidance_class(kind: str) -> type[Guidance]:
    """The class of `guidance.kind`. Raises ConfigError where an import path leads to none."""
    return look_up_class(GUIDANCES, kind, "guidance.kind", Guidance)


def check_solutions(config: Config, problems: Sequence[Problem]) -> None:
    """Refuses guidance by reference solutions where there are none.

    Raises:
        ConfigError: naming the setting that leads to them.
    """
    needed = config.run.method == "p2o" and guidance_class(config.guidance.kind).needs_solutions
    if needed and not any(problem.solution for problem in problems):
        raise ConfigError(
            f"guidance.kind = {config.guidance.kind!r} is made from reference solutions, and no training problem has "
            "one: set data.solution_key"
        )
