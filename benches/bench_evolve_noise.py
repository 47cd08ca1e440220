"""What noise does to the acceptance rules: simulated policies, the paper's budget, many seeds.

    python benches/bench_evolve_noise.py [--seeds 40] [--output benches/evolve_noise.md]

A policy solves problem i with probability p_i, whatever the template says. In the world "no-op" the p_i are
those of hard samples: drawn from Beta(0.3, 1.2) and kept if at most one of six rollouts succeeds. In the
worlds "better" all p_i are 0.05, and the stated share of the proposals raises them to 0.20. Specialists
raise them to 0.50, each for one of three or ten kinds of problems; what is found is counted by kinds. In
the last world all p_i are 0.30 and a specialist makes them 0.80 for its third of the problems and 0 for the
others. Every world has 600 problems, 300 of them dev, and 11,040 rollouts (heavy_4).
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from p2o import evolve
from p2o.evolution import (
    EvaluationRequest,
    EvaluationResult,
    EvolveConfig,
    ReflectionReply,
    ReflectionRequest,
)
from p2o.types import Message, Problem, Template


@dataclass
class World:
    """`better` is the share of proposals that work, each on one of `kinds` kinds of problems, where the success rate
    becomes `lifted` from `plain`, and on the others `elsewhere`. Without any the rates are those of hard samples.
    """

    seed: int
    better: float
    kinds: int = 1
    lifted: float = 0.2
    plain: float = 0.05
    elsewhere: float = 0.05

    def __post_init__(self) -> None:
        random = Random(f"world/{self.seed}")
        self.rates: dict[str, float] = {}
        while len(self.rates) < 600:
            rate = random.betavariate(0.3, 1.2) if self.better == 0 else self.plain
            if self.better or sum(random.random() < rate for _ in range(6)) <= 1:
                self.rates[f"p{len(self.rates)}"] = rate
        self.proposed = 0
        self.rolled_out: Counter[str] = Counter()

    def problems(self) -> list[Problem]:
        return [Problem(id, (Message(role="user", content=f"problem {id}"),), "") for id in self.rates]

    def evaluate(self, requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        results = []
        for request in requests:
            rate = self.rates[request.problem.id]
            kind = self.kind(request.template)
            if kind is not None:
                rate = self.lifted if kind == int(request.problem.id[1:]) % self.kinds else self.elsewhere
            key = (self.seed, request.template.id, request.problem.id, request.rollout_index)
            self.rolled_out[request.problem.id] += 1
            results.append(EvaluationResult(float(Random(f"{key}").random() < rate)))
        return results

    def kind(self, template: Template) -> int | None:
        """The kind of problems on which a template works."""
        word, _, number = template.text.partition(" ")
        return int(number) % self.kinds if word == "works" else None

    def reflect(self, requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        replies = []
        for request in requests:
            self.proposed += 1
            works = Random(f"{self.seed}/{request.seed}").random() < self.better
            replies.append(ReflectionReply(f"```\n{'works' if works else 'idle'} {self.proposed}\n```"))
        return replies


def simulate(name: str, acceptance: str, seeds: int, *world_options: Any) -> str:
    proposals = accepted = idle = found = dev_rollouts = rollouts = 0
    for seed in range(seeds):
        world = World(seed, *world_options)
        config = EvolveConfig(acceptance=acceptance)
        evolution = evolve(world.problems(), world.evaluate, world.reflect, config, seed=seed)
        tried = evolution.candidates[1:]
        proposals += len(tried)
        accepted += sum(candidate.accepted for candidate in tried)
        working = [world.kind(template) for template in evolution.chosen]
        idle += working.count(None)
        found += len({*working} - {None})
        dev_rollouts += sum(world.rolled_out[id] for id in evolution.dev_ids) - 300
        rollouts += evolution.ledger.rollouts
        assert evolution.ledger.rollouts <= 11_040
    shown = f"{found / seeds / world.kinds:.0%}" if world.better else ""
    return (
        f"| {name} | {acceptance} | {proposals / seeds:.0f} | {accepted / proposals:.2%} "
        f"| {idle / seeds:.1f} | {idle / proposals:.2%} | {shown} "
        f"| {dev_rollouts / proposals:.1f} | {rollouts / seeds:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--output", type=Path, help="write the table there too")
    args = parser.parse_args()
    lines = [
        f"{args.seeds} seeds a row.",
        "",
        "| world | acceptance | proposals a run | accepted | no-ops in the training set | of proposals "
        "| better ones found | dev rollouts a proposal | rollouts a run |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    print("\n".join(lines), flush=True)
    worlds = [
        ("no-op", 0.0),
        ("better, 1% of proposals", 0.01, 1, 0.2),
        ("better, 2% of proposals", 0.02, 1, 0.2),
        ("better, 5% of proposals", 0.05, 1, 0.2),
        ("specialists for a third, 5%", 0.05, 3, 0.5),
        ("specialists for a tenth, 5%", 0.05, 10, 0.5),
        ("specialists for a third that fail elsewhere, 5%", 0.05, 3, 0.8, 0.3, 0.0),
    ]
    for name, *options in worlds:
        for acceptance in ("strict", "posterior"):
            lines.append(simulate(name, acceptance, args.seeds, *options))
            print(lines[-1], flush=True)
    if args.output is not None:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
