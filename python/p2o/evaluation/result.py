"""The figures of an evaluation: of each benchmark, and their unweighted mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import fmean
from typing import Any

from p2o.evaluate import Evaluation, family_of
from p2o.evaluation.benchmarks import Benchmark
from p2o.evaluation.journal import Completion
from p2o.evaluation.markdown import aligned, literal, with_interval
from p2o.evaluation.metrics import majority, pass_at_k, pass_ks
from p2o.evolution.identity import digest
from p2o.intervals import Interval, mean_of_bounded
from p2o.outcomes.outcomes import is_success
from p2o.verifier import VerifyOptions, equivalent

NOTE = """\
Plain prompts. n: problems. In brackets: 95% bootstrap intervals over problems,
exact ones where all or none are solved; `result.json` and --json have those of
the other columns. cut: completions that ran into the token limit."""


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """A benchmark and what became of its K completions a problem."""

    benchmark: Benchmark
    evaluation: Evaluation
    """Rewards by problem and family."""
    successes_P: list[int]
    """How many of each problem's completions are correct."""
    votes_P: list[float] | None
    """Whether each problem's most frequent answer is correct; None if a function of one's own gave the rewards."""
    cut: float
    """Share of the completions that ran into the token limit."""
    unanswered: float | None
    """Share of them without an answer; None as for `votes_P`."""

    @property
    def samples(self) -> int:
        """Completions a problem, K."""
        return len(self.evaluation.rewards_PK[0])

    @property
    def means_P(self) -> list[float]:
        """Mean reward of each problem."""
        return [fmean(rewards) for rewards in self.evaluation.rewards_PK]

    def passes_P(self, k: int) -> list[float]:
        """pass@k of each problem."""
        return [pass_at_k(self.samples, correct, k) for correct in self.successes_P]

    def to_dict(self) -> dict[str, Any]:
        """Where the problems come from, and what is not in `figures`, as plain values."""
        benchmark = self.benchmark
        return {
            "source": benchmark.source,
            "revision": benchmark.revision,
            "fingerprint": benchmark.fingerprint,
            "golds": digest([[problem.id, problem.gold] for problem in benchmark.problems]),
            **self.evaluation.to_dict(),
            "cut": self.cut,
            "unanswered": self.unanswered,
        }

    def by_problem(self) -> dict[str, list[Any]]:
        """What a comparison needs of each problem."""
        ids = [problem.id for problem in self.benchmark.problems]
        return {"id": ids, "accuracy": self.means_P, "successes": self.successes_P}


def figures(results: Sequence[BenchmarkResult]) -> dict[str, Interval]:
    """avg@K, and of several completions maj@K and pass@k: unweighted means over the benchmarks, with intervals."""
    k = results[0].samples
    groups = {f"avg@{k}": [result.means_P for result in results]}
    if k > 1:
        votes = [result.votes_P for result in results if result.votes_P is not None]
        groups |= {f"maj@{k}": votes} if len(votes) == len(results) else {}
        groups |= {f"pass@{j}": [result.passes_P(j) for result in results] for j in pass_ks(k)[1:]}
    return {name: mean_of_bounded(parts) for name, parts in groups.items()}


def _plain(found: dict[str, Interval]) -> dict[str, dict[str, Any]]:
    return {name: {"mean": one.mean, "interval": [one.low, one.high]} for name, one in found.items()}


