"""What `loss.zero_variance = "refill"` takes: rounds of what is missing, and a surplus that is given up.

    python benches/bench_refill.py [--seeds 40] [--output benches/refill.md]

Nothing is generated: lengths are drawn as in bench_queue.py (half of the variance between problems), and an engine
gives each of its slots a token in the same time. A group has a signal with the stated probability, whatever its length.
A step ends when `run.batch_problems` groups with a signal are known, in the order of the epoch, or after four times as
many problems.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random
from statistics import fmean

from bench_queue import draw_lengths
from p2o.batches import REFILL_LIMIT

N = 6
STEPS = ((64, 512), (128, 512), (128, 1024))
"""Groups with a signal that a step needs, and slots."""

SHARES = (0.3, 0.5, 0.8)
"""Probability that a group has a signal."""


@dataclass
class Step:
    """One step: `lengths` of the problems in the epoch's order, and which have a signal."""

    lengths: list[list[int]]
    signal: list[bool]
    wanted: int
    slots: int
    time: float = 0.0
    tokens: float = 0.0
    taken: int = 0

    def run(self, guess: float | None) -> Step:
        """Rounds of what is missing; with a `guess` at the share with a signal, of so much more."""
        counted = 0
        most = REFILL_LIMIT * self.wanted
        while counted < self.wanted and self.taken < most:
            missing = self.wanted - counted
            count = missing if guess is None else ceil(missing / guess)
            self.draw(self.taken, min(most, self.taken + count), missing)
            counted = sum(self.signal[: self.taken])
            if guess is not None:
                guess = max(1 / REFILL_LIMIT, counted / self.taken)
        return self

    def draw(self, begin: int, end: int, missing: int) -> None:
        """Draws the problems from `begin` to `end`, until the first of them with so many signals are known."""
        waiting = [(group, length) for group in range(begin, end) for length in self.lengths[group]][::-1]
        free, running = self.slots, list[tuple[float, int, int]]()
        left = dict.fromkeys(range(begin, end), N)
        while self.taken < end and sum(self.signal[begin : self.taken]) < missing:
            while free and waiting:
                group, length = waiting.pop()
                heapq.heappush(running, (self.time + length, group, length))
                free -= 1
            self.time, group, length = heapq.heappop(running)
            self.tokens += length
            free += 1
            left[group] -= 1
            while (
                self.taken < end and not left[self.taken] and sum(self.signal[begin : self.taken]) < missing
            ):
                self.taken += 1
        self.tokens += sum(length - (last - self.time) for last, _, length in running)


def step_of(seed: int, wanted: int, slots: int, share: float) -> Step:
    random = Random(f"signal {seed}")
    problems = REFILL_LIMIT * wanted
    return Step(
        draw_lengths(seed, problems, N, 0.6, 0.6),
        [random.random() < share for _ in range(problems)],
        wanted,
        slots,
    )


def row(wanted: int, slots: int, share: float, seeds: int) -> str:
    """A line of the table, of means over seeds. The guess is the true share, as after a few steps."""
    rounds, surplus = (
        [step_of(seed, wanted, slots, share).run(guess) for seed in range(seeds)] for guess in (None, share)
    )
    assert [step.taken for step in rounds] == [step.taken for step in surplus], "the same groups"
    times = [fmean(step.time for step in each) for each in (rounds, surplus)]
    tokens = [fmean(step.tokens for step in each) for each in (rounds, surplus)]
    return (
        f"| {wanted} x {N} | {slots:,} | {share:.0%} | {times[0]:,.0f} | {times[1]:,.0f} "
        f"| {times[0] / times[1]:.1f} | {tokens[1] / tokens[0] - 1:.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--output", type=Path, help="write the table there too")
    args = parser.parse_args()
    lines = [
        f"Lengths with a median of 3,000 tokens and at most 12,288; means over {args.seeds} seeds.",
        "Times are in tokens of a slot. Both take the same groups.",
        "",
        "| groups x rollouts | slots | with a signal | time, rounds | time, surplus | less by a factor | more tokens |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row(*step, share, args.seeds) for step in STEPS for share in SHARES),
    ]
    print("\n".join(lines))
    if args.output is not None:
        text = "\n".join(['# Rounds and surplus under `zero_variance = "refill"`', "", *lines]) + "\n"
        args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
