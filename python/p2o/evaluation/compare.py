"""Two evaluations compared problem by problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2o.errors import RunDirectoryError
from p2o.evaluation.markdown import aligned, literal, with_interval
from p2o.files import naming_damaged, read_json
from p2o.intervals import Interval, mean_of_bounded

RESULT = "result.json"
"""The file of an evaluation's folder that is read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What two evaluations, A and B, found on the same problems."""

    accuracy: tuple[float, float]
    """Mean reward of A and of B."""
    differences_P: list[float]
    """B's mean reward less A's, problem by problem."""
    only_a: list[str]
    """Ids of the problems of which A has a correct completion and B none."""
    only_b: list[str]

    @property
    def interval(self) -> Interval:
        """The mean difference, with its paired bootstrap interval over problems."""
        return mean_of_bounded([self.differences_P], -1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two evaluations on the benchmarks that both have."""

    folders: tuple[str, str]
    samples: tuple[int, int]
    """Completions a problem."""
    benchmarks: dict[str, Difference]
    left_out: list[str]
    """Benchmarks that only one of them has."""

    @property
    def mean(self) -> Interval:
        """The unweighted mean of the benchmarks' differences, with its interval."""
        return mean_of_bounded([one.differences_P for one in self.benchmarks.values()], -1.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "a": self.folders[0],
            "b": self.folders[1],
            "samples": list(self.samples),
            "difference": self.mean.mean,
            "interval": [self.mean.low, self.mean.high],
            "benchmarks": {
                name: {
                    "problems": len(one.differences_P),
                    "accuracy": list(one.accuracy),
                    "difference": one.interval.mean,
                    "interval": [one.interval.low, one.interval.high],
                    "only_a": one.only_a,
                    "only_b": one.only_b,
                }
                for name, one in self.benchmarks.items()
            },
            "left_out": self.left_out,
        }

    def markdown(self) -> str:
        """A page: the benchmarks, then the problems that only one of them solves."""
        rows = [["benchmark", "A", "B", "B - A", "only A", "only B"]]
        for name, one in self.benchmarks.items():
            a, b = (f"{value:.3f}" for value in one.accuracy)
            counts = [str(len(one.only_a)), str(len(one.only_b))]
            difference = with_interval(one.interval, "+.3f")
            rows.append([literal(name), a, b, difference, *counts])
        if len(self.benchmarks) > 1:
            every = self.benchmarks.values()
            a, b = (f"{sum(one.accuracy[i] for one in every) / len(every):.3f}" for i in (0, 1))
            sums = [str(sum(len(one.only_a) for one in every)), str(sum(len(one.only_b) for one in every))]
            rows.append(["mean", a, b, with_interval(self.mean, "+.3f"), *sums])
        lines = [
            f"{which}: {literal(folder)} (avg@{samples})"
            for which, folder, samples in zip("AB", self.folders, self.samples, strict=True)
        ]
        lines = [lines[0], "", lines[1], "", *aligned(rows), "", NOTE]
        if self.left_out:
            lines += ["", f"Only one of them has {literal(', '.join(self.left_out))}."]
        for name, one in self.benchmarks.items():
            for which, ids in (("A", one.only_a), ("B", one.only_b)):
                if ids:
                    lines += ["", f"{literal(name)}, only {which}: {literal(', '.join(ids))}"]
        return "\n".join([*lines, ""])


NOTE = """\
In brackets: 95% paired bootstrap intervals over problems. only A, only B:
problems of which only that one has a correct completion."""


def compare(a: Path, b: Path) -> Comparison:
    """Compares the evaluations in two folders.

    Raises:
        RunDirectoryError: if a folder holds no finished evaluation, they have no benchmark in common, or one of them
            has other problems.
    """
    first, second = _read(a), _read(b)
    remedy = ": remove it, and the same p2o eval writes it anew"
    with naming_damaged(f"{a / RESULT} or {b / RESULT}", remedy):
        return _compared(a, b, first, second)


def _compared(a: Path, b: Path, first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    names = [name for name in first["benchmarks"] if name in second["benchmarks"]]
    if not names:
        raise RunDirectoryError(f"{a} and {b} have no benchmark in common: nothing to compare")
    every = [*first["benchmarks"], *second["benchmarks"]]
    return Comparison(
        (str(a), str(b)),
        (first["samples"], second["samples"]),
        {name: _difference(name, first, second, (a, b)) for name in names},
        [name for name in dict.fromkeys(every) if name not in names],
    )


def _read(folder: Path) -> dict[str, Any]:
    found = read_json(folder / RESULT, RunDirectoryError, f"finish it first: p2o eval ... --output {folder}")
    if not {"samples", "benchmarks", "by_problem"} <= found.keys():
        raise RunDirectoryError(f"{folder / RESULT} is no result of p2o eval")
    return found


def _difference(
    name: str, a: Mapping[str, Any], b: Mapping[str, Any], folders: tuple[Path, Path]
) -> Difference:
    if a["benchmarks"][name]["golds"] != b["benchmarks"][name]["golds"]:
        raise RunDirectoryError(
            f"{folders[0]} and {folders[1]} have other problems under the name {name}, or other golds: evaluate both "
            "on the same ones"
        )
    one, other = a["by_problem"][name], b["by_problem"][name]
    solved = [list(map(bool, each["successes"])) for each in (one, other)]
    pairs = list(zip(one["id"], *solved, strict=True))
    return Difference(
        (a["benchmarks"][name]["accuracy"], b["benchmarks"][name]["accuracy"]),
        [y - x for x, y in zip(one["accuracy"], other["accuracy"], strict=True)],
        [identity for identity, by_a, by_b in pairs if by_a and not by_b],
        [identity for identity, by_a, by_b in pairs if by_b and not by_a],
    )
