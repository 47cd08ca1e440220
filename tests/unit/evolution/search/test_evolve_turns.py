"""Rounds that are open at once: what they ask together, what they leave each other, how they end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from evolve_world import World, by_race, make_problems, step_inputs

from p2o.errors import InputError, ReflectionError
from p2o.evolution import (
    EvaluationRequest,
    Evolution,
    EvolveConfig,
    ReflectionReply,
    ReflectionRequest,
    evolve,
)
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.search.turns import Order, Turns
from p2o.templates import PLAIN


class Scripted:
    """What writes down who is served with whom."""

    def __init__(self, name: str, log: list[Any]) -> None:
        self.name, self.log, self.served = name, log, False

    @staticmethod
    def serve(orders: Sequence[Scripted]) -> None:
        orders[0].log.append([order.name for order in orders])
        for order in orders:
            order.served = True

    def give_back(self) -> None:
        if not self.served:
            self.log.append(f"{self.name} given back")


def scripted(name: str, log: list[Any]) -> Order:
    return Order(Scripted(name, log), Scripted.serve, Scripted.give_back)


def test_open_rounds_are_served_together_and_go_on_in_the_order_in_which_they_began() -> None:
    turns, log = Turns(), []

    def round(name: str, orders: int) -> Any:
        def work() -> None:
            for number in range(orders):
                turns.wait(scripted(f"{name}{number}", log))
                log.append(f"{name} goes on")

        return work

    turns.begin(1, round("a", 2))
    turns.advance()
    turns.begin(2, round("b", 1))
    assert len(turns) == 2
    turns.advance()
    assert log == [["a0"], "a goes on", ["a1", "b0"], "a goes on", "b goes on"]
    assert not turns


def test_an_error_of_one_round_ends_all_and_gives_back_what_they_were_promised() -> None:
    turns, log = Turns(), []

    def fails() -> None:
        turns.wait(scripted("a", log))
        raise ReflectionError("gone")

    turns.begin(1, fails)
    turns.begin(2, lambda: turns.wait(scripted("b", log)))
    turns.begin(3, lambda: [turns.wait(scripted(name, log)) for name in ("c", "d")])
    with pytest.raises(ReflectionError, match="gone"):
        turns.advance()
    turns.close()
    assert log == [["a", "b", "c"]]
    assert not turns


def test_what_a_round_holds_is_not_the_others_to_spend() -> None:
    turns, seen = Turns(), []

    def work() -> None:
        turns.hold(5)
        seen.append(turns.held_by_others)
        turns.wait(scripted("", []))
        seen.append(turns.held_by_others)
        turns.hold(2)

    turns.begin(1, work)
    turns.begin(2, work)
    turns.advance()
    assert seen == [0, 5, 5, 0], "by then the first one is over"


def wide(world: World, rounds: int, **options: Any) -> Evolution:
    config = by_race(**{"budget": 3000, "parents": 8, "rounds_at_once": rounds, **options})
    return evolve(make_problems(240), world.evaluate, world.reflect, config)


def test_open_rounds_ask_for_more_at_a_time_and_find_the_same() -> None:
    """As many rollouts in less than half of the batches."""
    one, four = World(), World()
    narrow, broad = wide(one, 1), wide(four, 4)
    assert len(four.batches) < 0.5 * len(one.batches)
    assert abs(narrow.ledger.rollouts - broad.ledger.rollouts) < 200
    assert broad.solved >= 0.9 * narrow.solved > 0
    assert wide(World(), 4) == broad, "and the same again"


def test_what_two_rounds_want_is_rolled_out_once() -> None:
    """`World` refuses a second time. Replicas of the plain prompt are wanted by all."""
    world = World(plain=0.3)
    evolution = wide(world, 4, minibatch=3, budget=1500)
    assert evolution.ledger.rollouts == len(world.rollouts) <= 1500
    assert evolution.stop_reason == "budget"


def test_replies_of_another_model_are_awaited_while_the_policy_is_rolled_out() -> None:
    """The reflection model answers only once the rollouts of the same turn have begun."""
    rolling = threading.Event()

    class Apart(World):
        def evaluate(self, requests: list[EvaluationRequest]) -> Any:
            rolling.set()
            return super().evaluate(requests)

    class Teacher:
        beside = True

        def __call__(self, requests: list[ReflectionRequest]) -> list[ReflectionReply]:
            if threading.current_thread() is not threading.main_thread():
                assert rolling.wait(60)
                rolling.clear()
                aside.append(len(requests))
            return world.reflect(requests)

    world, aside = Apart(), []
    config = by_race(budget=1500, parents=8, rounds_at_once=4)
    evolution = evolve(make_problems(240), world.evaluate, Teacher(), config)
    assert aside
    same = World()
    assert evolve(make_problems(240), same.evaluate, same.reflect, config) == evolution


def test_who_stops_the_step_does_not_wait_for_replies(tmp_path: Path) -> None:
    """As with one round at a time. A model behind an API may take minutes, and as many attempts."""
    released = threading.Event()

    class Slow:
        beside = True

        def __call__(self, requests: list[ReflectionRequest]) -> list[ReflectionReply]:
            if threading.current_thread() is not threading.main_thread():
                threads.append(threading.current_thread())
                time.sleep(0.5)  # until the rollouts are there, and replies alone are awaited
                os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C
                released.wait(30)
                late.append(len(requests))
            return world.reflect(requests)

    world, late, threads = World(), list[int](), list[threading.Thread]()
    config = by_race(budget=1500, parents=8, rounds_at_once=4)
    journal = tmp_path / "journal.jsonl"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        evolution = evolve(make_problems(240), world.evaluate, Slow(), config, journal=journal)
    finally:
        signal.signal(signal.SIGINT, before)
    assert evolution.stop_reason == "interrupted"
    assert (late, len(threads)) == ([], 1)
    released.set()
    threads[0].join()
    same, straight = World(), World()
    resumed = evolve(make_problems(240), same.evaluate, same.reflect, config, journal=journal)
    assert resumed == evolve(make_problems(240), straight.evaluate, straight.reflect, config)


def test_a_reflection_model_that_fails_ends_the_step_with_an_exact_ledger() -> None:
    world = World()

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        if len(world.calls) >= 24:
            raise ReflectionError("no credit")
        return world.reflect(requests)

    config = by_race(budget=3000, parents=8, rounds_at_once=3)
    evolution = evolve(make_problems(240), world.evaluate, reflect, config)
    assert evolution.stop_reason == "reflection: no credit"
    assert evolution.ledger.rollouts == len(world.rollouts)
    assert evolution.ledger.reflection_calls == len(world.calls)


def test_an_evaluator_that_breaks_its_contract_leaves_no_round_behind() -> None:
    world = World()

    def evaluate(requests: list[EvaluationRequest]) -> Any:
        results = list(world.evaluate(requests))
        return results[1:] if len(world.batches) > 6 else results

    with pytest.raises(InputError, match="fewer than"):
        evolve(make_problems(240), evaluate, world.reflect, by_race(budget=3000, parents=8, rounds_at_once=3))


def test_a_stop_lets_the_rounds_that_are_open_end() -> None:
    """No candidate is left undecided by a limit on rounds."""
    config = by_race(budget=3000, parents=8, rounds_at_once=3)
    world = World()
    evolution = evolve(make_problems(240), world.evaluate, world.reflect, config, max_rounds=5)
    assert (evolution.rounds, evolution.stop_reason) == (5, "rounds")
    assert "undecided" not in evolution.refusals
    assert {candidate.round for candidate in evolution.candidates} == set(range(6))


def test_what_a_race_drew_on_held_out_problems_can_be_shown_to_the_reflection_model() -> None:
    """A parent that meets such a problem on a minibatch later is shown with what it answered there."""
    world, empty = World(plain=0.3, right=0.6), []

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        empty.extend(request for request in requests if "response to" not in str(request.messages))
        return world.reflect(requests)

    config = by_race(acceptance="sequential", budget=6000, parents=8, minibatch=1)
    evolution = evolve(make_problems(120), world.evaluate, reflect, config)
    assert evolution.ledger.reflection_calls > 50
    assert not empty


def test_what_another_round_has_asked_for_costs_nothing() -> None:
    inputs = step_inputs(evaluate=World().evaluate)
    rollouts = Rollouts(inputs, lambda count: None)
    requests = rollouts.replicas(PLAIN, make_problems(3))
    assert rollouts.new(requests) == 6
    inputs.turns.begin(1, lambda: rollouts.run(requests) and None)
    assert (rollouts.new(requests), rollouts.affordable) == (0, 94)
    inputs.turns.advance()
    assert rollouts.new(requests) == 0


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_round_begins_where_its_race_can_be_paid_for(rounds: int) -> None:
    """30 dev problems: 30 plain rollouts, 60 more of them that `sequential` needs, 30 of a template, 6 of a task."""
    for budget in (125, 126, 140, 160):
        world = World(plain=0.0, useful=1.0)
        config = EvolveConfig(budget=budget, rounds_at_once=rounds)
        evolution = evolve(make_problems(60), world.evaluate, world.reflect, config)
        assert bool(world.calls) == (budget > 125)
        assert evolution.stop_reason == "budget"
        raced = [each for each in evolution.candidates if each.proposed and each.scores]
        better = [each for each in evolution.candidates if any(after > 0 for *_, after in each.minibatch)]
        assert bool(raced) == bool(better), (
            "whoever is better than its parent gets to race, the first at least"
        )
    assert raced
