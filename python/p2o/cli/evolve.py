"""`p2o evolve`: prompt evolution without training.

On a JSONL file, policy and reflection model are behind OpenAI-compatible APIs. On a recipe, its own model is the
policy, the problems are those it fails in one round of rollouts, and the recipe names the reflection model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from p2o.api import require_training_packages
from p2o.cli.common import add_overrides, json_text
from p2o.config import load_config
from p2o.config_errors import explain
from p2o.data import OWN_RULES, JsonlData, read_jsonl
from p2o.errors import ConfigError, DataError
from p2o.evolution import Evolution, EvolveConfig, ReflectionConfig, evolve
from p2o.evolution.budget import rollouts_of
from p2o.evolution.config import EvaluatedModelConfig
from p2o.evolution.endpoint import OpenAIEvaluator, OpenAIReflector
from p2o.evolution.engine import split
from p2o.evolution.events import Event, RoundEnded
from p2o.evolution.propose import check_proposer
from p2o.evolution.types import nobody
from p2o.files import read_toml, write_jsonl, write_text
from p2o.masking import secrets_in
from p2o.outcomes import hard_problems
from p2o.settings import Settings
from p2o.types import Problem

_API_ARGUMENTS = (
    "config",
    "policy_model",
    "policy_url",
    "reflection_model",
    "reflection_url",
    "budget",
    "seed",
)


_OF_FILES = ("train", "evaluation", "train_size", "evaluation_size", "seed")
"""Settings of `data` that say which problems are used."""


class EvolveFile(Settings):
    """The settings file of `p2o evolve`; the arguments of the command override it."""

    policy: EvaluatedModelConfig
    """The model whose prompt is evolved."""

    reflection: ReflectionConfig
    """The model that writes templates."""

    evolve: EvolveConfig = EvolveConfig()
    """Budget and rules."""

    data: dict[str, Any] = Field(default_factory=dict)
    """How the JSONL is read: the settings `data.*` of a recipe, without those of files and sizes."""

    seed: int = 0
    """Seed of the split, the minibatches and the requests."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o evolve`."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a .jsonl file with one problem and its answer per line, or a recipe (name or .toml)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where journal, templates and result go; a second call continues (default: runs/evolve-SOURCE)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--max-rounds", type=int, metavar="N", help="end after so many rounds")
    parser.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="begin no round after so many seconds"
    )
    recipe = parser.add_argument_group("with a recipe")
    add_overrides(recipe)
    api = parser.add_argument_group("with a .jsonl file")
    api.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML with [policy], [reflection], [evolve], [data], seed"
    )
    api.add_argument("--policy-model", metavar="NAME", help="the model whose prompt is evolved")
    api.add_argument("--policy-url", metavar="URL", help="where it is asked (default: OpenAI)")
    api.add_argument(
        "--reflection-model", metavar="NAME", help="the model that writes templates (default: the same)"
    )
    api.add_argument("--reflection-url", metavar="URL", help="where it is asked (default: the same)")
    api.add_argument("--budget", metavar="B", help="a number of rollouts, or a level (light ... heavy_16)")
    api.add_argument("--seed", type=int, metavar="N", help="of the split, the minibatches and the requests")


def run(args: argparse.Namespace) -> int:
    """Evolves, writes the result, prints the chosen templates. 1: the reflection model failed; 130: Ctrl-C."""
    source = Path(args.source)
    is_file = source.suffix.lower() == ".jsonl"
    output = args.output or Path("runs") / f"evolve-{source.stem}"
    result = output / "evolution.json"
    goes_on = result.exists() and any((output / name).exists() for name in ("journal.jsonl", "evolve"))
    before = result.read_bytes() if goes_on else None
    evolution = evolve_file(args, source, output) if is_file else evolve_recipe(args, output)
    if before is not None and is_cut_short(evolution, before):
        print(f"{result} is kept: it comes from further on in the same step", file=sys.stderr)
    else:
        write_text(result, json.dumps(evolution.to_dict(), ensure_ascii=False) + "\n")
        if is_file:  # a recipe's run directory has its own
            write_jsonl(
                output / "templates.jsonl", [candidate.to_dict() for candidate in evolution.candidates]
            )
    print(json_text(summary(evolution)) if args.json else f"{evolution}\nwritten to {output}")
    if evolution.stop_reason == "interrupted":
        return 130
    return 1 if evolution.stop_reason.startswith("reflection:") else 0


