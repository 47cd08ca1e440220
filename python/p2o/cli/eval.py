"""`p2o eval`: a model, or a run's newest checkpoint, on benchmarks and plain prompts; two evaluations compared."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from p2o.api import require_training_packages
from p2o.cli.common import add_overrides, json_text, positive
from p2o.config import Config, apply_overrides, build_config, load_recipe, merged, recipe_names
from p2o.distributed import join_processes, leave_processes
from p2o.errors import ConfigError, RunDirectoryError
from p2o.evaluation.benchmarks import BENCHMARKS, load_benchmarks
from p2o.evaluation.compare import compare
from p2o.files import read_toml
from p2o.shipped import load_toml, shipped, unknown
from p2o.track.run_paths import with_own_problems

PRESETS = "evaluation/presets"
COMPARE = "compare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o eval`."""
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        help="the recipe whose model, prompt, sampling and rewards are used; or a run directory, for its settings and "
        f"its newest model; or `{COMPARE}`",
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, help=f"after `{COMPARE}`: the folders of two evaluations"
    )
    parser.add_argument(
        "--model", help="a model to use instead of the recipe's: hub id, folder, .gguf, or a run directory"
    )
    parser.add_argument(
        "--on",
        dest="benchmarks",
        action="append",
        default=[],
        metavar="BENCHMARK",
        help=f"{', '.join(BENCHMARKS)}, NAME@REVISION, a file of problems, or NAME=FILE; may be repeated (default: the "
        "recipe's evaluation problems)",
    )
    parser.add_argument(
        "--preset", help=f"settings and benchmarks of a protocol: {', '.join(shipped(PRESETS))}, or a .toml"
    )
    parser.add_argument(
        "--samples", type=positive, metavar="K", help="completions per problem (evaluation.samples)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write completions and results there; a second call continues where the first one stopped",
    )
    add_overrides(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Evaluates, or compares, and prints the figures."""
    if args.recipe == COMPARE:
        return run_compare(args)
    if args.folders:
        raise ConfigError(
            f"p2o eval takes one recipe or run, not {args.folders[0]} as well: name a model with --model"
        )
    if args.output is not None and args.output.exists() and not args.output.is_dir():
        raise RunDirectoryError(f"{args.output} is a file: give another --output")
    config, benchmarks = settings_of(args)
    require_training_packages()
    from p2o.track.console import Console

    processes = join_processes()
    if processes.size > 1:
        from p2o.launch import launch_facts

        flags = {"--on": benchmarks, "--output": args.output, "--json": args.json}
        processes.require_same({**launch_facts(config), **flags})
    console = Console.beside_output() if processes.is_main else Console.silent()
    loaded = load_benchmarks(benchmarks, config, console.note) if benchmarks else None
    # The model's packages come after the problems are known to be good.
    from p2o.evaluation.result import NOTE
    from p2o.evaluation.suite import run_suite

    result = run_suite(config, loaded, args.output, console, processes)
    leave_processes()
    if processes.is_main and args.json:
        print(json_text(result.to_dict()))
    elif processes.is_main:
        written = [] if args.output is None else [f"Written to {args.output}."]
        print("\n".join([*result.tables(), "", NOTE, *written]))
    return 0


def run_compare(args: argparse.Namespace) -> int:
    """Prints the comparison of two evaluations."""
    if len(args.folders) != 2:
        raise ConfigError(f"p2o eval {COMPARE} takes the folders of two evaluations, got {len(args.folders)}")
    comparison = compare(*args.folders)
    print(json_text(comparison.to_dict()) if args.json else comparison.markdown(), end="\n" * args.json)
    return 0


def settings_of(args: argparse.Namespace) -> tuple[Config, list[str]]:
    """The settings of an evaluation, and the benchmarks to load.

    The recipe or the run goes first, then the preset, then `--set`, `--samples` and `--model`.
    """
    run = Path(args.recipe)
    is_run = (run / "config.toml").exists()
    if not is_run and run.suffix != ".toml" and (run.is_dir() or len(run.parts) > 1):
        raise RunDirectoryError(
            f"{run}: no run directory there (no config.toml), and a recipe is a name or a .toml"
        )
    if not is_run and run.suffix != ".toml" and args.recipe not in recipe_names():
        raise ConfigError(f"{unknown('recipe', args.recipe, 'recipes')}; nor is there a run directory {run}")
    values = read_toml(run / "config.toml", RunDirectoryError) if is_run else load_recipe(args.recipe)
    benchmarks: list[str] = args.benchmarks
    if args.preset is not None:
        preset: dict[str, Any] = load_toml(args.preset, "preset", PRESETS)
        if not preset:
            raise ConfigError(f"--preset {args.preset}: holds no settings and no benchmarks")
        own = preset.pop("benchmarks", [])
        if not (isinstance(own, list) and all(isinstance(name, str) for name in own)):
            raise ConfigError(f"--preset {args.preset}: benchmarks = {own!r} is no list of names")
        benchmarks = benchmarks or own
        values = merged(values, preset)
    apply_overrides(values, args.overrides)
    config = build_config(values)
    if is_run:
        config = with_own_problems(config, run)
    if args.samples is not None:
        evaluation = config.evaluation.model_copy(update={"samples": args.samples})
        config = config.model_copy(update={"evaluation": evaluation})
    if config.evaluation.samples > 1 and config.evaluation.temperature == 0:
        raise ConfigError(
            f"evaluation.temperature = 0 draws the same completion {config.evaluation.samples} times: set a "
            "higher one, or evaluation.samples = 1"
        )
    source = args.model if args.model is not None else args.recipe if is_run else None
    return config if source is None else with_model(config, source), benchmarks


def with_model(config: Config, source: str) -> Config:
    """The settings with another model: a hub id, a folder, a .gguf, or a run directory."""
    model = config.model.model_copy(update={"source": model_of(source)})
    return config.model_copy(update={"model": model})


def model_of(source: str) -> str:
    """The model folder of a run directory: the exported one, or the newest checkpoint's before the run has ended. Other
    sources as given.

    Raises:
        RunDirectoryError: if the run has written no whole model.
    """
    run = Path(source)
    if not (run / "config.toml").exists():
        return source
    from p2o.checkpoint import latest_checkpoint
    from p2o.track.about import is_under_way

    newest = latest_checkpoint(run / "checkpoints")
    if (run / "model").is_dir() and not is_under_way(run):
        return str(run / "model")
    if newest is None:
        raise RunDirectoryError(f"{run} holds no checkpoint yet")
    if not (newest / "model").is_dir():
        raise RunDirectoryError(
            f"{run} holds no model yet: its checkpoints are LoRA adapters or DeepSpeed's partitions, and the whole "
            "model is written when the run ends; finish it with p2o train --resume, then evaluate it"
        )
    return str(newest / "model")
