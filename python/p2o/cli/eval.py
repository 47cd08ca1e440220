"""`p2o eval`: accuracy of a model, or of a run's newest checkpoint, on plain prompts."""

from __future__ import annotations

import argparse
from pathlib import Path

from p2o.cli.common import add_overrides, json_text
from p2o.cli.train import require_training_packages
from p2o.config import Config, load_config
from p2o.errors import RunDirectoryError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o eval`."""
    parser.add_argument("recipe", metavar="RECIPE", help="the recipe whose data and sampling limits are used")
    parser.add_argument(
        "--model", help="a model to use instead of the recipe's: hub id, folder, .gguf, or a run directory"
    )
    add_overrides(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Evaluates and prints the accuracy."""
    config = load_config(args.recipe, args.overrides)
    require_training_packages()
    if args.model is not None:
        config = with_model(config, args.model)
    from p2o.assembly import prepare_evaluation
    from p2o.track.console import Console

    console = Console()
    evaluate, total = prepare_evaluation(config)
    with Console.beside_output().phase("evaluation (plain prompts)", total) as progress:
        result = evaluate(progress)
    if args.json:
        print(json_text({"model": config.model.source, **result.to_dict()}))
        return 0
    for family, found in result.intervals().items():
        console.note(f"{family:20} {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]")
    samples = config.evaluation.samples
    if samples > 1:
        console.note(f"{f'best of {samples}':20} {result.best:.3f}")
    console.note(
        f"{result.problems} problems, {samples} completion{'s' * (samples > 1)} each, plain prompts; "
        "95% bootstrap intervals over problems, exact where all or none are solved"
    )
    return 0


def with_model(config: Config, source: str) -> Config:
    """The settings with another model: a hub id, a folder, a .gguf, or a run directory."""
    model = config.model.model_copy(update={"source": model_of(source)})
    return config.model_copy(update={"model": model})


def model_of(source: str) -> str:
    """The model folder of a run directory: the exported one, else the newest checkpoint's. Other sources as given.

    Raises:
        RunDirectoryError: if the run has written no whole model.
    """
    run = Path(source)
    if not (run / "config.toml").exists():
        return source
    from p2o.checkpoint import latest_checkpoint

    newest = latest_checkpoint(run / "checkpoints")
    if (run / "model").is_dir():
        return str(run / "model")
    if newest is None:
        raise RunDirectoryError(f"{run} holds no checkpoint yet")
    if not (newest / "model").is_dir():
        raise RunDirectoryError(
            f"{run} holds no model yet: its checkpoints are LoRA adapters or DeepSpeed's partitions, and the whole "
            "model is written when the run ends; finish it with p2o train --resume, then evaluate it"
        )
    return str(newest / "model")
