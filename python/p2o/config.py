"""The settings of a run: a recipe (TOML) and `--set` overrides, checked before anything heavy is imported.

A module's settings live beside its code; this module puts them together, resolves recipes by name and turns every
mistake into one line that names the setting.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from p2o.data import DatasetData, JsonlData, RecordData, TinyData
from p2o.errors import ConfigError
from p2o.evolution.config import (
    EvolveConfig,
    ReflectionConfig,
    is_greedy,
    races,
)
from p2o.former_settings import advice, advice_on_value
from p2o.guidance.config import WITHOUT_REFLECTION, GuidanceConfig
from p2o.masking import mask_fields, mask_url
from p2o.outcomes.config import AssignConfig, MiningConfig
from p2o.plugins import look_up_class
from p2o.policy.config import CorrectionConfig, LossConfig
from p2o.policy.context import ContextConfig
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.rollout.config import RolloutConfig
from p2o.rollout.reward import RewardConfig
from p2o.settings import Settings
from p2o.shipped import load_toml, shipped


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


class TrackConfig(Settings):
    """What is written beside the checkpoints."""

    rollouts: int = Field(8, ge=0)
    """Rollouts per step written to `rollouts/`."""

    tensorboard: bool = False
    """Write metrics for TensorBoard as well (needs the package `tensorboard`)."""

    wandb: str | None = Field(default=None, min_length=1)
    """Send metrics to this project of Weights & Biases as well (needs the package `wandb`, and `WANDB_API_KEY` or
    `WANDB_MODE=offline` in the environment)."""


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
        """Whether a frozen copy of the start weights is needed: for self-reflection or the KL term."""
        reflects = self.asks_reflection and self.reflection.kind == "self"
        return reflects or self.loss.kl_coef > 0

    @property
    def asks_reflection(self) -> bool:
        """Whether guidance asks a reflection model."""
        return self.run.method == "p2o" and self.guidance.kind not in WITHOUT_REFLECTION


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return list(shipped("recipes"))


def load_config(recipe: str, overrides: Sequence[str] = ()) -> Config:
    """Reads a recipe (a shipped name or a path to a TOML file) and applies `key=value` overrides.

    Paths in a recipe file are relative to the working directory.

    Raises:
        ConfigError: one line naming the file or the setting.
    """
    values = load_toml(recipe, "recipe", "recipes")
    for override in overrides:
        apply_override(values, override)
    return build_config(values)


def build_config(values: Mapping[str, Any]) -> Config:
    """A checked configuration of nested mappings.

    Raises:
        ConfigError: one line naming the first setting that is wrong, with the nearest name if it is unknown.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Puts a `section.name=value` into nested mappings.

    Raises:
        ConfigError: if it is not of that form.
    """
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {override!r}: write section.name=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()  # a bare word is a string
    table = values
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {name} is a value, not a section")
    table[names[-1]] = value


def explain(error: ValidationError, root: type[BaseModel] = Config, section: str = "") -> str:
    """One line for the first problem of a validation error of `root`, which stands under `section`."""
    errors = error.errors()
    first = errors[0]
    where = _setting(first["loc"])
    path = [*([section] if section else []), *where]
    name = ".".join(path)
    given = mask_fields(first["input"], name)
    shown = repr(mask_url(given) if isinstance(given, str) else given)
    shown = shown if len(shown) < 80 else shown[:77] + "..."
    match first["type"]:
        case "extra_forbidden":
            if (former := advice(name)) is not None:
                return former
            return f"unknown setting {name}{_hint(where, root, section)}"
        case "missing":
            return f"setting {name} is missing"
        case "union_tag_not_found":
            return f"setting {name}.kind is missing: give {first['ctx']['discriminator']} = {_kinds(root, where)}"
        case "union_tag_invalid":
            return f"setting {name}.kind = {first['ctx']['tag']!r}: Input should be {_kinds(root, where)}"
        case "model_type" | "model_attributes_type":
            return f"{name} is a section, not a value: write [{name}] in a file, or {name}.SETTING=value"
    if (reworded := advice_on_value(name, first["input"])) is not None:
        return reworded
    message = first["msg"].removeprefix("Value error, ")
    if not name or first["type"] == "value_error":
        return f"{name}: {message}" if name else message
    # A setting of several types has an error for each of them.
    others = [
        "an import path module:name" if other["type"] == "string_pattern_mismatch" else other["msg"]
        for other in errors[1:]
        if _setting(other["loc"]) == where
    ]
    message = ", or ".join([message, *(other.removeprefix("Input should be ") for other in others)])
    return f"setting {name} = {shown}: {message}"


def _setting(loc: Sequence[int | str]) -> list[str]:
    """The path of a setting in the TOML. Pydantic's has the discriminator's tag and the types of a union as well."""
    names = [str(part) for part in loc if part not in _KINDS]
    return [name for name in names if not name.startswith(("literal[", "constrained-"))]


def _hint(path: Sequence[str], root: type[BaseModel], section: str) -> str:
    """What an unknown setting may have been meant to be."""
    *parents, last = path
    known = _fields_at(parents, root)
    shown = [*([section] if section else []), *parents]
    if last in known:  # a field of another kind of this section
        kind = next(kind for kind, model in _KINDS.items() if last in model.model_fields)
        return f" here: it goes with {'.'.join([*shown, 'kind'])} = {kind!r}, as in {_EXAMPLES[kind]}"
    if close := difflib.get_close_matches(last, known, n=1, cutoff=0.5):
        return f"; did you mean {'.'.join([*shown, close[0]])}?"
    if elsewhere := [name for name in root.model_fields if last in _fields_at([name], root)]:
        return f"; did you mean {elsewhere[0]}.{last}?"
    return f"; known: {', '.join(sorted(known))}"


_KINDS: dict[str, type[BaseModel]] = {"tiny": TinyData, "jsonl": JsonlData, "dataset": DatasetData}
_EXAMPLES = {
    "tiny": "the recipe quickstart",
    "jsonl": "the recipes smollm2 and one_gpu",
    "dataset": "docs/running.md",
}


def _kinds(root: type[BaseModel], path: Sequence[str]) -> str:
    """The kinds of a section that has several."""
    return " or ".join(repr(kind) for kind, model in _KINDS.items() if model in _models_at(path, root))


def _fields_at(path: Sequence[str], root: type[BaseModel]) -> set[str]:
    """Names of the settings in a section."""
    return {name for model in _models_at(path, root) for name in model.model_fields}


def _models_at(path: Sequence[str], root: type[BaseModel]) -> list[type[BaseModel]]:
    """The classes of a section: one, or one for each kind."""
    models: Iterable[Any] = [root]
    for name in path:
        annotations = [m.model_fields[name].annotation for m in models if name in m.model_fields]
        if not annotations:  # a name of the user's own: the section is a table of sections
            continue
        models = [a for annotation in annotations for a in getattr(annotation, "__args__", (annotation,))]
        models = [m for m in models if isinstance(m, type) and issubclass(m, BaseModel)]
    return list(models)
