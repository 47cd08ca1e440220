"""`p2o train` (also `p2o-train`): run a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from p2o.api import require_training_packages, train_at
from p2o.cli.common import add_overrides, positive
from p2o.cli.settings import annotated
from p2o.config import Config, by_name, load_config, recipe_names
from p2o.data import JsonlData
from p2o.distributed import Processes, join_processes, leave_processes, local_size
from p2o.errors import ConfigError
from p2o.track.run_paths import newest_run, resumed_config, run_path

if TYPE_CHECKING:
    from p2o.memory import RunMemory
    from p2o.sizes import Place
    from p2o.track.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o train`."""
    parser.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help=f"a TOML file or a shipped recipe ({', '.join(recipe_names())}); default: quickstart",
    )
    add_overrides(parser, "override a setting (--settings lists them), e.g. --set run.seed=1")
    parser.add_argument("--local_rank", help=argparse.SUPPRESS)  # given by the `deepspeed` launcher
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="continue this run directory, or the newest run of the recipe, with the settings that it began with",
    )
    mode.add_argument(
        "--check", action="store_true", help="check settings, data, model and memory; train nothing"
    )
    mode.add_argument(
        "--settings", action="store_true", help="print all settings of the recipe with what they do, as TOML"
    )
    parser.add_argument(
        "--ranks",
        type=positive,
        metavar="N",
        help="with --check: only estimate the memory of a launch of N processes, each with a GPU unless model.device "
        "is cpu; the model is not loaded",
    )
    mode.add_argument(
        "--compare",
        choices=["grpo"],
        help="afterwards train with this method for as many generated tokens, and print both",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the recipe."""
    resume = args.resume is not None
    recipe = args.recipe or "quickstart"
    if resume:
        path = run_to_resume(args.resume, args.recipe, args.overrides)
        config = resumed_config(path, args.overrides)
    else:
        config = load_config(recipe, args.overrides)
    if args.settings:
        print("\n".join(annotated(config)).lstrip())
        return 0
    if args.compare == config.run.method:
        raise ConfigError(f"--compare {args.compare} compares nothing: run.method is {args.compare} already")
    if args.ranks is not None and not args.check:
        raise ConfigError(
            "--ranks goes with --check: a launcher (torchrun, deepspeed) starts the processes of a run"
        )
    require_training_packages()
    # Heavy imports come after the settings are known to be good.
    from p2o.launch import launch_facts
    from p2o.track.console import Console

    if args.ranks is not None:
        estimate(config, Console(), ranks=args.ranks, gpu=not config.model.device.startswith("cpu"))
        return 0
    processes = join_processes()
    if processes.size > 1:
        flags = {f"--{name}": getattr(args, name) for name in ("resume", "check", "compare")}
        processes.require_same({**launch_facts(config), **flags})
    console = Console() if processes.is_main else Console.silent()
    if args.check:
        for line in remarks(config, args.overrides):
            console.note(line)
        return check(config, console, processes)
    if not resume:
        path = processes.on_main(lambda: run_path(config, Path(recipe).stem))
    # What a run was of that is named by its directory is not known here.
    state = train_at(config, path, None if args.resume else recipe, console, processes, resume=resume)
    if args.compare is not None:
        other = other_method(config, args.compare, state.generated_tokens)
        other_path = processes.on_main(lambda: run_path(other, Path(recipe).stem))
        labelled = Console(console.rich, label=args.compare)
        other_state = train_at(other, other_path, recipe, labelled, processes, resume=False)
        console.comparison({config.run.method: state, args.compare: other_state})
    leave_processes()
    return 0


def run_to_resume(given: str, recipe: str | None, overrides: Sequence[str]) -> Path:
    """The run directory that `--resume` means; `given` is empty for the newest run of the recipe.

    Raises:
        ConfigError: if a run and a recipe are given.
        RunDirectoryError: if there is none.
    """
    if given and recipe is not None:
        raise ConfigError(f"--resume {given} takes the settings of that run: leave out the recipe {recipe}")
    if given:
        return Path(given)
    recipe = recipe or "quickstart"
    return newest_run(Path(recipe).stem, load_config(recipe, overrides).run, by_name(overrides))


def other_method(config: Config, method: str, tokens: int) -> Config:
    """The same run by another method, ended by generated tokens instead of epochs; the schedule stays the same."""
    limits = {
        "method": method,
        "max_generated_tokens": tokens,
        "epochs": 1_000_000,
        "schedule_epochs": config.run.schedule_epochs or config.run.epochs,
        "output": None,
    }
    return config.model_copy(update={"run": config.run.model_copy(update=limits)})


HIGH_RATE = 1e-2
"""Learning rate from which AdamW is taken to diverge: LoRA goes to 1e-3, and so does a tiny model."""


def remarks(config: Config, overrides: Sequence[str]) -> list[str]:
    """What is allowed but hardly meant, in a line each: settings given by `--set` without effect, a high rate."""
    of_templates = ("evolve.", "guidance.", "reflection.", "assign.", "context.")
    unused = [name for name in by_name(overrides) if name.startswith(of_templates)]
    lines = []
    if config.run.method == "grpo" and unused:
        lines.append(f"without effect under run.method = 'grpo': {', '.join(unused)}")
    if config.optimizer.learning_rate > HIGH_RATE:
        lines.append(
            f"optimizer.learning_rate = {config.optimizer.learning_rate:g} is high for AdamW: rates from 1e-6 to 1e-3 "
            "are usual"
        )
    return lines


def check(config: Config, console: Console, processes: Processes) -> int:
    """Estimates the memory and checks what a run checks before its first step; trains nothing."""
    import torch

    from p2o.assembly import assemble
    from p2o.memory import gpu_of, host_memory, shortage
    from p2o.parts import make_probe

    if isinstance(config.data, JsonlData):
        config.data.require_files()  # before the model is looked for
    gpu, number = torch.cuda.is_available() and not config.model.device.startswith("cpu"), gpu_of(config)
    available: dict[Place, int] = {}
    if gpu and number < torch.cuda.device_count():  # of another one the model says that it cannot be used
        available["GPU"] = torch.cuda.mem_get_info(number)[0]
    if (room := host_memory()) is not None:
        available["host"] = room
    memory = estimate(config, console, ranks=processes.size, gpu=gpu)
    lacking = shortage(memory, available, ranks=local_size())
    remedy = (
        "lower optimizer.micro_batch_tokens or rollout.batch_size, or set optimizer.gradient_checkpointing"
    )
    with processes.raising_on_all():
        if lacking is not None:
            raise ConfigError(f"{lacking}: {remedy}")
    parts = assemble(config, processes, console.note)
    problems, evaluation_problems = parts.problems, parts.evaluation_problems
    longest = max(
        len(parts.encoder.encode(problem.messages)) for problem in (*problems, *evaluation_problems)
    )
    # The optimizer refuses types, adapters and backends that cannot be trained.
    left_out = parts.rehearse(config, processes)
    policy = parts.make_policy(config, processes)
    if parts.collector.sampler.shares_weights:  # an engine may be at work for another run
        parts.collector.publish(policy, 0)
        make_probe(config, evaluation_problems, parts.collector, policy.score, processes)()
    if parts.templates:
        console.note(f"templates: {len(parts.templates)} of evolve.templates = {config.evolve.templates!r}")
    if left_out is not None:
        console.note(f"saving and loading were not tried out: {left_out}")
    console.note(f"model: loaded on {parts.model.device}; longest prompt {longest} tokens")
    console.note(f"the first prompt as the model reads it, gold {problems[0].gold!r}:")
    console.note(
        parts.tokenizer.decode(parts.encoder.encode(problems[0].messages), skip_special_tokens=False)
    )
    return 0


def estimate(config: Config, console: Console, *, ranks: int, gpu: bool) -> RunMemory:
    """Prints the memory of each of `ranks` processes, and returns it; reads only the model's configuration."""
    import torch

    from p2o.memory import describe, gpu_of, run_memory
    from p2o.model.fetch import resolve_source
    from p2o.model.load import load_outline

    model = load_outline(
        resolve_source(config.model.source),
        dtype=config.model.dtype,
        trust_remote_code=config.model.trust_remote_code,
    )
    here = gpu and torch.cuda.is_available() and gpu_of(config) < torch.cuda.device_count()
    size = torch.cuda.get_device_properties(gpu_of(config)).total_memory if here else None
    memory = run_memory(config, model, ranks=ranks, gpu=gpu, gpu_memory=size)
    for line in describe(memory, ranks=ranks, gpu=gpu):
        console.note(line)
    return memory
