"""How lucky the rollouts were by which templates were chosen: their success beside that of fresh ones.

    python benches/bench_selection.py [--seeds 5]

Runs the recipe `quickstart` up to the end of its second prompt step. Before a prompt step's rollouts are trained on,
each of them is drawn once more with another seed, by the same weights: same problems, same templates.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path

from rich.console import Console as RichConsole

import p2o.loop as loop
from p2o.assembly import prepare
from p2o.config import load_config
from p2o.loop import train
from p2o.rollout.collect import RolloutRequest
from p2o.rollout.sampler import SamplingParams
from p2o.run import Run
from p2o.seeds import derive_seed
from p2o.templates import PLAIN
from p2o.track.console import Console
from p2o.types import Group

STEPS = 2
"""Prompt steps that are measured."""

Rates = tuple[int, float, float]
"""Rollouts, success rate of those of the prompt step, success rate of fresh ones."""


def measure(run: Run, groups: Sequence[Group]) -> dict[str, Rates]:
    """The rates of rollouts under chosen templates, and of plain ones."""
    assert run.state.evolution is not None
    templates = {template.id: template for template in (PLAIN, *run.state.evolution.chosen)}
    found: dict[str, Rates] = {}
    for kind in ("chosen templates", "plain prompt"):
        drawn = [
            (group.problem, rollout)
            for group in groups
            for rollout in group.rollouts
            if (rollout.template_id == PLAIN.id) == (kind == "plain prompt")
        ]
        requests = [
            RolloutRequest(
                problem,
                templates[rollout.template_id],
                index,
                derive_seed(run.config.run.seed, "fresh", run.state.version, index),
            )
            for index, (problem, rollout) in enumerate(drawn)
        ]
        fresh = run.collector.collect(requests, SamplingParams.of(run.config.rollout))
        count = max(1, len(drawn))
        found[kind] = (
            len(drawn),
            sum(rollout.reward for _, rollout in drawn) / count,
            sum(rollout.reward for rollout in fresh) / count,
        )
    return found


class Enough(Exception):
    """All prompt steps are measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    measured: list[list[dict[str, Rates]]] = [[] for _ in range(STEPS)]
    original = loop.learn_from_evaluations
    for seed in range(args.seeds):
        steps = iter(range(STEPS))

        def measured_first(run: Run, groups: Sequence[Group], steps=steps) -> None:  # type: ignore[no-untyped-def]
            step = next(steps)
            measured[step].append(measure(run, groups))
            if step + 1 == STEPS:
                raise Enough
            original(run, groups)

        loop.learn_from_evaluations = measured_first
        overrides = [f"run.seed={seed}", "run.threads=1", "model.device=cpu", 'guidance.spend="fixed"']
        with tempfile.TemporaryDirectory() as folder:
            console = Console(RichConsole(file=StringIO()))
            with suppress(Enough):
                train(prepare(load_config("quickstart", overrides), Path(folder, "run"), console=console))
    print("| prompt step | rollouts of | rollouts | solved, as drawn by it | solved, drawn afresh |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for step, seeds in enumerate(measured, start=1):
        for kind in ("chosen templates", "plain prompt"):
            rates = [each[kind] for each in seeds]
            total = sum(count for count, _, _ in rates) or 1
            before, after = (sum(rate[0] * rate[i] for rate in rates) / total for i in (1, 2))
            print(f"| {step} | {kind} | {total:,} | {before:.1%} | {after:.1%} |")


if __name__ == "__main__":
    main()
