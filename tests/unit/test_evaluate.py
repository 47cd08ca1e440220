"""The figures of an evaluation, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest

from p2o.config import load_config
from p2o.evaluate import Evaluation, evaluate
from p2o.templates import PLAIN
from p2o.types import Problem, Rollout

FOUND = Evaluation(
    rewards_PK=[[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
    families_P=["a", "a", "b", None],
    tokens=80,
)


class Collector:
    """Rewards by problem and sample: of the problem `a` the second sample is right, of `b` both are."""

    def collect(self, requests: Any, params: Any, progress: Any) -> list[Rollout]:
        self.requests, self.params = list(requests), params
        return [
            Rollout(
                r.problem.id,
                "plain",
                r.index,
                [],
                [5] * 3,
                [],
                "stop",
                "",
                float(r.problem.id == "b" or r.index),
            )
            for r in requests
        ]


def test_every_sample_is_a_draw_of_its_own_the_same_each_time() -> None:
    problems = [
        Problem(name, ({"role": "user", "content": name},), "1", {"family": name.upper()}) for name in "ab"
    ]
    collector = Collector()
    seeds = []
    for seed in (0, 0, 1):
        settings = ["evaluation.samples=2", "evaluation.temperature=0.7", "rollout.max_tokens=9"]
        config = load_config("quickstart", [*settings, f"run.seed={seed}"])
        found = evaluate(problems, collector, config)  # type: ignore[arg-type]
        assert found == Evaluation([[0.0, 1.0], [1.0, 1.0]], ["A", "B"], tokens=12)
        assert (collector.params.temperature, collector.params.max_tokens) == (0.7, 9)
        assert {request.template for request in collector.requests} == {PLAIN}
        seeds.append([request.seed for request in collector.requests])
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 8


def test_figures_by_hand() -> None:
    assert (FOUND.problems, FOUND.tokens) == (4, 80)
    assert FOUND.accuracy == 0.5
    assert FOUND.by_family == {"a": 0.25, "b": 1.0}
    assert FOUND.best == 0.75


def test_intervals_are_over_problems_with_all_their_samples() -> None:
    intervals = FOUND.intervals()
    assert list(intervals) == ["a", "b"]
    assert [intervals[name].mean for name in intervals] == [0.25, 1.0]
    assert FOUND.interval().mean == 0.5
    # Two problems of 0.5 and 0: each resample is one of 0, 0.25 and 0.5, the ends a quarter of the time each.
    assert (intervals["a"].low, intervals["a"].high) == (0.0, 0.5)
    # One problem that is always solved: a rate of 0.025 would show that one time in forty.
    assert (intervals["b"].low, intervals["b"].high) == (pytest.approx(0.025), 1.0)
    # More samples of the same problems make no narrower interval.
    more = Evaluation([rewards * 50 for rewards in FOUND.rewards_PK], FOUND.families_P, tokens=0)
    assert more.interval().low == pytest.approx(FOUND.interval().low)
    assert more.interval().high == pytest.approx(FOUND.interval().high)


def test_a_family_may_be_called_all() -> None:
    found = Evaluation([[1.0], [0.0], [0.0], [0.0]], ["all", "x", "x", "x"], tokens=4)
    metrics = found.metrics()
    assert list(metrics)[:3] == ["evaluation/accuracy", "evaluation/accuracy/all", "evaluation/accuracy/x"]
    assert (metrics["evaluation/accuracy"], metrics["evaluation/accuracy/all"]) == (0.25, 1.0)
    assert found.to_dict()["family_intervals"]["all"] == [pytest.approx(0.025), 1.0]


def test_no_success_among_few_problems_is_no_certainty() -> None:
    found = Evaluation([[0.0, 0.0]] * 12, [None] * 12, tokens=0).interval()
    assert (found.mean, found.low) == (0.0, 0.0)
    # At that rate twelve problems without a success come up one time in forty.
    assert (1 - found.high) ** 12 == pytest.approx(0.025)


def test_the_figures_for_json() -> None:
    found = FOUND.to_dict()
    low, high = found["interval"]
    assert 0.0 <= low < 0.5 < high <= 1.0
    assert found["family_intervals"] == {"a": [0.0, 0.5], "b": [pytest.approx(0.025), 1.0]}
    assert {key: found[key] for key in ("accuracy", "best", "samples", "problems", "tokens")} == {
        "accuracy": 0.5,
        "best": 0.75,
        "samples": 2,
        "problems": 4,
        "tokens": 80,
    }
