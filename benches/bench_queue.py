"""How long ranks wait for the longest one: equal shares of a step's rollouts, and a queue that all draw from.

    python benches/bench_queue.py [--seeds 50] [--output benches/queue.md]

Nothing is generated: lengths are drawn (log-normal, median 3,000 tokens, at most 12,288), and an engine gives each of
its slots a token in the same time, however many are taken. Lengths within a problem go together: `problem` and
`rollout` are the standard deviations of the logarithm between problems and within one. Ranks draw the pieces that
`Collector` deals out.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, pairwise
from math import exp
from pathlib import Path
from random import Random
from statistics import fmean

from p2o.rollout.collect import in_pieces

RANKS, SLOTS = 8, 64
MEDIAN, LONGEST = 3000, 12_288

STEPS = ((128, 6), (128, 16), (256, 8), (512, 8))
"""Problems of a step, and rollouts of each."""

SPREADS = ((0.0, 0.8), (0.6, 0.6), (0.8, 0.3))
"""Standard deviations between problems and within one."""


@dataclass(frozen=True)
class Times:
    """In tokens of a slot."""

    last: float
    """Until the last rank has ended."""

    waited: float
    """Mean time that a rank waited for the last one."""

    @classmethod
    def of(cls, ends: list[float]) -> Times:
        return cls(max(ends), max(ends) - fmean(ends))


def draw_lengths(seed: int, problems: int, n: int, between: float, within: float) -> list[list[int]]:
    """Lengths of the rollouts of each problem."""
    random = Random(seed)
    centres = [random.gauss(0, between) for _ in range(problems)]
    return [
        [max(1, min(LONGEST, round(MEDIAN * exp(random.gauss(centre, within))))) for _ in range(n)]
        for centre in centres
    ]


def simulate(sources: list[Iterable[float]], slots: int) -> Times:
    """Each rank draws from its source, of lengths, whenever a slot is free; ranks may share a source."""
    waiting = [iter(source) for source in sources]
    ends = [0.0] * len(sources)
    free = [(0.0, rank, slot) for slot in range(slots) for rank in range(len(sources))]
    heapq.heapify(free)
    while free:
        time, rank, slot = heapq.heappop(free)
        if (length := next(waiting[rank], None)) is not None:
            ends[rank] = max(ends[rank], time + length)
            heapq.heappush(free, (time + length, rank, slot))
    return Times.of(ends)


def in_shares(lengths: list[list[int]]) -> Times:
    """Each rank has an equal share, of neighbours."""
    flat = list(chain.from_iterable(lengths))
    edges = [len(flat) * rank // RANKS for rank in range(RANKS + 1)]
    return simulate([flat[a:b] for a, b in pairwise(edges)], SLOTS)


def from_queue(lengths: list[list[int]]) -> Times:
    """Ranks begin with a piece each, and draw further ones from a queue, as those of a run do."""
    flat = list(chain.from_iterable(lengths))
    pieces = in_pieces(len(flat), RANKS, SLOTS, refills=True)
    later = (flat[place] for piece in pieces[RANKS:] for place in piece)
    return simulate([chain((flat[place] for place in piece), later) for piece in pieces[:RANKS]], SLOTS)


def row(problems: int, n: int, between: float, within: float, seeds: int) -> str:
    """A line of the table, of means over seeds."""
    worlds = [draw_lengths(seed, problems, n, between, within) for seed in range(seeds)]
    shares, queue = ([rule(world) for world in worlds] for rule in (in_shares, from_queue))
    last = [fmean(times.last for times in each) for each in (shares, queue)]
    waited = [fmean(times.waited for times in each) for each in (shares, queue)]
    return (
        f"| {problems} x {n} | {between:g}, {within:g} | {last[0]:,.0f} | {last[1]:,.0f} | {waited[0]:,.0f} "
        f"| {waited[1]:,.0f} | {waited[0] / waited[1]:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--output", type=Path, help="write the table there too")
    args = parser.parse_args()
    lines = [
        f"{RANKS} ranks of {SLOTS} slots; lengths with a median of {MEDIAN:,} tokens and at most {LONGEST:,}; means "
        f"over {args.seeds} seeds.",
        "Times are in tokens of a slot.",
        "",
        "| problems x rollouts | spread between problems, within | last rank, equal shares | last rank, queue "
        "| a rank waits, equal shares | a rank waits, queue | less by a factor |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(row(*step, *spread, args.seeds) for step in STEPS for spread in SPREADS),
    ]
    print("\n".join(lines))
    if args.output is not None:
        text = "\n".join(["# Ranks that wait for the longest one", "", *lines]) + "\n"
        args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
