"""The settings of a run: a recipe (TOML) and `--set` overrides, checked before anything heavy is imported.

A module's settings live beside its code; this module puts them together, resolves recipes by name and turns every
mistake into one line that names the setting.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    SerializeAsAny,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from p2o.config_errors import explain
from p2o.data import DatasetData, JsonlData, RecordData, TinyData
from p2o.errors import ConfigError, brief
from p2o.evolution.config import EvolveConfig, ReflectionConfig, is_greedy, races
from p2o.guidance.config import WITHOUT_REFLECTION, GuidanceConfig
from p2o.outcomes.config import AssignConfig, MiningConfig
from p2o.plugins import look_up_class
from p2o.policy.config import CorrectionConfig, LossConfig
from p2o.policy.context import ContextConfig
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.rollout.config import RolloutConfig
from p2o.rollout.reward import RewardConfig
from p2o.settings import Settings, not_plain
from p2o.shipped import load_toml, shipped
from p2o.track.config import TrackConfig


class RunConfig(Settings):
    """What is run, for how long, and where it is written."""

    method: Literal["p2o", "grpo"] = "p2o"
    """`p2o`: a prompt step between the epochs. `grpo`: none; everything else is the same."""

    seed: int = Field(0, ge=0, lt=2**63)
    """Every random draw derives from it."""

    epochs: int = Field(10, ge=1)
    """Passes over the training problems."""

    schedule_epochs: int | None = Field(None, ge=1)
    """Epochs at whose end the learning-rate schedule is at its end; unset, `epochs`. For a run that is ended by
    `max_generated_tokens`."""

    max_generated_tokens: int | None = Field(None, ge=1)
    """Stop after the step in which this many tokens have been generated, the prompt step's included."""

    batch_problems: int = Field(128, ge=1)
    """Problems per step; each gives a group of `rollout.n` rollouts."""

    mini_batch_problems: int | None = Field(None, ge=1)
    """Problems per optimizer step; unset, a step is one optimizer step."""

    output: Path | None = Field(None, strict=False)
    """The run directory; unset, `runs/<recipe>-<method>-seed<seed>`."""

    threads: int | None = Field(None, ge=1)
    """CPU threads of torch; unset, torch decides. Part of what makes a run repeatable."""


class ModelConfig(Settings):
    """The policy at the start."""

    source: str
    """A hub id, a local folder, a .gguf file, or `p2o-tiny` (shipped)."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights in training."""

    head_dtype: Literal["float32"] | None = None
    """Type of the logits: `float32` multiplies the output matrix in float32, in training and in sampling, which brings
    a bfloat16 trainer and its sampler closer together. Unset: that of the weights, unless the model's configuration
    has a `head_dtype`."""

    device: str = "auto"
    """`auto` takes a GPU if there is one; else `cpu`, `cuda`, `cuda:1`."""

    trust_remote_code: bool = False
    """Run code that comes with the model. Only for sources you trust."""

    chat_template: Path | None = Field(None, strict=False)
    """A Jinja file in place of the model's own chat template. It goes out with the trained model."""

    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the chat template: `{ enable_thinking = false }` for Qwen3 without thoughts. Whoever uses
    the trained model has to give the same."""


class EvaluationConfig(Settings):
    """Accuracy on the evaluation problems, on plain prompts."""

    samples: int = Field(1, ge=1)
    """Completions per problem."""

    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""

    every: int | None = Field(None, ge=1)
    """Evaluate every so many steps as well as at each epoch's end; unset, at epoch ends only."""

    guided: bool = False
    """Evaluate under the best template in use as well: for training that means to keep its prompt
    (`context.distillation = "none"`)."""


class CheckpointConfig(Settings):
    """What is kept on disk."""

    every: int = Field(50, ge=1)
    """Steps between checkpoints; one is also written at each epoch's end."""

    keep: int = Field(2, ge=1)
    """Newest checkpoints kept."""


