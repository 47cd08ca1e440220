"""The rules of the prompt step on policies and replies that are written out, so that the outcome is known."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from evolve_world import World, by_race, limits, make_problems, signed, step_inputs

from p2o.errors import RunDirectoryError
from p2o.evolution import (
    EvaluationRequest,
    EvaluationResult,
    Evolution,
    ReflectionConfig,
    ReflectionReply,
    ReflectionRequest,
    evolve,
)
from p2o.evolution.budget import Ledger
from p2o.evolution.search.acceptance import LOST_RACE, TOO_FEW_WINS, Entrant, Finish, Posterior, Strict
from p2o.evolution.search.race import ACCEPTANCES, race
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.search.sequential import Sequential
from p2o.outcomes import Outcomes
from p2o.templates import PLAIN, make_template

Rewards = Callable[[EvaluationRequest], float]


def rewarded(rewards: Rewards) -> Callable[[list[EvaluationRequest]], list[EvaluationResult]]:
    return lambda requests: [EvaluationResult(float(rewards(r)), f"{r.problem.id}") for r in requests]


def saying(*texts: str) -> Callable[[list[ReflectionRequest]], list[ReflectionReply]]:
    """Replies with these templates in turn, the last one again and again."""
    left = list(texts)
    return lambda requests: [
        ReflectionReply(f"```\n{left.pop(0) if len(left) > 1 else left[0]}\n```") for _ in requests
    ]


def step(rewards: Rewards, *texts: str, count: int = 40, options: Any = None, **settings: Any) -> Evolution:
    settings = {"budget": 400, "parents": 1, "max_rounds": 1, **settings}
    options = {**(options or {}), **limits(settings)}
    return evolve(make_problems(count), rewarded(rewards), saying(*texts), by_race(**settings), **options)


def templated(request: EvaluationRequest) -> float:
    """Every template solves everything, the plain prompt nothing."""
    return float(request.template != PLAIN)


@pytest.mark.parametrize(
    ("dev_size", "expected"),
    [
        (300, [(30, 0.5), (75, 0.7), (150, 0.9), (300, 0.99)]),
        (101, [(11, 0.5), (26, 0.7), (51, 0.9), (101, 0.99)]),
        (20, [(8, 0.5), (10, 0.9), (20, 0.99)]),  # a tenth and a quarter are under eight
        (9, [(8, 0.5), (9, 0.99)]),
        (8, [(8, 0.99)]),
        (3, [(3, 0.99)]),
    ],
)
def test_stages_worked_by_hand(dev_size: int, expected: list[tuple[int, float]]) -> None:
    assert Posterior.stages(dev_size) == expected
    assert Strict.stages(dev_size) == [(dev_size, 0.0)]


@pytest.mark.parametrize(
    ("dev_size", "expected"),
    [
        (300, [(30, 0.8), (75, 0.9), (150, 0.97), (300, 0.99)]),
        (120, [(12, 0.5), (30, 0.8), (60, 0.9), (120, 0.99)]),
        (60, [(8, 0.5), (15, 0.7), (30, 0.9), (60, 0.99)]),
        (8, [(8, 0.99)]),
        (2000, [(200, 0.97), (500, 0.97), (1000, 0.97), (2000, 0.99)]),
    ],
)
def test_sequential_asks_the_more_the_more_it_has_seen(
    dev_size: int, expected: list[tuple[int, float]]
) -> None:
    assert Sequential.stages(dev_size) == expected


def raced(rewards: Rewards, names: Sequence[str], budget: int) -> tuple[list[Finish], int]:
    """The ends of a race on eight dev problems, one stage, and the rollouts spent on it and the plain prompt."""
    config = by_race()
    ledger = Ledger(budget)
    inputs = step_inputs(evaluate=rewarded(rewards), config=config, ledger=ledger)
    rollouts = Rollouts(inputs, lambda count: None)
    dev = make_problems(8)
    rollouts.run(rollouts.requests(PLAIN, dev))
    entrants = [Entrant(number, make_template(name), dev) for number, name in enumerate(names)]
    return list(race(entrants, dev, rollouts, Posterior(rollouts))), ledger.rollouts


def first_three(request: EvaluationRequest) -> float:
    """Templates solve three problems, and the plain prompt all the others."""
    mine = request.problem.id in ("circles-000", "primes-001", "graphs-002")
    return float(mine == (request.template != PLAIN))


def test_replicas_decide_and_are_made_if_the_budget_just_pays_for_them() -> None:
    """Two for each side of three problems are six wins, P = 127/128; that five problems were lost does not count."""
    (won,), spent = raced(first_three, ["one"], 8 + 8 + 12)
    assert (won.accepted, won.probability_better, spent) == (True, 127 / 128, 28)
    (lost,), spent = raced(first_three, ["one"], 8 + 8 + 11)
    assert (lost.accepted, lost.probability_better, spent) == (False, 1 / 2, 16)


def test_replicas_of_the_plain_prompt_are_shared() -> None:
    """Both win the same problems: 6 replicas for each of them, and 6, not 12, of the plain prompt."""
    finishes, spent = raced(first_three, ["one", "two"], 8 + 16 + 18)
    assert [finish.accepted for finish in finishes] == [True, True]
    assert spent == 8 + 16 + 18
    finishes, spent = raced(first_three, ["one", "two"], 8 + 16 + 17)
    assert [finish.accepted for finish in finishes] == [True, False]
    assert spent == 8 + 16 + 12


def test_what_was_won_by_luck_is_not_won_again() -> None:
    """The first pair is a win, which chose the problem; the two further ones are losses: P(Bin(3, 1/2) <= 0)."""

    def rewards(request: EvaluationRequest) -> float:
        here = request.problem.id == "circles-000"
        return float(here and (request.template != PLAIN) == (request.rollout_index == 0))

    (finish,), _ = raced(rewards, ["one"], 100)
    assert finish.probability_better == 1 / 8


@pytest.mark.parametrize(("acceptance", "gain"), [("strict", -1.0), ("posterior", 0.5), ("sequential", 0.5)])
def test_losses_on_the_minibatch_are_set_off_under_strict_alone(acceptance: Any, gain: float) -> None:
    scores = [("a", 0.5, 1.0), ("b", 1.0, 0.0), ("c", 0.5, 0.0)]
    assert ACCEPTANCES[acceptance].minibatch_gain(scores) == gain


def test_what_lost_the_race_or_was_given_and_lost_is_not_tried_again() -> None:
    """On the minibatch every template is better; on dev none is."""

    def rewards(request: EvaluationRequest) -> float:
        return float(request.template != PLAIN and request.problem.id in feedback)

    problems = make_problems(40)
    feedback = {problem.id for problem in problems[20:]}
    options = {"dev_problems": problems[:20], "templates": ["given"]}
    evolution = step(rewards, "mine", "mine", "given", "yours", options=options, max_rounds=4)
    assert [(c.template.text, c.reason) for c in evolution.candidates[1:]] == [
        ("given", LOST_RACE),
        ("mine", LOST_RACE),
        ("mine", "duplicate"),
        ("given", "duplicate"),
        ("yours", LOST_RACE),
    ]


def half(request: EvaluationRequest) -> float:
    """A template solves each problem in its first rollout, and in no other."""
    return float(request.template != PLAIN and request.rollout_index == 0)


@pytest.mark.parametrize(("count", "solved"), [(2, 1.0), (3, 0.0)])
def test_of_several_rollouts_the_mean_is_what_counts(count: int, solved: float) -> None:
    """One success in two is enough for a problem to count as solved, one in three is not."""
    evolution = step(half, "help", rollouts_per_evaluation=count, acceptance="strict", budget=600)
    candidate = evolution.candidates[1]
    assert candidate.accepted
    assert [(before, after) for _, before, after in candidate.minibatch] == [(0.0, 1 / count)] * 3
    assert set(candidate.scores.values()) == {(1.0, count)}
    assert candidate.mean == pytest.approx(1 / count)
    assert evolution.metrics()["evolve/dev_solved"] == solved
    assert len(evolution.chosen) == solved


def test_every_rollout_of_an_evaluation_is_paid_for_before_a_round_begins() -> None:
    for budget in range(60, 200, 7):
        evolution = step(
            templated, "a", "b", "c", "d", count=30, budget=budget, rollouts_per_evaluation=2,
            acceptance="strict", max_rounds=4,
        )  # fmt: skip
        assert "no budget left for the dev set" not in evolution.refusals


def test_each_problem_is_shown_with_its_own_response() -> None:
    """The first failure of two rollouts, of that problem."""
    seen: list[str] = []

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        seen.extend(request.messages[-1]["content"] for request in requests)
        return [ReflectionReply("") for _ in requests]

    def evaluate(requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        return [
            EvaluationResult(1.0 - r.rollout_index, f"{r.problem.id}, rollout {r.rollout_index}")
            for r in requests
        ]

    config = by_race(budget=400, parents=4, rollouts_per_evaluation=2)
    evolve(make_problems(60), evaluate, reflect, config, max_rounds=1)
    shown = [
        re.findall(r"about (\w+) with number (\d+)\n\n### Response\n(\w+)-0*(\d+), rollout (\d)", text)
        for text in seen
    ]
    assert [len(examples) for examples in shown] == [3] * 4
    for kind, number, of_kind, of_number, index in (example for examples in shown for example in examples):
        assert (kind, int(number), index) == (of_kind, int(of_number), "1")


def test_the_plain_prompt_given_as_a_template_is_not_entered_twice() -> None:
    evolution = step(templated, "help", options={"templates": ["", " \n", "given"]})
    assert [c.made_by for c in evolution.candidates] == ["plain", "given"]


def test_outcomes_of_another_version_count_nothing() -> None:
    template = make_template("help")
    doubt = Outcomes()
    for problem in make_problems(40):
        for _ in range(50):
            doubt.record("6", template.id, problem.id, 0.0)
    options = {"outcomes": doubt, "policy_version": "7", "templates": [template]}
    assert step(templated, "other", options=options).chosen == (template,)
    options["policy_version"] = "6"
    assert template not in step(templated, "other", options=options).chosen


def test_each_round_has_its_own_coin_for_crossover() -> None:
    """Both kinds of proposals come from one parent a round, none of it plain once a template is on the front."""
    kinds = ("circles", "primes", "graphs")

    def rewards(request: EvaluationRequest) -> float:
        return float(request.problem.id.split("-")[0] in request.template.text)

    texts = [f"{kind} {i}" for i in range(20) for kind in kinds]
    evolution = step(rewards, *texts, budget=4000, max_rounds=40, proposer="reflection+crossover", count=60)
    first = {kind: min(c.round for c in evolution.accepted() if kind in c.template.text) for kind in kinds}
    partners = sorted(first.values())[1]  # from here on every template has one that solves other problems
    later = [c for c in evolution.candidates if c.round > partners and c.parents[0] != 0]
    assert {c.made_by for c in later} == {"mutation", "crossover"}


def test_rollouts_that_are_left() -> None:
    assert Ledger(50, rollouts=10).affordable_rollouts == 40
    assert Ledger(50, rollouts=60).affordable_rollouts == 0


def test_a_resumed_step_tells_the_same_story(tmp_path: Path) -> None:
    def told() -> list[Any]:
        events: list[Any] = []
        config = by_race(budget=300, parents=3)
        world = World()
        evolve(
            make_problems(60), world.evaluate, world.reflect, config,
            journal=tmp_path / "journal.jsonl", callbacks=[events.append],
        )  # fmt: skip
        return events

    assert told() == told()


def test_a_late_clock_waits_for_what_the_journal_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second life time is over at once: it stops where the records end."""
    now = [0.0]
    monkeypatch.setattr(
        sys.modules["p2o.evolution.search.step"], "time", SimpleNamespace(monotonic=lambda: now[0])
    )
    journal = tmp_path / "journal.jsonl"

    def life() -> Evolution:
        world = World()
        config = by_race(budget=400, parents=3, dev_size=12)
        return evolve(
            make_problems(60), world.evaluate, world.reflect, config, journal=journal, time_limit_s=10.0
        )

    assert life().stop_reason != "time"
    lines = journal.read_text().splitlines(keepends=True)
    notes = [i for i, line in enumerate(lines) if json.loads(line)["kind"] == "decision"]
    kept = notes[len(notes) // 2] + 1
    journal.write_text("".join(lines[:kept]))

    def late() -> float:
        now[0] += 100.0
        return now[0]

    monkeypatch.setattr(sys.modules["p2o.evolution.search.step"], "time", SimpleNamespace(monotonic=late))
    second = life()
    assert second.stop_reason == "time"
    decided = sum('"kind": "decision"' in line for line in lines[:kept])
    assert len([c for c in second.candidates if c.accepted or c.reason != "undecided"]) >= decided
    assert life() == second


def test_rounds_that_leave_no_note_are_resumed_after_the_time_was_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies without a template make no candidate: between two looks at the clock nothing is noted."""
    now = [0.0]
    monkeypatch.setattr(
        sys.modules["p2o.evolution.search.step"], "time", SimpleNamespace(monotonic=lambda: now[0])
    )

    def life(minutes: float) -> Evolution:
        def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
            now[0] += minutes
            return [ReflectionReply("no fence") for _ in requests]

        config = by_race(budget=400, parents=3, dev_size=12)
        journal = tmp_path / "journal.jsonl"
        return evolve(
            make_problems(60), World(plain=0.0).evaluate, reflect, config, journal=journal, time_limit_s=10.0
        )

    first = life(4.0)
    assert (first.stop_reason, first.rounds) == ("time", 3)
    now[0] = 0.0
    assert life(4.0) == first
    # The clock of another life, late from its first look on, does not end it before its records do.
    now[0] = 0.0
    lines = (tmp_path / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_text("".join(lines[:-1]))
    monkeypatch.setattr(
        sys.modules["p2o.evolution.search.step"],
        "time",
        SimpleNamespace(monotonic=lambda: now.append(now[-1] + 100.0) or now[-1]),
    )
    assert life(4.0) == first


def test_a_journal_that_answers_another_question_is_refused(tmp_path: Path) -> None:
    """A rollout that the reflection model was shown is changed, not its reply."""
    journal = tmp_path / "journal.jsonl"
    world = World(plain=0.0)
    config = by_race(budget=110, parents=2)
    evolve(make_problems(30), world.evaluate, world.reflect, config, journal=journal, max_rounds=1)
    text = journal.read_text()
    assert "response to" in text
    changed = [json.loads(line) for line in text.replace("response to", "answer to").splitlines()]
    journal.write_text("".join(map(signed, changed)))
    with pytest.raises(RunDirectoryError, match="reflection 0 asked something else; delete the journal"):
        evolve(make_problems(30), world.evaluate, world.reflect, config, journal=journal, max_rounds=1)


def test_no_gold_is_shown_where_none_is_to_be() -> None:
    world = World(plain=0.0)
    for show in (True, False):
        world.calls.clear()
        world.rollouts.clear()
        evolve(
            make_problems(30), world.evaluate, world.reflect, by_race(budget=60),
            reflection=ReflectionConfig(show_gold=show),
        )  # fmt: skip
        assert world.calls
        assert all(("gold-0" in call.messages[-1]["content"]) == show for call in world.calls)


def test_a_template_that_won_all_it_could_on_too_few_problems_is_told_so() -> None:
    """Two of twelve dev problems, won each time: four wins, where 0.99 takes six."""
    problems = make_problems(24)
    dev = problems[:12]

    def rewards(request: EvaluationRequest) -> float:
        helped = request.problem in dev[:2] or request.problem not in dev
        return float(helped and bool(request.template.text))

    evolution = evolve(
        problems,
        rewarded(rewards),
        saying("help"),
        by_race(budget=300, parents=1),
        dev_problems=dev,
        max_rounds=1,
    )
    refused = [candidate.reason for candidate in evolution.candidates if not candidate.accepted]
    assert refused == [TOO_FEW_WINS]
