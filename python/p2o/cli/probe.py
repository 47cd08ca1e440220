"""`p2o probe`: which method fits a recipe's model and problems, before anything is trained."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from p2o.api import require_training_packages
from p2o.cli.common import add_overrides, json_text, positive
from p2o.cli.eval import with_model
from p2o.config import load_config
from p2o.errors import RunDirectoryError
from p2o.files import write_text
from p2o.template_files import GENERAL, read_templates, shipped_sets

PROBLEMS = 100
"""Training problems to roll out, without `--problems`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o probe`."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help="the recipe whose model, training problems and sampling are probed"
    )
    add_overrides(parser)
    parser.add_argument(
        "--model", help="a model to use instead of the recipe's: hub id, folder, .gguf, or a run directory"
    )
    parser.add_argument(
        "--templates",
        metavar="FILE",
        help=f"templates to try: a file, or a shipped set ({', '.join(shipped_sets())}); default: evolve.templates of "
        f"the recipe, else {GENERAL}",
    )
    parser.add_argument(
        "--problems",
        type=positive,
        default=PROBLEMS,
        metavar="N",
        help=f"probe at most N problems (default: {PROBLEMS})",
    )
    parser.add_argument(
        "--samples", type=positive, metavar="K", help="rollouts per problem and template (default: rollout.n)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write; a second call continues (default: runs/probe-RECIPE)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Probes, writes `probe.json` and `probe.png`, prints the tables."""
    config = load_config(args.recipe, args.overrides)
    if args.model is not None:
        config = with_model(config, args.model)
    setting = (
        "--templates" if args.templates is not None or config.evolve.templates is None else "evolve.templates"
    )
    templates = read_templates(args.templates or config.evolve.templates or GENERAL, setting)
    require_training_packages()
    from p2o.probe.display import show
    from p2o.probe.plot import write_picture
    from p2o.probe.run import probe_recipe, to_dict
    from p2o.track.console import Console

    output = args.output or Path("runs") / f"probe-{Path(args.recipe).stem}"
    if output.exists() and not output.is_dir():
        raise RunDirectoryError(f"{output} is a file: give another --output")
    console = Console()
    probe = probe_recipe(
        config,
        templates,
        output,
        Console.silent() if args.json else console,
        problems=args.problems,
        samples=args.samples or config.rollout.n,
        setting=setting,
    )
    values = {"recipe": args.recipe, "model": config.model.source, **to_dict(probe)}
    picture = write_picture(
        probe.result, output / "probe.png", name=f"{Path(args.recipe).stem}, {Path(config.model.source).name}"
    )
    write_text(output / "probe.json", json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    if args.json:
        print(json_text(values))
        return 0
    show(probe, console.rich)
    console.note(
        f"written to {output}"
        + ("" if picture else "; a picture needs matplotlib: pip install 'p2o-rl[study]'")
    )
    return 0