def is_cut_short(evolution: Evolution, before: bytes) -> bool:
    """Whether a step that was interrupted has come less far than the result that it left earlier."""
    if evolution.stop_reason != "interrupted":
        return False
    try:
        earlier = Evolution.from_dict(json.loads(before))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False  # damaged, or of another version
    same = (earlier.policy_version, earlier.dev_ids, earlier.feedback_ids)
    return (
        same == (evolution.policy_version, evolution.dev_ids, evolution.feedback_ids)
        and earlier.ledger.rollouts > evolution.ledger.rollouts
    )


def evolve_recipe(args: argparse.Namespace, output: Path) -> Evolution:
    """With the model of a recipe, on the problems of its data that are hard for it.

    Raises:
        ConfigError: if the recipe has no prompt step.
        DataError: if there are too few hard problems.
    """
    given = [name for name in _API_ARGUMENTS if getattr(args, name) is not None]
    if given:
        raise ConfigError(f"--{given[0].replace('_', '-')} goes with a .jsonl file; a recipe takes --set")
    config = load_config(args.source, args.overrides)
    if config.run.method != "p2o":
        raise ConfigError(f"run.method = {config.run.method!r} has no prompt step; set run.method=p2o")
    require_training_packages()
    from p2o.assembly import prepare
    from p2o.batches import roll_out
    from p2o.guidance.evolved import Evolved
    from p2o.guidance.guidance import guidance_class
    from p2o.track.console import Console

    if not issubclass(guidance_class(config.guidance.kind), Evolved):
        raise ConfigError(
            f'guidance.kind = {config.guidance.kind!r} evolves nothing: set guidance.kind="evolve"'
        )
    resume = (output / "config.toml").exists()
    prepared = prepare(config, output, resume=resume, console=Console.beside_output())
    guidance = prepared.guidance
    assert isinstance(guidance, Evolved)
    outcomes, solutions = prepared.state.outcomes, prepared.state.solutions
    groups, _ = roll_out(prepared, prepared.problems, step=0)
    for group in groups:
        outcomes.observe(group, "0")
        solutions.observe(group, config.mining.success)
    hard = hard_problems(outcomes, config.mining)
    guidance.step.limits = {"max_rounds": args.max_rounds, "time_limit_s": args.time_limit}
    outcome = guidance.step.evolve(hard, outcomes, version=1, epoch=1, previous=None, solutions=solutions)
    if outcome.evolution is None:
        raise DataError(outcome.reason)
    return outcome.evolution


def evolve_file(args: argparse.Namespace, source: Path, output: Path) -> Evolution:
    """With models behind APIs, on the problems of a file."""
    if args.overrides:
        raise ConfigError("--set goes with a recipe; a .jsonl file takes --config")
    settings = read_settings(args)
    if ignored := next((name for name in _OF_FILES if name in settings.data), None):
        raise ConfigError(
            f"data.{ignored} is without effect here, where all problems of {source} are used: leave it out"
        )
    check_proposer(settings.evolve, settings.reflection)
    try:
        data = JsonlData.model_validate({**settings.data, "train": source})
    except ValidationError as error:
        raise ConfigError(explain(error, JsonlData, "data")) from None
    problems = read_jsonl(source, data, verifier=OWN_RULES if settings.policy.verify == "math" else None)
    check_budget(settings.evolve, problems, settings.seed)
    return evolve(
        problems,
        OpenAIEvaluator(settings.policy, seed=settings.seed),
        nobody if settings.reflection.kind == "none" else OpenAIReflector(settings.reflection),
        settings.evolve,
        reflection=settings.reflection,
        seed=settings.seed,
        policy_version=settings.policy.model,
        journal=output / "journal.jsonl",
        callbacks=[report],
        max_rounds=args.max_rounds,
        time_limit_s=args.time_limit,
    )


