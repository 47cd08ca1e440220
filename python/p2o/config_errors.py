"""What is wrong with settings, in one line: which one, what it was given, and what it may have been meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from p2o.data import DatasetData, JsonlData, TinyData
from p2o.former_settings import advice, advice_on_value
from p2o.masking import mask_fields, mask_url


def explain(error: ValidationError, root: type[BaseModel], section: str = "") -> str:
    """One line for the first problem of a validation error of `root`, which stands under `section`."""
    errors = error.errors()
    first = errors[0]
    where = _setting(first)
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
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list, in brackets")
    if not name or first["type"] == "value_error":
        return f"{name}: {message}" if name else message
    # A setting of several types has an error for each of them.
    others = [
        "an import path module:name" if other["type"] == "string_pattern_mismatch" else other["msg"]
        for other in errors[1:]
        if _setting(other) == where
    ]
    message = ", or ".join([message, *(other.removeprefix("Input should be ") for other in others)])
    return f"setting {name} = {shown}: {message}"


def _setting(error: ErrorDetails) -> list[str]:
    """The path of a setting in the TOML. Pydantic's has the discriminator's tag and the types of a union as well."""
    names = list(map(str, error["loc"]))
    # An unknown name may look like one of those, and is none: it ends the path.
    written = names[-1:] if error["type"] == "extra_forbidden" else []
    passed = names[: len(names) - len(written)]
    return [n for n in passed if n not in _KINDS and not n.startswith(("literal[", "constrained-"))] + written


def _hint(path: Sequence[str], root: type[BaseModel], section: str) -> str:
    """What an unknown setting may have been meant to be."""
    *parents, last = path
    if "optimizer" in root.model_fields and (ours := ELSEWHERE.get(last)) is not None:
        return f"; did you mean {ours}?"
    known = _fields_at(parents, root)
    base = [section] if section else []
    shown = [*base, *parents]
    if last in known:  # a field of another kind of this section
        kind = next(kind for kind, model in _KINDS.items() if last in model.model_fields)
        return f" here: it goes with {'.'.join([*shown, 'kind'])} = {kind!r}, as in {_EXAMPLES[kind]}"
    if places := _places_of(last, root):
        places.sort(key=lambda place: place[: len(parents)] != parents)  # first those within the same section
        return f"; did you mean {' or '.join('.'.join([*base, *place]) for place in places)}?"
    if close := difflib.get_close_matches(last, known, n=1, cutoff=0.5):
        return f"; did you mean {'.'.join([*shown, close[0]])}?"
    return f"; known: {', '.join(sorted(known))}"


ELSEWHERE = {
    "lr": "optimizer.learning_rate",
    "adam_lr": "optimizer.learning_rate",
    "lr_scheduler_type": "optimizer.schedule",
    "batch_size": "run.batch_problems",
    "train_batch_size": "run.batch_problems",
    "per_device_train_batch_size": "optimizer.micro_batch_tokens",
    "ppo_mini_batch_size": "run.mini_batch_problems",
    "num_train_epochs": "run.epochs",
    "total_epochs": "run.epochs",
    "num_generations": "rollout.n",
    "group_size": "rollout.n",
    "n_samples": "rollout.n",
    "max_completion_length": "rollout.max_tokens",
    "max_new_tokens": "rollout.max_tokens",
    "max_response_length": "rollout.max_tokens",
    "max_prompt_length": "rollout.max_prompt_tokens",
    "beta": "loss.kl_coef",
    "kl_loss_coef": "loss.kl_coef",
    "epsilon": "loss.clip",
    "epsilon_high": "loss.clip",
    "loss_type": "loss.name",
    "adv_estimator": "loss.advantage",
    "model_name_or_path": "model.source",
    "torch_dtype": "model.dtype",
    "use_vllm": "rollout.sampler",
    "output_dir": "run.output",
    "resume_from_checkpoint": "--resume",
}
"""What TRL and verl call a setting -> what it is called here."""

_KINDS: dict[str, type[BaseModel]] = {"tiny": TinyData, "jsonl": JsonlData, "dataset": DatasetData}
_EXAMPLES = {
    "tiny": "the recipe quickstart",
    "jsonl": "the recipes smollm2 and one_gpu",
    "dataset": "docs/data.md",
}


def _kinds(root: type[BaseModel], path: Sequence[str]) -> str:
    """The kinds of a section that has several."""
    return " or ".join(repr(kind) for kind, model in _KINDS.items() if model in _models_at(path, root))


def _places_of(last: str, root: type[BaseModel], section: Sequence[str] = ()) -> list[list[str]]:
    """The paths of all settings of this name, in the order of the sections."""
    names = dict.fromkeys(name for model in _models_at(section, root) for name in model.model_fields)
    places: list[list[str]] = []
    for name in names:
        places += [[*section, name]] if name == last else []
        places += _places_of(last, root, [*section, name])
    return places


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