def judge(
    benchmark: Benchmark, completions: Sequence[Completion], success: float, options: VerifyOptions | None
) -> BenchmarkResult:
    """The figures of a benchmark.

    Args:
        benchmark: its problems.
        completions: those of each problem in turn, equally many.
        success: the reward from which a completion is correct.
        options: those of the verifier that gave the rewards; None if something else did.
    """
    k = len(completions) // len(benchmark.problems)
    rows = [completions[i * k : (i + 1) * k] for i in range(len(benchmark.problems))]
    correct_PK = [[is_success(one.reward, success) for one in row] for row in rows]
    votes = unanswered = None
    if options is not None:
        same = partial(equivalent, **options)
        votes = [
            majority([one.answer for one in row], correct, same)
            for row, correct in zip(rows, correct_PK, strict=True)
        ]
        unanswered = fmean(one.answer is None for one in completions)
    return BenchmarkResult(
        benchmark,
        Evaluation(
            [[one.reward for one in row] for row in rows],
            [family_of(problem) for problem in benchmark.problems],
            sum(one.tokens for one in completions),
        ),
        [sum(correct) for correct in correct_PK],
        votes,
        fmean(one.finish_reason == "length" for one in completions),
        unanswered,
    )


@dataclass(frozen=True)
class SuiteResult:
    """An evaluation on one or several benchmarks."""

    settings: dict[str, Any]
    """The model and how it was sampled."""
    results: list[BenchmarkResult]

    @cached_property
    def figures(self) -> list[dict[str, Interval]]:
        """Those of each benchmark."""
        return [figures([result]) for result in self.results]

    @cached_property
    def means(self) -> dict[str, Interval]:
        """The unweighted means over the benchmarks."""
        return self.figures[0] if len(self.results) == 1 else figures(self.results)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values: means over the benchmarks, then each of them."""
        accuracy = next(iter(self.means.values()))
        return {
            **self.settings,
            "accuracy": accuracy.mean,
            "interval": [accuracy.low, accuracy.high],
            "figures": _plain(self.means),
            "problems": sum(result.evaluation.problems for result in self.results),
            "tokens": sum(result.evaluation.tokens for result in self.results),
            "benchmarks": {
                result.benchmark.name: {**result.to_dict(), "figures": _plain(own)}
                for result, own in zip(self.results, self.figures, strict=True)
            },
        }

    def by_problem(self) -> dict[str, dict[str, list[Any]]]:
        """What a comparison needs, by benchmark."""
        return {result.benchmark.name: result.by_problem() for result in self.results}

    def tables(self) -> list[str]:
        """Lines of Markdown: a table of the benchmarks, each one's families, and where the problems come from."""
        rows = [
            _row(literal(result.benchmark.name), [result], own)
            for result, own in zip(self.results, self.figures, strict=True)
        ]
        if len(self.results) > 1:
            rows.append(_row("mean", self.results, self.means))
        lines = aligned([list(rows[0]), *(list(row.values()) for row in rows)])
        for result in self.results:
            if families := result.evaluation.intervals():
                head = [f"{literal(result.benchmark.name)}, by family", "n", f"avg@{result.samples}"]
                cells = [
                    [literal(name), f"{one.count:,}", with_interval(one)] for name, one in families.items()
                ]
                lines += ["", *aligned([head, *cells])]
        tokens = f"{sum(result.evaluation.tokens for result in self.results):,} tokens generated"
        return [*lines, "", tokens, "", *(f"- {literal(str(one.benchmark))}" for one in self.results)]

    def markdown(self) -> str:
        """The page `result.md`."""
        shown = literal(", ".join(f"{key} {value}" for key, value in self.settings.items()))
        return "\n".join(["# Evaluation", "", shown, "", *self.tables(), "", NOTE, ""])


def _row(name: str, results: Sequence[BenchmarkResult], found: dict[str, Interval]) -> dict[str, str]:
    """A line of the table, 80 wide: only avg@K has its interval, and of pass@k the largest k stands."""
    (first, accuracy), *others = found.items()
    passes = [key for key, _ in others if key.startswith("pass@")]
    return {
        "benchmark": name,
        "n": f"{sum(result.evaluation.problems for result in results):,}",
        first: with_interval(accuracy),
        **{key: f"{one.mean:.3f}" for key, one in others if key not in passes[:-1]},
        "cut": f"{fmean(result.cut for result in results):.1%}",
    }
