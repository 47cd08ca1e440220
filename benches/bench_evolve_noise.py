"""What noise does to the acceptance rules: simulated policies, the paper's budget, many seeds.

    python benches/bench_evolve_noise.py [--seeds 40] [--output benches/evolve_noise.md]

A policy solves problem i with probability p_i, whatever the template says. In the world "no-op" the p_i are
those of hard samples: drawn from Beta(0.3, 1.2) and kept if at most one of six rollouts succeeds. In the
worlds "better" all p_i are 0.05, and the stated share of the proposals raises them to 0.20. Specialists
raise them to 0.50, each for one of three or ten kinds of problems; what is found is counted by kinds. In
the last world all p_i are 0.30 and a specialist makes them 0.80 for its third of the problems and 0 for the
others. In the worlds at the end nothing carries over to other problems: no-ops at other rates, under a greedy
policy, or with rollouts of a pair that repeat the first; templates that shift each problem at random while the
mean rate stays; rewards that are fractions, drawn anew or raised by a millionth. A false accept is one of a
template that does not work; races are the proposals that reached the dev set. Every world has 600 problems, 300
of them dev, and 11,040 rollouts (heavy_4), but for the small steps, which are those of the tiny world: 240 problems
that the plain prompt hardly ever solves, 60 of them dev, and 700 rollouts.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from functools import cache
from math import exp, log
from pathlib import Path
from random import Random
from statistics import NormalDist
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
    becomes `lifted` from `plain`, and on the others `elsewhere`. Without `plain` the rates are those of hard samples.
    `repeats` is the probability that a rollout of a pair repeats its first. `shift` is the standard
    deviation by which each template moves the logit of each problem, `drift` what keeps the mean rate where it was.
    `gain` is what each template adds to rewards that are fractions: of a problem as they are, or drawn anew. A step may
    be `small`.
    """

    seed: int
    better: float = 0.0
    kinds: int = 1
    lifted: float = 0.2
    plain: float | None = 0.05
    elsewhere: float = 0.05
    repeats: float = 0.0
    shift: float = 0.0
    gain: float | None = None
    drawn: bool = False
    small: bool = False

    def __post_init__(self) -> None:
        random = Random(f"world/{self.seed}")
        self.rates: dict[str, float] = {}
        while len(self.rates) < (240 if self.small else 600):
            rate = random.betavariate(0.3, 1.2) if self.plain is None else self.plain
            if self.plain is not None or sum(random.random() < rate for _ in range(6)) <= 1:
                self.rates[f"p{len(self.rates)}"] = rate
        self.proposed = 0
        self.rolled_out: Counter[str] = Counter()
        self.drift = 0.0 if self.plain is None else drift(self.plain, self.shift)

    def problems(self) -> list[Problem]:
        return [Problem(id, (Message(role="user", content=f"problem {id}"),), "") for id in self.rates]

    def evaluate(self, requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        self.rolled_out.update(request.problem.id for request in requests)
        return [EvaluationResult(self.reward(request)) for request in requests]

    def reward(self, request: EvaluationRequest) -> float:
        pair = (self.seed, request.template.id, request.problem.id)
        index = request.rollout_index
        if self.repeats and Random(f"{pair}/{index}/repeats").random() < self.repeats:
            index = 0
        draw = Random(f"{(*pair, index)}").random()
        if self.gain is not None:
            reward = 0.9 * (draw if self.drawn else Random(f"{self.seed}/{request.problem.id}").random())
            return reward + self.gain * (request.template.text != "")
        rate = self.rates[request.problem.id]
        kind = self.kind(request.template)
        if kind is not None:
            rate = self.lifted if kind == int(request.problem.id[1:]) % self.kinds else self.elsewhere
        elif self.shift and request.template.text:
            logit = log(rate / (1 - rate)) + Random(f"{pair}/shift").gauss(self.drift, self.shift)
            rate = 1 / (1 + exp(-logit))
        return float(draw < rate)

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


@cache
def drift(rate: float, deviation: float) -> float:
    """The shift of a logit that undoes what normal noise of this deviation does to the mean rate."""
    normal = NormalDist()
    noise = [deviation * normal.inv_cdf((i + 0.5) / 2000) for i in range(2000)]
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        mean = sum(1 / (1 + exp(-(log(rate / (1 - rate)) + each + middle))) for each in noise) / 2000
        low, high = (low, middle) if mean > rate else (middle, high)
    return low


def simulate(name: str, acceptance: str, seeds: int, options: dict[str, Any]) -> str:
    proposals = accepted = raced = wrong = idle = found = dev_rollouts = rollouts = 0
    for seed in range(seeds):
        world = World(seed, **options)
        sizes = {"dev_size": 60, "feedback_size": 60, "budget": 700, "parents": 8} if world.small else {}
        config = EvolveConfig(acceptance=acceptance, **sizes)
        evolution = evolve(world.problems(), world.evaluate, world.reflect, config, seed=seed)
        tried = evolution.candidates[1:]
        proposals += len(tried)
        accepted += sum(candidate.accepted for candidate in tried)
        no_use = [each for each in tried if each.scores and world.kind(each.template) is None]
        raced += len(no_use)
        wrong += sum(candidate.accepted for candidate in no_use)
        working = [world.kind(template) for template in evolution.chosen]
        idle += working.count(None)
        found += len({*working} - {None})
        dev_rollouts += sum(world.rolled_out[id] for id in evolution.dev_ids) - config.dev_size
        rollouts += evolution.ledger.rollouts
        assert evolution.ledger.rollouts <= (700 if world.small else 11_040)
    shown = f"{found / seeds / world.kinds:.0%}" if world.better else ""
    return (
        f"| {name} | {acceptance} | {proposals / seeds:.0f} | {accepted / proposals:.2%} "
        f"| {wrong / max(raced, 1):.2%} | {idle / seeds:.1f} | {shown} "
        f"| {dev_rollouts / proposals:.1f} | {rollouts / seeds:,.0f} |"
    )


WORLDS: dict[str, dict[str, Any]] = {
    "no-op": {"plain": None},
    "better, 1% of proposals": {"better": 0.01},
    "better, 2% of proposals": {"better": 0.02},
    "better, 5% of proposals": {"better": 0.05},
    "specialists for a third, 5%": {"better": 0.05, "kinds": 3, "lifted": 0.5},
    "specialists for a tenth, 5%": {"better": 0.05, "kinds": 10, "lifted": 0.5},
    "specialists for a third that fail elsewhere, 5%": {
        **{"better": 0.05, "kinds": 3, "lifted": 0.8, "plain": 0.3, "elsewhere": 0.0}
    },
    **{
        f"a small step, specialists for a third, {share:.0%}": {
            **{"better": share, "kinds": 3, "lifted": 0.6, "plain": 0.006, "elsewhere": 0.006, "small": True}
        }
        for share in (0.02, 0.1, 0.5)
    },
    "no-op, plain rate 0.2": {"plain": 0.2},
    "no-op, plain rate 0.5": {"plain": 0.5},
    "greedy no-op, plain rate 0.2": {"plain": 0.2, "repeats": 1.0},
    **{
        f"no-op, plain rate 0.2, {share:.0%} repeat": {"plain": 0.2, "repeats": share}
        for share in (0.1, 0.3, 0.6)
    },
    **{
        f"random shift {shift}, plain rate 0.2": {"plain": 0.2, "shift": shift}
        for shift in (0.25, 0.5, 1.0, 2.0)
    },
    "fractions, no-op": {"gain": 0.0, "drawn": True},
    "fractions, gain 0.000001": {"gain": 1e-6},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), help="some of them, by name")
    parser.add_argument("--acceptances", nargs="*", default=["strict", "posterior", "sequential"])
    parser.add_argument("--output", type=Path, help="write the table there too")
    args = parser.parse_args()
    lines = [
        f"{args.seeds} seeds a row.",
        "",
        "| world | acceptance | proposals a run | accepted | false accepts a race | no-ops in the training set "
        "| better ones found | dev rollouts a proposal | rollouts a run |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    print("\n".join(lines), flush=True)
    for name in args.worlds:
        for acceptance in args.acceptances:
            lines.append(simulate(name, acceptance, args.seeds, WORLDS[name]))
            print(lines[-1], flush=True)
    if args.output is not None:
        args.output.write_text(
            "\n".join(["# Acceptance of templates under noise", "", *lines]) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
