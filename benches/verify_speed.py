"""Speed of `p2o.verify` beside Math-Verify, per kind of answer, in one process and one run.

    python benches/verify_speed.py [--cases N] [--output benches/verify_speed.md]

Each case is timed from Python, end to end: find the answer in the completion, parse it and the gold, compare.
A case's time is the best of three for both sides; Math-Verify's caches are emptied before each.
`p2o` remembers the last gold it parsed; another gold comes between, so both sides parse each gold each time.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import math_verify
from math_verify import grader as _grader  # noqa: F401  (imported before the clock starts)
from math_verify import parser as math_verify_parser

import p2o

Case = tuple[str, str]
"""Completion, gold."""


def boxed(answer: str) -> str:
    return f"We add the two parts and simplify. Therefore the final answer is $\\boxed{{{answer}}}$."


def integers(draw: random.Random) -> Case:
    value = draw.randrange(10**6)
    return boxed(f"{value}"), f"{value + draw.randrange(2)}"


def decimals(draw: random.Random) -> Case:
    value = draw.randrange(10**6)
    return boxed(f"{value / 1000:.3f}"), f"\\frac{{{value + draw.randrange(2)}}}{{1000}}"


def fractions(draw: random.Random) -> Case:
    top, bottom, factor = draw.randrange(1, 99), draw.randrange(2, 99), draw.randrange(2, 9)
    return boxed(
        f"\\frac{{{top * factor}}}{{{bottom * factor}}}"
    ), f"\\frac{{{top}}}{{{bottom + draw.randrange(2)}}}"


def radicals(draw: random.Random) -> Case:
    a, b, c = (draw.randrange(2, 30) for _ in range(3))
    return boxed(f"{a}+{b}\\sqrt{{{c}}}"), f"\\sqrt{{{b * b * c}}}+{a + draw.randrange(2)}"


def expressions(draw: random.Random) -> Case:
    a, b, c = (draw.randrange(2, 30) for _ in range(3))
    return boxed(f"({a}x+{b})(x-{c})"), f"{a}x^2+{b - a * c}x-{b * c + draw.randrange(2)}"


def tuples(draw: random.Random) -> Case:
    a, b, c = (draw.randrange(2, 99) for _ in range(3))
    return boxed(f"\\left(\\frac{{{a}}}{{{b}}}, {c}, -1\\right)"), f"({a}/{b},{c + draw.randrange(2)},-1)"


def intervals(draw: random.Random) -> Case:
    a, b = draw.randrange(2, 99), draw.randrange(100, 199)
    return boxed(
        f"(-\\infty,{a}] \\cup ({b}, \\infty)"
    ), f"({b + draw.randrange(2)},\\infty)\\cup(-\\infty,{a}]"


def equations(draw: random.Random) -> Case:
    a, b = draw.randrange(2, 30), draw.randrange(2, 30)
    return boxed(f"2y = {2 * a}x + {2 * b}"), f"y = {a}x + {b + draw.randrange(2)}"


def sets(draw: random.Random) -> Case:
    a, b, c = draw.sample(range(2, 99), 3)
    return boxed(
        f"\\left\\{{{a}, \\sqrt{{{b}}}, {c}\\right\\}}"
    ), f"\\{{{c},{a + draw.randrange(2)},\\sqrt{{{b}}}\\}}"


def matrices(draw: random.Random) -> Case:
    a, b, c, d = (draw.randrange(2, 99) for _ in range(4))
    answer = f"\\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}"
    return boxed(answer), f"\\begin{{bmatrix}}{a}&{b}\\\\{c}&{d + draw.randrange(2)}\\end{{bmatrix}}"


def functions(draw: random.Random) -> Case:
    a, b = draw.randrange(2, 30), draw.randrange(2, 30)
    return boxed(f"{2 * a} \\sin({b}t) \\cos({b}t)"), f"{a + draw.randrange(2)} \\sin({2 * b} t)"


def long_outputs(draw: random.Random) -> Case:
    value = draw.randrange(10**6)
    steps = "".join(f"Step {n}: we get $x_{{{n}}} = {draw.randrange(999)}$ and go on.\n" for n in range(60))
    return steps + boxed(f"{value}"), f"{value + draw.randrange(2)}"


KINDS: dict[str, Callable[[random.Random], Case]] = {
    "integers": integers,
    "decimals": decimals,
    "fractions": fractions,
    "radicals": radicals,
    "expressions": expressions,
    "functions": functions,
    "tuples": tuples,
    "intervals": intervals,
    "equations": equations,
    "sets": sets,
    "matrices": matrices,
    "integers in 3 kB of text": long_outputs,
}


def best_of_three(function: Callable[[Case], object], case: Case, prepare: Callable[[], None]) -> float:
    times = []
    for _ in range(3):
        prepare()
        start = time.perf_counter()
        function(case)
        times.append(time.perf_counter() - start)
    return min(times)


def with_math_verify(case: Case) -> bool:
    completion, gold = case
    parsed = math_verify.parse(f"\\boxed{{{gold}}}", [math_verify.LatexExtractionConfig()])
    return bool(math_verify.verify(parsed, math_verify.parse(completion)))


def empty_math_verify_caches() -> None:
    for name in ("parse_latex_cached", "parse_expr_cached", "extract_latex"):
        getattr(math_verify_parser, name).cache_clear()


def forget_last_gold() -> None:
    p2o.verify("0", "0")


def with_p2o(case: Case) -> bool:
    return p2o.verify(*case).correct


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def rows(count: int, seed: int) -> Iterator[str]:
    yield "| kind | Math-Verify median | p99 | p2o median | p99 | median ratio | same verdict |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for kind, make in KINDS.items():
        draw = random.Random(f"{seed} {kind}")
        cases = [make(draw) for _ in range(count)]
        theirs = [best_of_three(with_math_verify, case, empty_math_verify_caches) for case in cases]
        ours = [best_of_three(with_p2o, case, forget_last_gold) for case in cases]
        same = sum(with_math_verify(case) == with_p2o(case) for case in cases)
        ratio = statistics.median(theirs) / statistics.median(ours)
        yield (
            f"| {kind} | {statistics.median(theirs) * 1e6:,.0f} µs "
            f"| {percentile(theirs, 0.99) * 1e6:,.0f} µs "
            f"| {statistics.median(ours) * 1e6:,.1f} µs | {percentile(ours, 0.99) * 1e6:,.1f} µs "
            f"| {ratio:,.0f}× | {same} of {count} |"
        )


def batch_rows(seed: int) -> Iterator[str]:
    draw = random.Random(seed)
    cases = [make(draw) for make in KINDS.values() for _ in range(2000)]
    draw.shuffle(cases)
    completions, golds = [case[0] for case in cases], [case[1] for case in cases]
    yield "| `verify_batch`, all kinds mixed | answers | seconds | answers/s |"
    yield "| --- | ---: | ---: | ---: |"
    for threads in (1, 2):
        p2o.verify_batch(completions[:64], golds[:64], threads=threads)  # starts the pool
        seconds = min(_timed(completions, golds, threads) for _ in range(5))
        plural = "s" if threads > 1 else ""
        yield f"| {threads} thread{plural} | {len(cases):,} | {seconds:.3f} | {len(cases) / seconds:,.0f} |"


def _timed(completions: list[str], golds: list[str], threads: int) -> float:
    start = time.perf_counter()
    p2o.verify_batch(completions, golds, threads=threads)
    return time.perf_counter() - start


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--cases", type=int, default=40, help="cases per kind")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    logging.disable(logging.CRITICAL)  # Math-Verify logs every failed parse
    with_math_verify(("$1$", "1"))
    lines = [
        "# Speed of the verifier",
        "",
        "Made by `make bench-verify`. One thread, end to end from Python, best of three per case, "
        f"{options.cases} cases a kind.",
        f"math-verify {version('math-verify')}, p2o {p2o.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()} with {os.cpu_count()} cores.",
        "",
    ]
    print("\n".join(lines))
    for table in (rows(options.cases, options.seed), batch_rows(options.seed)):
        for line in (*table, ""):
            print(line, flush=True)
            lines.append(line)
    options.output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
