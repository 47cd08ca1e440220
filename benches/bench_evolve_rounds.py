"""How long a prompt step takes by rounds open at once: simulated engines, the worlds of `bench_evolve_noise`.

    python benches/bench_evolve_rounds.py [--seeds 10] [--output benches/evolve_rounds.md]

Eight engines with 64 slots each draw completions of log-normal length, median 3,000 tokens, at most 12,288; a
slot makes a token in a unit of time, whatever the others do. A batch is dealt to the slots in its order, each
rollout to the first that is free, and the step goes on when the last has ended. The reflection model is another
one and answers all questions at once, in as long as it takes to write 1,000 tokens (log-normal, at most 4,096),
beside the rollouts of the same turn. Every world has 600 problems, 300 of them dev, and 11,040 rollouts (heavy_4).
"""

from __future__ import annotations

import argparse
from math import log
from pathlib import Path
from random import Random
from statistics import fmean

from bench_evolve_noise import WORLDS, World
from bench_queue import simulate as simulate_slots
from p2o import evolve
from p2o.evolution import (
    EvaluationRequest,
    EvaluationResult,
    Evolution,
    EvolveConfig,
    ReflectionReply,
    ReflectionRequest,
)
from p2o.evolution.search.turns import Turns

SLOTS = 8 * 64
SHOWN = ("no-op", "better, 2% of proposals", "specialists for a third, 5%")
ROWS = (
    *({"parents": 16, "rounds_at_once": rounds} for rounds in (1, 2, 3, 4, 6)),
    {"parents": 64, "rounds_at_once": 1},
)


def length(random: Random, median: float, most: float) -> float:
    """A log-normal number of tokens: a quarter of the completions are longer than twice the median."""
    return min(most, random.lognormvariate(log(median), 1.0))


class Clocked:
    """A world whose rollouts and replies take time: those of one turn begin together."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(f"lengths/{world.seed}")
        self.batches: list[int] = []
        self.busy = 0.0
        self.time = 0.0
        self.of_turn = {"rollouts": 0.0, "replies": 0.0}

    def evaluate(self, requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        lengths = [length(self.random, 3000, 12288) for _ in requests]
        self.batches.append(len(requests))
        self.busy += sum(lengths)
        self.of_turn["rollouts"] += simulate_slots([lengths], SLOTS).last
        return self.world.evaluate(requests)

    def reflect(self, requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        self.of_turn["replies"] += max(length(self.random, 1000, 4096) for _ in requests)
        return self.world.reflect(requests)

    def end_turn(self) -> None:
        self.time += max(self.of_turn.values())
        self.of_turn = dict.fromkeys(self.of_turn, 0.0)

    def run(self, settings: dict[str, int]) -> Evolution:
        advance = Turns.advance

        def timed(turns: Turns) -> None:
            self.end_turn()  # what was asked before the first round
            advance(turns)
            self.end_turn()

        Turns.advance = timed  # type: ignore[method-assign]
        try:
            config = EvolveConfig(**settings)
            return evolve(self.world.problems(), self.evaluate, self.reflect, config, seed=self.world.seed)
        finally:
            Turns.advance = advance  # type: ignore[method-assign]


def simulate(name: str, settings: dict[str, int], seeds: int, alone: list[float]) -> str:
    """A row; `alone` are the times of the seeds in the first row, which fills them in."""
    times, occupied, found, false, raced, batch, proposals, spent = [], [], [], 0, 0, [], [], []
    for seed in range(seeds):
        clocked = Clocked(World(seed, **WORLDS[name]))
        evolution = clocked.run(settings)
        world, tried = clocked.world, evolution.candidates[1:]
        times.append(clocked.time)
        occupied.append(clocked.busy / SLOTS / clocked.time)
        batch.append(fmean(clocked.batches))
        proposals.append(len(tried))
        spent.append(evolution.ledger.rollouts)
        no_use = [each for each in tried if each.scores and world.kind(each.template) is None]
        raced += len(no_use)
        false += sum(each.accepted for each in no_use)
        found.append(len({world.kind(each) for each in evolution.chosen} - {None}) / world.kinds)
    if not alone:
        alone += times
    ratio = fmean(time / first for time, first in zip(times, alone, strict=True))
    shown = f"{fmean(found):.0%}" if WORLDS[name].get("better") else ""
    cells = (
        name,
        settings["parents"],
        settings["rounds_at_once"],
        f"{fmean(times) / 1000:,.0f}",
        f"{ratio:.2f}",
        f"{fmean(occupied):.0%}",
        f"{fmean(batch):.0f}",
        f"{fmean(proposals):.0f}",
        f"{false / max(raced, 1):.2%}",
        shown,
        f"{fmean(spent):,.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


HEADER = """# Rounds of a prompt step open at once

`python benches/bench_evolve_rounds.py`: {seeds} seeds a row, `evolve.acceptance = "sequential"`, 11,040 rollouts.
Simulated: 8 engines with 64 slots each, completions of log-normal length (median 3,000 tokens, at most 12,288), a
reflection model behind an API. Time is in thousands of tokens that a slot makes one after the other; the ratio is
to the first row of the world, seed by seed.

| world | `parents` | `rounds_at_once` | time | ratio | slots at work | rollouts a batch | proposals \
| false accepts a race | better ones found | rollouts |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    lines = []
    for name in SHOWN:
        alone: list[float] = []
        for settings in ROWS:
            lines.append(simulate(name, settings, args.seeds, alone))
            print(lines[-1], flush=True)
    if args.output is not None:
        args.output.write_text(HEADER.format(seeds=args.seeds) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