class Config(Settings):
    """A whole run."""

    run: RunConfig = RunConfig()
    model: ModelConfig
    data: SerializeAsAny[TinyData | JsonlData | DatasetData] = Field(discriminator="kind")
    rollout: RolloutConfig = RolloutConfig()
    reward: RewardConfig = RewardConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    context: ContextConfig = ContextConfig()
    correction: CorrectionConfig = CorrectionConfig()
    mining: MiningConfig = MiningConfig()
    evolve: EvolveConfig = EvolveConfig()
    reflection: ReflectionConfig = ReflectionConfig()
    assign: AssignConfig = AssignConfig()
    guidance: GuidanceConfig = GuidanceConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    track: TrackConfig = TrackConfig()

    @field_validator("data", mode="wrap")
    @classmethod
    def _source_of_your_own(cls, value: Any, known: ValidatorFunctionWrapHandler) -> Any:
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str) or ":" not in kind:
            return known(value)
        return look_up_class({}, kind, "kind", RecordData).model_validate(value)

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        if self.assign.plain_rollouts >= self.rollout.n:
            raise ValueError(
                f"assign.plain_rollouts is {self.assign.plain_rollouts}, but a group has only rollout.n = "
                f"{self.rollout.n} rollouts: leave at least one for the templates"
            )
        if self.assign.rehearsal >= self.rollout.n:
            raise ValueError(
                f"assign.rehearsal is {self.assign.rehearsal}, but a group has only rollout.n = {self.rollout.n} "
                "rollouts: leave at least one plain"
            )
        if self.context.distillation == "reverse_kl" and self.guidance.train_on_evaluations:
            raise ValueError(
                'context.distillation = "reverse_kl" learns from plain rollouts, guidance.train_on_evaluations from '
                "those of a prompt step, which are under templates: set the latter to false"
            )
        if self.guidance.kind == "self_hint" and self.reflection.kind == "none":
            raise ValueError(
                'guidance.kind = "self_hint" needs a reflection model that writes the hints: set reflection.kind'
            )
        endpoint = self.reflection.endpoint
        for name, table in (
            ("model.chat_template_kwargs", self.model.chat_template_kwargs),
            ("rollout.vllm.extra", self.rollout.vllm.extra),
            ("reflection.endpoint.extra_body", {} if endpoint is None else endpoint.extra_body),
        ):
            for value in not_plain(table):
                raise ValueError(
                    f"{name} holds {brief(value)}, which a resumed run could not read as it is: give texts, numbers, "
                    "booleans, and lists and tables of them"
                )
        mini = self.run.mini_batch_problems
        if mini is not None and mini > self.run.batch_problems:
            raise ValueError(
                f"run.mini_batch_problems is {mini}, over run.batch_problems = {self.run.batch_problems}"
            )
        longest = self.rollout.max_tokens
        if self.loss.overlong_buffer > longest:
            raise ValueError(
                f"loss.overlong_buffer is {self.loss.overlong_buffer}, over rollout.max_tokens = {longest}"
            )
        rollout = self.rollout
        one_draw = is_greedy(temperature=rollout.temperature, top_p=rollout.top_p, top_k=rollout.top_k)
        if self.run.method == "p2o" and one_draw and races(self.evolve):
            raise ValueError(
                f"rollout.temperature = {rollout.temperature}, top_p = {rollout.top_p} and top_k = {rollout.top_k} "
                'draw the same completion each time, and evolve.acceptance = "posterior" decides by repeated ones: '
                'sample at a higher temperature, or set evolve.acceptance = "sequential"'
            )
        if self.correction.mode == "sequence" and (self.rollout.top_p < 1 or self.rollout.top_k):
            truncation = (
                f"top_k = {self.rollout.top_k}" if self.rollout.top_k else f"top_p = {self.rollout.top_p}"
            )
            raise ValueError(
                f'correction.mode = "sequence" goes with the whole distribution, not with rollout.{truncation}: the '
                "trainer gives what is cut off its share, and every sequence would be left out; set rollout.top_p = 1 "
                'and rollout.top_k = 0, or correction.mode = "token"'
            )
        return self

    def own_parts(self) -> dict[str, str]:
        """Import paths of the run's own parts, by setting; the reward function looks after its own."""
        paths = {
            "rollout.sampler": self.rollout.sampler,
            "loss.name": self.loss.name,
            "context.mode": self.context.mode,
            "evolve.proposer": self.evolve.proposer,
            "guidance.kind": self.guidance.kind,
        }
        return {setting: path for setting, path in paths.items() if ":" in path}

    @property
    def needs_start_weights(self) -> bool:
        """Whether a frozen copy of the start weights is needed: for self-reflection or the KL term. An engine that has
        the policy as adapters has the start weights under them."""
        reflects = self.asks_reflection and self.reflection.kind == "self"
        adapters = self.rollout.sampler in ("vllm", "vllm-server") and self.rollout.vllm.lora == "adapter"
        return (reflects and not adapters) or self.loss.kl_coef > 0

    @property
    def asks_reflection(self) -> bool:
        """Whether guidance asks a reflection model."""
        return self.run.method == "p2o" and self.guidance.kind not in WITHOUT_REFLECTION


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return list(shipped("recipes"))