def check_budget(config: EvolveConfig, problems: list[Problem], seed: int) -> None:
    """Refuses a budget that ends the search before it has begun.

    Raises:
        ConfigError: naming the budget and what the plain prompt takes of it.
    """
    dev, _ = split(problems, config.dev_size, seed)
    needed = len(dev) * config.rollouts_per_evaluation
    if config.search != "random" and rollouts_of(config.budget, len(dev)) < needed:
        raise ConfigError(
            f"evolve.budget = {config.budget} does not pay for the plain prompt on {len(dev)} dev problems, {needed} "
            "rollouts: raise it, or lower evolve.dev_size"
        )


def read_settings(args: argparse.Namespace) -> EvolveFile:
    """The settings file, overridden by the arguments.

    Raises:
        ConfigError: naming the file or the setting.
    """
    values = {} if args.config is None else read_toml(args.config, ConfigError)
    budget = int(args.budget) if (args.budget or "").isdecimal() else args.budget
    policy = _lay_over(values, "policy", model=args.policy_model, base_url=args.policy_url)
    if not policy.get("model"):
        raise ConfigError("policy needs a model: set policy.model (--policy-model)")
    _lay_over(values, "evolve", budget=budget)
    reflection = _lay_over(values, "reflection")
    if args.seed is not None:
        values["seed"] = args.seed
    if reflection.setdefault("kind", "openai") == "openai":
        endpoint = _lay_over(
            reflection, "endpoint", model=args.reflection_model, base_url=args.reflection_url
        )
        _inherit(endpoint, policy)
    try:
        return EvolveFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, EvolveFile)) from None


def _inherit(endpoint: dict[str, Any], policy: Mapping[str, Any]) -> None:
    """Fills up the reflection model's endpoint from the policy's: problems and golds stay where the policy is, unless
    another address is given, and a key goes to no other address than its own."""
    names = ["base_url"]
    if endpoint.get("base_url", policy.get("base_url")) == policy.get("base_url"):
        names.append("api_key_env")
    if not endpoint.get("model"):
        endpoint.pop("model", None)
        names.append("model")
        if "api_key_env" in names or not secrets_in(policy.get("extra_body")):
            names.append("extra_body")
    for name in names:
        if name in policy:
            endpoint.setdefault(name, policy[name])


def _lay_over(values: dict[str, Any], section: str, **arguments: Any) -> dict[str, Any]:
    """A section of `values` with the arguments that were given laid over it."""
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{section} is a value, not a section; write [{section}]")
    table.update({name: value for name, value in arguments.items() if value is not None})
    return table


def report(event: Event) -> None:
    """A line on stderr for each round."""
    if isinstance(event, RoundEnded):
        metrics = event.metrics
        print(
            f"round {event.round}: {metrics['evolve/rollouts']:,.0f} rollouts, "
            f"{metrics['evolve/proposals']:.0f} proposals, {metrics['evolve/accepted']:.0f} accepted, "
            f"dev solved {metrics['evolve/dev_solved']:.1%} (plain prompt {metrics['evolve/dev_plain']:.1%})",
            file=sys.stderr,
        )


def summary(evolution: Evolution) -> dict[str, Any]:
    """The result as one object."""
    chosen = []
    for template in evolution.chosen:
        candidate = evolution.candidate_of(template.id)
        mean = candidate.mean if candidate is not None and candidate.scores else None
        chosen.append({"id": template.id, "text": template.text, "dev_mean": mean})
    return {
        "stop_reason": evolution.stop_reason,
        "chosen": chosen,
        "refusals": evolution.refusals,
        **evolution.metrics(),
    }
