"""A study file (TOML) and its runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from p2o.config import Config, apply_overrides, load_config
from p2o.config_errors import explain
from p2o.errors import ConfigError, InputError
from p2o.former_settings import ERAS, in_former_terms
from p2o.settings import Settings
from p2o.shipped import load_toml, shipped
from p2o.study.teacher import MODEL as TEACHER
from p2o.study.teacher import useful_share
from p2o.track.run_directory import config_values, flatten

Phase = Literal["selection", "final"]

SHIPPED_WORLD = "p2o-tiny"
"""Name of the world of the recipe's own model."""
ENDLESS = 1_000_000
"""Epochs of a run: its token budget ends it earlier."""

_FOLDER = re.compile(r"\w[\w.-]*")

NOT_IDENTITY = ("run.output", "reflection.endpoint.base_url", "checkpoint.", "track.")
"""Settings that do not change what a run computes."""


class WorldConfig(Settings):
    """A tiny model of its own: how often the plain prompt shows the method."""

    leak: float = Field(ge=0, le=1)
    steps: PositiveInt = 600
    seed: int = 0
    from_shipped: bool = True
    """Continue training the shipped model instead of training from scratch (which takes 3,000 steps)."""
    prefixes: bool = False
    """Teach the model to use the beginning of a scratchpad before a question, as other models use a hint."""

    def recipe(self) -> dict[str, Any]:
        """How the model is made, as results and worlds record it: without what earlier versions did not know."""
        return {name: value for name, value in self.model_dump().items() if name != "prefixes" or value}


class SelectionConfig(Settings):
    """How an arm's learning rate is chosen: by the area under the curve, on separate seeds and problems."""

    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1, strict=False)
    seeds: tuple[int, ...] = Field(min_length=1, strict=False)
    world: str | dict[str, str] | None = None
    """Choose in this world for all worlds; as a table, the world to choose in for each that is named (no rate is best
    where an arm learns nothing); unset, in each for itself."""

    set: dict[str, Any] = Field(default_factory=dict)


class ArmConfig(Settings):
    """One way of training."""

    label: str
    """Its name in tables and plots."""

    teaches: str = ""
    """What the comparison with it shows."""

    recipe: str | None = None
    """A recipe instead of the study's."""

    set: dict[str, Any] = Field(default_factory=dict)
    """Settings that override the recipe and the study's `set`."""

    teacher: bool = False
    """Reflection by the simulated teacher; with `set = { reflection.endpoint.model = "simulated-teacher-0.1" }` one
    reply in ten is useful."""

    select: bool = True
    """Whether the learning rate is chosen, where the study has a `selection`."""

    rate_of: str | None = None
    """The arm whose chosen learning rate it takes, instead of a choice of its own."""

    worlds: tuple[str, ...] | None = Field(None, strict=False)
    """Only in these worlds."""

    cell: Annotated[tuple[str, str], Field(strict=False)] | None = None
    """Its row and column in a two-way table."""

    plot: bool = True
    """Whether it is drawn in the plots."""

    seconds: PositiveFloat | None = None
    """Measured seconds of one run, for estimates; unset, the study's."""