Overrides = Mapping[str, Any] | Sequence[str]
"""Settings over those of a recipe: values by dotted names, or a `section.name=value` each."""


def load_config(recipe: str, overrides: Overrides = ()) -> Config:
    """Reads a recipe (a shipped name or a path to a TOML file) and applies overrides.

    Paths in a recipe file are relative to the working directory. A recipe that `extends` another one has its settings
    but for those that it names itself.

    Raises:
        ConfigError: one line naming the file or the setting.
    """
    values = load_recipe(recipe)
    apply_overrides(values, overrides)
    return build_config(values)


def load_recipe(recipe: str, extended_by: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a recipe, those of the recipes that it extends included.

    Raises:
        ConfigError: if there is none of that name, it is a run directory, or recipes extend each other.
    """
    if recipe in extended_by:
        raise ConfigError(f"recipe {recipe} extends itself: {' -> '.join([*extended_by, recipe])}")
    if recipe not in recipe_names() and (Path(recipe) / "config.toml").exists():
        raise ConfigError(
            f"{recipe} is a run directory, not a recipe: p2o-train --resume {recipe} continues it; the settings of the "
            f"run, for a new one, are {Path(recipe) / 'config.toml'}"
        )
    return extended(load_toml(recipe, "recipe", "recipes"), recipe, extended_by)


def extended(values: Mapping[str, Any], recipe: str, extended_by: Sequence[str] = ()) -> dict[str, Any]:
    """The values of a recipe as it is written, with those of the recipe that it `extends` under them."""
    values = dict(values)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"recipe {recipe}: extends = {base!r} is no name of a recipe")
    return merged(load_recipe(base, [*extended_by, recipe]), values)


def shipped_base(recipe: str) -> str | None:
    """The shipped recipe that a recipe is or, in the end, extends; None if it extends none."""
    names = recipe_names()
    base: str | None = recipe
    while base is not None and base not in names:
        base = load_toml(base, "recipe", "recipes").get("extends")
    return base


def merged(base: Any, values: Any) -> dict[str, Any]:
    """Tables of `base` with those of `values` over them; a section of another kind takes the place of the former."""
    result = dict(base)
    for name, value in values.items():
        former: Any = result.get(name)
        both = isinstance(former, Mapping) and isinstance(value, Mapping)
        another = both and value.get("kind", former.get("kind")) != former.get("kind")
        result[name] = merged(former, value) if both and not another else value
    return result


def build_config(values: Mapping[str, Any]) -> Config:
    """A checked configuration of nested mappings.

    Raises:
        ConfigError: one line naming the first setting that is wrong, with the nearest name if it is unknown.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, Config)) from None


def apply_overrides(values: dict[str, Any], overrides: Overrides) -> None:
    """Puts settings into nested mappings.

    Raises:
        ConfigError: if one has no such form, or a value is where its section should be.
    """
    for key, value in by_name(overrides).items():
        *sections, last = key.split(".")
        table = values
        for name in sections:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {key}: {name} is a value, not a section")
        table[last] = value


def by_name(overrides: Overrides) -> dict[str, Any]:
    """Values by dotted names.

    Raises:
        ConfigError: if they are neither by names nor a list of texts, or one is not of the form `section.name=value`.
    """
    listed = isinstance(overrides, Mapping | Sequence) and not isinstance(overrides, str)
    if not listed or not all(isinstance(each, str) for each in overrides):
        raise ConfigError(
            f"overrides = {brief(overrides)}: give values by name, {{'run.epochs': 2}}, or a list of texts, "
            "['run.epochs=2']"
        )
    return dict(overrides) if isinstance(overrides, Mapping) else dict(map(parse_override, overrides))


def parse_override(override: str) -> tuple[str, Any]:
    """Name and value of a `section.name=value`.

    Raises:
        ConfigError: if it is not of that form.
    """
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {override!r}: write section.name=value")
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        values = {}
    # A bare word is a string, and so is what only begins with a value: lines of a prompt, say.
    return key.strip(), values["value"] if len(values) == 1 else text.strip(" \t")
