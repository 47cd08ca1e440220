"""The store of verified solutions: what is kept of a training run, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from p2o.errors import InputError
from p2o.outcomes import Outcomes, solutions
from p2o.outcomes.solutions import MAX_CHARS, Solution, Solutions
from p2o.state import LoopState
from p2o.types import Group, Problem, Rollout


def problem(id: str) -> Problem:
    messages = ({"role": "system", "content": "s"}, {"role": "user", "content": f"question {id}"})
    return Problem(id, messages, "gold")  # type: ignore[arg-type]


def rollout(text: str, reward: float = 1.0, template: str = "plain", end: Any = "stop") -> Rollout:
    return Rollout("p", template, 0, [1], [2], [0.0], end, text, reward)


def kept(store: Solutions) -> dict[str, str]:
    return {solution.problem_id: solution.response for solution in store}


def test_of_a_group_the_longest_success_is_kept_plain_or_not() -> None:
    store = Solutions()
    group = [
        rollout("wrong and long" * 9, 0.0),
        rollout("nobody knows" * 9, float("nan")),
        rollout("cut off" * 9, 1.0, end="length"),
        rollout("right"),
        rollout("right at length", template="z"),
        rollout("x" * (MAX_CHARS + 1)),
    ]
    store.observe(Group(problem("a"), group), 1.0)
    assert list(store) == [Solution("a", "question a", "right at length")]
    store.observe(Group(problem("a"), [rollout("newer")]), 1.0)
    store.observe(Group(problem("a"), [rollout("half", 0.5)]), 1.0)
    assert kept(store) == {"a": "newer"}
    store.observe(Group(problem("a"), [rollout("half", 0.5)]), 0.5)
    assert kept(store) == {"a": "half"}


def test_thoughts_before_the_answer_are_not_quoted() -> None:
    store = Solutions()
    store.add(problem("a"), "<think>hm" + "m" * MAX_CHARS + "</think>\n\nIt is 7.\n")
    store.add(problem("b"), "<think>nothing else</think>")
    assert kept(store) == {"a": "It is 7."}


def test_the_problems_solved_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solutions, "MOST", 3)
    store = Solutions()
    for id in ("a", "b", "c", "a", "d"):
        store.add(problem(id), f"solution of {id}")
    assert list(kept(store)) == ["c", "a", "d"], "b was solved longest ago"


def test_a_checkpoint_holds_them_in_order() -> None:
    store = Solutions()
    for id in ("b", "a", "c", "b"):
        store.add(problem(id), "r")
    state = LoopState(Outcomes(), solutions=store)
    again = LoopState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert list(again.solutions) == list(store)
    assert [one.problem_id for one in again.solutions] == ["a", "c", "b"]
    before = {name: value for name, value in state.to_dict().items() if name != "solutions"}
    assert list(LoopState.from_dict(before).solutions) == [], "checkpoints of before there were any"
    with pytest.raises(InputError, match="solutions of schema 2 cannot be read; this version reads 1"):
        Solutions.from_dict({"schema": 2})