class Study(Settings):
    """A study file."""

    title: str
    recipe: str = "quickstart"
    tokens: PositiveInt
    """Generated tokens of every run, the prompt step's included."""

    seeds: tuple[int, ...] = Field(min_length=1, strict=False)
    """Seeds of the final runs."""

    problems_by_seed: bool = False
    """Each final run has problems of its own: `data.seed` is its seed too."""

    seconds: PositiveFloat = 120.0
    """Measured seconds of one run on one core, for estimates."""

    set: dict[str, Any] = Field(default_factory=dict)
    """Settings of every arm."""

    compare: tuple[Annotated[tuple[str, str], Field(strict=False)], ...] = Field(default=(), strict=False)
    """Pairs of arms whose difference (first minus second) is reported."""

    selection: SelectionConfig | None = None
    worlds: dict[str, WorldConfig] = Field(default_factory=dict)
    """Worlds besides the shipped one, by name."""

    include_shipped: bool = True
    """Whether the shipped world is one of them."""

    keep_models: bool = False
    """Export the models of the final runs, into `model/` of their run directories, for `p2o eval`."""

    arms: dict[str, ArmConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name in self.worlds:
            if not _FOLDER.fullmatch(name) or name == SHIPPED_WORLD:  # made in a folder of this name
                raise ValueError(
                    f"worlds.{name}: give it another name, of letters, digits, '_', '-' and '.', that begins with none "
                    "of the last two"
                )
        for name, arm in self.arms.items():
            for world in arm.worlds or ():
                if world not in self.world_names:
                    raise ValueError(f"arms.{name}.worlds names {world!r}: there is no such world")
            if arm.rate_of is not None and (arm.rate_of not in self.arms or not self._chooses(arm.rate_of)):
                raise ValueError(
                    f"arms.{name}.rate_of names {arm.rate_of!r}: no such arm has a choice of its own"
                )
        for field in ("label", "cell"):  # of two, tables and pictures would show one
            by: dict[Any, str] = {}
            for name, arm in self.arms.items():
                value = getattr(arm, field)
                if value is not None and by.setdefault(value, name) != name:
                    raise ValueError(f"arms.{name}.{field} is that of arms.{by[value]}: give each its own")
        for name in self._selection_worlds():
            if name not in self.world_names:
                raise ValueError(f"selection.world names {name!r}: there is no such world")
        if self.selection is not None and isinstance(self.selection.world, dict):
            for name, other in self.selection.world.items():
                if self.selection.world.get(other, other) != other:
                    raise ValueError(
                        f"selection.world sends {name!r} to {other!r}, which it sends on: name the last"
                    )
        for pair in self.compare:
            for name in pair:
                if name not in self.arms:
                    raise ValueError(f"compare names {name!r}: there is no such arm")
        for place, seeds in (("seeds", self.seeds), ("selection.seeds", self.selection_seeds)):
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{place} names a seed twice")
        shared = set(self.seeds) & set(self.selection_seeds)
        if shared:
            raise ValueError(
                f"selection.seeds and seeds share {min(shared)}: the choice must not see the final runs' seeds"
            )
        return self

    @property
    def selection_seeds(self) -> tuple[int, ...]:
        """Seeds of the selection; empty without one."""
        return () if self.selection is None else self.selection.seeds

    @property
    def world_names(self) -> list[str]:
        """The worlds, the shipped one first."""
        shipped = [SHIPPED_WORLD] if self.include_shipped or not self.worlds else []
        return [*shipped, *self.worlds]

    def cells(self, only: Collection[str] = ()) -> Iterator[tuple[str, str]]:
        """The pairs (world, arm), those of the arms `only` where some are named."""
        for world in self.world_names:
            for name, arm in self.arms.items():
                if (not only or name in only) and (arm.worlds is None or world in arm.worlds):
                    yield world, name

    def selection_cells(self, only: Collection[str] = ()) -> list[tuple[str, str]]:
        """The pairs (world, arm) whose runs choose learning rates for `cells`; the arm may be none of `only`."""
        cells = (self.selection_cell(world, arm) for world, arm in self.cells(only))
        return list(dict.fromkeys(cell for cell in cells if cell is not None))

    def selection_cell(self, world: str, arm: str) -> tuple[str, str] | None:
        """The world and the arm whose runs choose the learning rate of `arm` in `world`; None: it is given."""
        by = self.arms[arm].rate_of or arm
        if self.selection is None or not self._chooses(by):
            return None
        chosen_in = self.selection.world
        if isinstance(chosen_in, str):
            return chosen_in, by
        return (chosen_in or {}).get(world, world), by

    def _selection_worlds(self) -> list[str]:
        """Every world that `selection.world` names."""
        named = None if self.selection is None else self.selection.world
        return [*named, *named.values()] if isinstance(named, dict) else [named] if named else []

    def _chooses(self, arm: str) -> bool:
        settings = self.arms[arm]
        return self.selection is not None and settings.select and settings.rate_of is None


@dataclass(frozen=True)
class Job:
    """One training run of a study."""

    world: str
    arm: str
    phase: Phase
    seed: int
    learning_rate: float | None
    """The rate under test or chosen; None: the recipe's."""

    config: Config
    """With the recipe's model, which a world made for the study replaces when the run starts."""

    teacher: bool
    world_recipe: dict[str, Any]
    differs: dict[str, Any]
    """Settings that differ from those the study gives to every arm."""

    @property
    def id(self) -> str:
        """A readable name, unique in the study."""
        rate = f"lr{self.learning_rate:g}-" if self.phase == "selection" else ""
        return f"{self.world}/{self.arm}/{self.phase}-{rate}seed{self.seed}"

    @property
    def title(self) -> str:
        """What the console calls it: the shipped world's name says nothing where the model is another one."""
        return self.id.removeprefix(f"{SHIPPED_WORLD}/")

    @property
    def fingerprint(self) -> str:
        """A hash of everything that affects what the run computes; a result with another hash does not count."""
        return self.fingerprints[0]

    @cached_property
    def fingerprints(self) -> list[str]:
        """That hash, and those under which earlier versions recorded the same run."""
        settings = {
            key: value
            for key, value in flatten(config_values(self.config)).items()
            if not key.startswith(NOT_IDENTITY)
        }
        identities = [[in_former_terms(settings, era), self.teacher, self.world_recipe] for era in ERAS]
        texts = [json.dumps(identity, sort_keys=True) for identity in identities]
        return [hashlib.sha256(text.encode()).hexdigest()[:12] for text in texts]

    @property
    def folder_name(self) -> str:
        """Name of its run directory."""
        return f"{self.id.replace('/', '--')}-{self.fingerprint}"


def study_names() -> list[str]:
    """Names of the shipped studies."""
    return list(shipped("study"))


def load_study(
    name: str, changes: Sequence[str] = (), fields: Mapping[str, Any] = MappingProxyType({})
) -> Study:
    """Reads a study (a shipped name or a path to a TOML file) and checks every arm's settings.

    Args:
        name: the study.
        changes: `key=value` settings of every arm, which override the study's `set`.
        fields: values of the study's own fields, instead of the file's, e.g. `tokens`.

    Raises:
        ConfigError: one line naming the file, and the arm or the setting.
    """
    values = load_toml(name, "study", "study")
    try:
        if isinstance(values.setdefault("set", {}), dict):
            apply_overrides(values["set"], changes)
        study = Study.model_validate({**values, **fields})
    except ValidationError as error:
        raise ConfigError(f"study {name}: {explain(error, Study)}") from None
    try:
        for world, arm in study.cells():
            make_job(study, world, arm, "final", study.seeds[0], None)
        if study.selection is not None:
            rate, seed = study.selection.learning_rates[0], study.selection.seeds[0]
            for world, arm in study.selection_cells():
                make_job(study, world, arm, "selection", seed, rate)
    except ConfigError as error:
        raise ConfigError(f"study {name}: {error}") from None
    return study


def make_job(
    study: Study, world: str, arm_name: str, phase: Phase, seed: int, learning_rate: float | None
) -> Job:
    """The run of an arm in a world.

    Raises:
        ConfigError: one line naming the arm and the setting.
    """
    arm = study.arms[arm_name]
    recipe = arm.recipe or study.recipe
    chosen = {} if phase == "final" or study.selection is None else study.selection.set
    given = flatten(study.set) | flatten(arm.set) | flatten(chosen)
    if arm.teacher:
        given = {"reflection.endpoint.model": TEACHER} | given
        # The real address is known when the server is up.
        given |= {"reflection.kind": "openai", "reflection.endpoint.base_url": "http://127.0.0.1:1/v1"}
    if learning_rate is not None:
        given["optimizer.learning_rate"] = learning_rate
    given["run.seed"] = seed
    if study.problems_by_seed and phase == "final":
        given["data.seed"] = seed
    given["run.max_generated_tokens"] = study.tokens
    try:
        planned = load_config(recipe, given)
        if planned.run.schedule_epochs is None:
            given["run.schedule_epochs"] = planned.run.epochs
        config = load_config(recipe, {**given, "run.epochs": ENDLESS})
        common = load_config(study.recipe, flatten(study.set))
        if config.reflection.endpoint is not None and arm.teacher:
            useful_share(config.reflection.endpoint.model)
    except (ConfigError, InputError) as error:
        raise ConfigError(f"arms.{arm_name}: {str(error).removeprefix('--set ')}") from None
    return Job(
        world=world,
        arm=arm_name,
        phase=phase,
        seed=seed,
        learning_rate=learning_rate,
        config=config,
        teacher=arm.teacher,
        world_recipe={} if world == SHIPPED_WORLD else study.worlds[world].recipe(),
        differs=_difference(config, common),
    )


def _difference(config: Config, common: Config) -> dict[str, Any]:
    ignored = ("run.seed", "run.epochs", "run.schedule_epochs", "run.max_generated_tokens", *NOT_IDENTITY)
    mine, theirs = flatten(config_values(config)), flatten(config_values(common))
    return {
        key: mine.get(key)
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key) and not key.startswith(ignored)
    }
