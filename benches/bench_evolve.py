"""Pareto bookkeeping and a whole run with a free evaluator, beside gepa 0.1.4 in the same process.

    python benches/bench_evolve.py [--quick] [--output benches/evolve.md]

"Prune and select" is what each engine does to draw one parent: remove the redundant candidates, weigh the
rest, draw. gepa gets its fronts ready made; p2o's front is filled beforehand too, and the time of filling
it stands beside. Scores are binary and 60% of the instances are solved by nobody; each other instance has a
success rate of its own from Beta(0.3, 1.2), as hard samples do ("hard"), or of a half ("even"). Both
answers are compared. Times are CPU times of the process, which has one thread: what else the machine does is not
counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gepa
import numpy as np
from gepa.core.adapter import EvaluationBatch
from gepa.gepa_utils import remove_dominated_programs, select_program_candidate_from_pareto_front

from p2o import ParetoFront, evolve
from p2o.evolution import (
    EvaluationRequest,
    EvaluationResult,
    EvolveConfig,
    ReflectionReply,
    ReflectionRequest,
)
from p2o.types import Message, Problem


def make_scores(kind: str, candidates: int, instances: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    rates = generator.beta(0.3, 1.2, instances) if kind == "hard" else np.full(instances, 0.5)
    rates[generator.random(instances) < 0.6] = 0.0
    return (generator.random((candidates, instances)) < rates).astype(np.float64)


def seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def prune_and_select(kind: str, candidates: int, instances: int) -> str:
    scores = make_scores(kind, candidates, instances)
    front = ParetoFront(instances)
    start = time.process_time()
    for row in scores:
        front.insert(row)
    filling = time.process_time() - start
    ours = seconds(lambda: front.select(1), 21)

    fronts = {i: set(np.flatnonzero(column == column.max()).tolist()) for i, column in enumerate(scores.T)}
    means = [float(row.mean()) for row in scores]
    start = time.process_time()
    chosen = select_program_candidate_from_pareto_front(fronts, means, random.Random(0))
    theirs = time.process_time() - start

    survivors = set(range(candidates)) - set(front.dominated())
    assert chosen in survivors
    if candidates <= 100:
        # Ties in the mean broken by index, as p2o does; gepa's own order is that of a set.
        ranks = {
            id: rank for rank, id in enumerate(sorted(range(candidates), key=lambda id: (means[id], id)))
        }
        pruned = remove_dominated_programs(fronts, scores=ranks)
        assert set().union(*pruned.values()) == survivors
    return (
        f"| prune and select, {kind}, {candidates} x {instances} "
        f"| {theirs * 1e3:,.1f} ms | {ours * 1e3:,.3f} ms | {theirs / ours:,.0f} x "
        f"| filling the front: {filling * 1e3:,.1f} ms |"
    )


class FreeAdapter:
    """Costs nothing; every proposal is better on feedback problems, and dev scores are hard ones."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.tolist()

    def score(self, text: str, index: int, *, dev: bool) -> float:
        number = int(text or 0)
        return self.scores[number][index] if dev else number / len(self.scores)

    def evaluate(self, batch, candidate, capture_traces=False):
        text = candidate["instruction"]
        scores = [self.score(text, index, dev=dev) for dev, index in batch]
        return EvaluationBatch(scores, scores, scores if capture_traces else None)

    def make_reflective_dataset(self, candidate, eval_batch, components_to_update):
        return {"instruction": [{"score": score} for score in eval_batch.scores]}

    def propose_new_texts(self, candidate, reflective_dataset, components_to_update):
        self.proposed = getattr(self, "proposed", 0) + 1
        return {"instruction": str(self.proposed)}


class Silent:
    def log(self, message: str) -> None:
        pass


def whole_run(accepted: int, instances: int) -> str:
    scores = make_scores("hard", accepted + 1, instances)
    adapter = FreeAdapter(scores)
    calls = (accepted + 1) * instances + accepted * 6

    start = time.process_time()
    theirs = gepa.optimize(
        seed_candidate={"instruction": "0"},
        trainset=[(False, i) for i in range(instances)],
        valset=[(True, i) for i in range(instances)],
        adapter=adapter,
        max_metric_calls=calls,
        logger=Silent(),
        seed=0,
    )
    gepa_time = time.process_time() - start

    def problem(dev: bool, index: int) -> Problem:
        message = Message(role="user", content=f"{dev} {index}")
        return Problem(f"{dev}-{index}", (message,), "", {"dev": dev, "index": index})

    def evaluate(requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        results = []
        for request in requests:
            meta = request.problem.meta
            results.append(
                EvaluationResult(adapter.score(request.template.text, meta["index"], dev=meta["dev"]))
            )
        return results

    proposed = iter(range(1, accepted + 1))

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        return [ReflectionReply(f"```\n{next(proposed)}\n```") for _ in requests]

    start = time.process_time()
    ours = evolve(
        [problem(False, i) for i in range(instances)],
        evaluate,
        reflect,
        EvolveConfig(budget=10**9, parents=1, acceptance="strict"),
        max_rounds=accepted,
        dev_problems=[problem(True, i) for i in range(instances)],
    )
    p2o_time = time.process_time() - start
    kept = len(ours.accepted())
    assert kept == accepted + 1
    return (
        f"| whole run, free evaluator, {instances} dev instances | {gepa_time:,.2f} s | {p2o_time:,.3f} s "
        f"| {gepa_time / p2o_time:,.0f} x | accepted: gepa {len(theirs.candidates) - 1}, p2o {kept - 1} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the sizes that take gepa minutes")
    parser.add_argument("--output", type=Path, help="write the table there too")
    args = parser.parse_args()
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, gepa 0.1.4; CPU "
        "time of one thread. p2o: median of 21 in the first rows, else one run; gepa: one run.",
        "",
        "| | gepa | p2o | | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    print("\n".join(lines), flush=True)
    sizes = [("hard", 100, 300), ("even", 1000, 1000), ("hard", 1000, 1000)]
    sizes += [("even", 2000, 5000), ("hard", 2000, 5000)]
    runs = [(100, 300), (300, 300)]
    if args.quick:
        sizes, runs = sizes[:2], runs[:1]
    rows: list[Callable[[], str]] = [partial(prune_and_select, *size) for size in sizes]
    rows += [partial(whole_run, *run) for run in runs]
    for row in rows:
        lines.append(row())
        print(lines[-1], flush=True)
    if args.output is not None:
        args.output.write_text(
            "\n".join(["# Prompt evolution beside gepa", "", *lines]) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
