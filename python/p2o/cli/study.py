"""`p2o study`: train under different rules at equal generated tokens, over several seeds, and compare."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from p2o.api import require_training_packages
from p2o.cli.common import add_overrides, positive
from p2o.errors import ConfigError, MissingDependencyError
from p2o.study.plan import Study, load_study, study_names

if TYPE_CHECKING:
    from p2o.study.results import Results

UNFINISHED = 3
"""Exit code if the time limit left runs to do; the same command continues."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o study`."""
    parser.epilog = (
        "The same command continues a study that was killed, interrupted or stopped by its time limit. Exit code: "
        f"0 all done, 1 some runs failed, {UNFINISHED} runs are left."
    )
    parser.add_argument(
        "study", metavar="NAME", help=f"a TOML file or a shipped study ({', '.join(study_names())})"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="results and report (default: studies/NAME)"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        metavar="FOLDER",
        help="run directories, logs and worlds (default: runs in --output)",
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        default=os.cpu_count() or 1,
        help="runs at once, each on one thread (default: cores)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ARM",
        help="run this arm alone, and what chooses its learning rate; may be repeated",
    )
    add_overrides(parser, "a setting of every arm, overriding the study's own")
    parser.add_argument(
        "--tokens", type=positive, metavar="N", help="generated tokens of a run, instead of the study's"
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="seeds instead of the study's")
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="R",
        help="the rate of every arm, instead of choosing one for each",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="after this time, start no run and interrupt the running ones; they continue from their checkpoints",
    )
    parser.add_argument(
        "--world-device", default="cpu", metavar="DEVICE", help="where missing worlds are made (default: cpu)"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="list what would run and how long it would take")
    mode.add_argument("--report", action="store_true", help="only make tables and plots of the results")


def run(args: argparse.Namespace) -> int:
    """Runs what is left of the study and writes its report."""
    study = changed_study(args)
    for arm in args.only:
        if arm not in study.arms:
            raise ConfigError(f"--only {arm}: the study has the arms {', '.join(study.arms)}")
    from p2o.study.results import Results

    name = Path(args.study).stem
    folder = args.output or Path("studies") / name
    results = Results(folder)
    if args.dry_run:
        from p2o.study.estimate import describe

        print(describe(study, results, jobs=args.jobs, only=args.only))
        return 0
    code = 0
    if not args.report:
        require_training_packages()
        folder.mkdir(parents=True, exist_ok=True)
        code = work(study, results, args.runs or folder / "runs", args)
    if results.records or args.report:
        from p2o.study.report import write_report

        try:
            for path in write_report(name, study, results, folder):
                print(path)
        except MissingDependencyError as error:
            if args.report:
                raise
            print(error)  # the runs are what was asked for
    return code


def changed_study(args: argparse.Namespace) -> Study:
    """The study, changed by the arguments."""
    fields = {name: value for name in ("tokens", "seeds") if (value := getattr(args, name)) is not None}
    settings = list(args.overrides)
    if args.learning_rate is not None:
        settings.append(f"optimizer.learning_rate={args.learning_rate}")
        fields["selection"] = None
    return load_study(args.study, settings, fields)


def work(study: Study, results: Results, runs: Path, args: argparse.Namespace) -> int:
    """Runs what is left; returns the exit code."""
    from p2o.study.console import Display
    from p2o.study.runner import Runner

    # What stops a job of limited length is often SIGTERM: it must leave as little behind as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    display = Display(study.tokens)
    runner = Runner(
        study,
        results,
        runs,
        display,
        jobs=args.jobs,
        only=args.only,
        time_limit=args.time_limit,
        device=args.world_device,
    )
    finished = runner.work()
    left = runner.left()
    if not finished:
        runs_left = "1 run is" if len(left) == 1 else f"{len(left)} runs are"
        display.note(f"time limit reached, {runs_left} left: the same command continues")
        return UNFINISHED
    for job in left:
        display.note(f"{job.id} cannot run: every learning rate of its arm has failed")
    return 1 if runner.failed or left else 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
