"""Worked examples as proposals: what is quoted, and that a template is given to no problem that it gives away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evolve_world import World, by_race, make_problems, step_inputs

from p2o.assembly import check_surroundings
from p2o.config import load_config
from p2o.errors import RunDirectoryError
from p2o.evolution import EvaluationRequest, Evolution, ReflectionConfig, evolve
from p2o.evolution.propose import Task
from p2o.evolution.propose.examples import Examples, nearest_first, worked_examples
from p2o.evolution.propose.prompt import ReflectionExample
from p2o.evolution.propose.refuse import gives_away
from p2o.evolution.result import Candidate
from p2o.evolution.types import GIVEN_AWAY, nobody
from p2o.outcomes import Outcomes
from p2o.outcomes.solutions import Solution, Solutions
from p2o.templates import PLAIN, make_template, problem_text
from p2o.types import Message, Problem

PROBLEMS = make_problems(60)
EASY = make_problems(72)[60:]
"""Further problems of the same kinds, which the policy has solved."""


def solved(problems: list[Problem], response: str = "It follows.") -> Solutions:
    solutions = Solutions()
    for problem in problems:
        solutions.add(problem, response)
    return solutions


def step(world: World, *, kind: Any = "none", **options: Any) -> Evolution:
    """In this world a template that names a problem's kind unlocks it, and a quoted question names its own."""
    config = {"proposer": "examples", "budget": 600, "parents": 4, **options.pop("config", {})}
    return evolve(
        PROBLEMS,
        world.evaluate,
        world.reflect if kind == "openai-like" else nobody,
        by_race(**config),
        reflection=ReflectionConfig(kind="none" if kind == "none" else "self"),
        seed=2,
        **options,
    )


def holds(text: str, problem: Problem) -> bool:
    return f"{problem_text(problem)}\n" in text


def rolled_out(world: World, evolution: Evolution) -> list[tuple[str, str]]:
    """(template text, problem id) of every rollout."""
    texts = {candidate.template.id: candidate.template.text for candidate in evolution.candidates}
    return [(texts[template], problem) for template, problem, _ in world.rollouts]


@pytest.mark.parametrize("acceptance", ["strict", "posterior"])
@pytest.mark.parametrize("search", ["evolve", "random"])
def test_examples_unlock_problems_without_a_reflection_model(acceptance: Any, search: Any) -> None:
    world = World(plain=0.0, right=1.0)
    config = {"acceptance": acceptance, "search": search, "budget": 900}
    evolution = step(world, solutions=solved(EASY), config=config)
    proposed = [candidate for candidate in evolution.candidates if candidate.proposed]
    assert {candidate.made_by for candidate in proposed} == {"examples"}
    assert evolution.chosen
    for template in evolution.chosen:
        quoted = [one for one in EASY if holds(template.text, one)]
        assert len(quoted) == 2
        assert template.text.count("It follows.") == 2
    if search == "evolve":
        assert evolution.solved == len(evolution.dev_ids), "each kind has its example"


def test_the_steps_own_successes_are_quoted_where_training_brought_none() -> None:
    """They are of feedback problems, on which such a template is then not tried: nor is its minibatch among them."""
    world = World(plain=0.15, right=1.0)
    evolution = step(world)
    assert any(candidate.proposed for candidate in evolution.candidates)
    quoted = 0
    for text, id in rolled_out(world, evolution):
        problem = next(one for one in PROBLEMS if one.id == id)
        assert not holds(text, problem)
        quoted += text.count("Question:\n\n")
    assert quoted
    dev = set(evolution.dev_ids)
    own = {one.id for c in evolution.candidates for one in PROBLEMS if holds(c.template.text, one)}
    assert own
    assert not own & dev


def test_with_nothing_to_quote_the_step_ends() -> None:
    evolution = step(World(plain=0.0, right=1.0))
    assert evolution.stop_reason == "stalled"
    assert evolution.refusals == {"no solution to quote": 5 * 4}


def test_a_template_is_not_rolled_out_on_a_problem_whose_gold_it_tells() -> None:
    """Every example says the gold of one dev problem, which then counts as not won, and is no trial of anything."""
    dev = step(World(plain=0.0), solutions=solved(EASY)).dev_ids
    told = next(problem for problem in PROBLEMS if problem.id == dev[0])
    world, outcomes = World(plain=0.0, right=1.0), Outcomes()
    evolution = step(world, solutions=solved(EASY, f"As with {told.gold}."), outcomes=outcomes)
    assert evolution.dev_ids == dev
    on_told = [text for text, id in rolled_out(world, evolution) if id == told.id]
    assert "" in on_told, "the plain prompt"
    assert not any(told.gold in text for text in on_told)
    telling = [c for c in evolution.accepted() if told.gold in c.template.text]
    assert telling
    for candidate in telling:
        assert candidate.scores[told.id] == (0.0, 1)
        assert candidate.template.id not in evolution.solvers.get(told.id, ())
        assert outcomes.of(candidate.template.id, told.id, "0").trials == 0
        assert outcomes.of(candidate.template.id, dev[1], "0").trials > 0
    assert evolution.ledger.rollouts == len(world.rollouts), "nothing is paid for what is not drawn"


def test_templates_of_others_are_checked_too_where_solutions_are_quoted() -> None:
    """A reflection model may take examples over; without quoting the step is what it was."""
    telling = f"circles primes graphs, {PROBLEMS[0].gold}"
    for proposer, expected in (("examples", 0), ("given", 1)):
        world = World(plain=0.0, right=1.0)
        step(
            world,
            templates=[telling],
            config={"proposer": proposer, "dev_size": 60},
            dev_problems=PROBLEMS[:30],
        )
        template = make_template(telling).id
        assert sum(key[:2] == (template, PROBLEMS[0].id) for key in world.rollouts) >= expected
        assert bool(sum(key[:2] == (template, PROBLEMS[0].id) for key in world.rollouts)) == bool(expected)
        assert any(key[0] == template for key in world.rollouts)


def test_a_killed_step_goes_on_and_another_store_is_another_step(tmp_path: Path) -> None:
    class Killed(World):
        def evaluate(self, requests: list[EvaluationRequest]) -> Any:
            if len(self.batches) == 5:
                raise KeyboardInterrupt
            return super().evaluate(requests)

    options = {
        "solutions": solved(EASY),
        "config": {"proposer": "reflection+examples"},
        "kind": "openai-like",
    }
    unbroken = step(World(plain=0.1), **options)
    made_by = {candidate.made_by for candidate in unbroken.candidates}
    assert made_by == {"plain", "mutation", "examples"}
    journal = tmp_path / "journal.jsonl"
    assert step(Killed(plain=0.1), journal=journal, **options).stop_reason == "interrupted"
    with pytest.raises(RunDirectoryError, match="solutions differ"):
        step(World(plain=0.1), journal=journal, **{**options, "solutions": solved(EASY[1:])})
    assert step(World(plain=0.1), journal=journal, **options) == unbroken


def test_beside_reflection_every_second_proposal_is_of_examples() -> None:
    for parents in (1, 3):
        config = {"proposer": "reflection+examples", "parents": parents}
        evolution = step(
            World(plain=0.0, right=0.0),
            kind="openai-like",
            config=config,
            solutions=solved(EASY),
            max_rounds=4,
        )
        made = [candidate.made_by for candidate in evolution.candidates if candidate.proposed]
        assert made == (["mutation", "examples"] * 6)[: 4 * parents]


def test_without_a_reflection_model_both_is_examples_alone() -> None:
    evolution = step(
        World(plain=0.0, right=1.0), solutions=solved(EASY), config={"proposer": "reflection+examples"}
    )
    assert {candidate.made_by for candidate in evolution.candidates} == {"plain", "examples"}
    for proposer in ("examples", "reflection+examples"):
        check_surroundings(load_config("quickstart", [f"evolve.proposer={proposer}", "reflection.kind=none"]))


def task(minibatch: list[Problem], failed: Problem) -> Task:
    shown = [
        ReflectionExample(problem_text(one), "response", float(one != failed), one.gold) for one in minibatch
    ]
    return Task(Candidate(0, PLAIN), minibatch, shown)


def test_neighbours_and_draws_take_turns() -> None:
    """The first, third, ... proposal is of the kind that failed; dev and minibatch are never quoted."""
    inputs = step_inputs(config=by_race(examples=3), dev=PROBLEMS[:6], solutions=solved(PROBLEMS), seed=4)
    minibatch = PROBLEMS[6:9]
    assert [problem.id.split("-")[0] for problem in minibatch] == ["circles", "primes", "graphs"]
    texts = [one.text or "" for one in Examples(inputs).propose([task(minibatch, minibatch[1])] * 8)]
    for number, text in enumerate(texts):
        assert text.count("Question:\n\nA question about") == 3
        assert not any(f"{problem_text(one)}\n" in text for one in PROBLEMS[:9])
        if number % 2 == 0:
            assert text.count("about primes") == 3
    assert len({text.count("about primes") for text in texts[1::2]}) > 1
    assert len(set(texts)) == 8
    again = Examples(inputs).propose([task(minibatch, minibatch[1])] * 8)
    assert [one.text for one in again] == texts


def solution(id: str, question: str, response: str = "r") -> Solution:
    return Solution(id, question, response)


def test_nearest_first_worked_by_hand() -> None:
    """`find`, `the` and `.` are in all and weigh nothing. `primes` is in two of six and weighs log(7/3), `sum`
    log(7/4). Shared words count for more in a short question than in a long one."""
    solutions = [
        solution("far", "Find the area."),
        solution("sum", "Find the sum."),
        solution("long", "Find the primes under 30 that end in 7."),
        solution("near", "Find the primes."),
        solution("sum again", "Find the sum."),
        solution("third sum", "Find the sum."),
    ]
    found = nearest_first("Find the sum of primes.", solutions)
    assert [one.problem_id for one in found] == ["near", "sum", "sum again", "third sum", "long", "far"]
    assert nearest_first("?", []) == []


def test_the_text_ends_where_the_problem_follows_the_nearest_stands_last_and_what_is_too_long_is_left_out() -> (
    None
):
    solutions = [solution("a", "1+1=?", "2"), solution("b", "long", "x" * 100), solution("c", " 2+2=? ", "4")]
    expected = "Question:\n\n2+2=?\n\nAnswer:\n\n4\n\nQuestion:\n\n1+1=?\n\nAnswer:\n\n2\n\nQuestion:"
    for limit in (len(expected), 120):
        assert worked_examples(solutions, 2, limit) == expected
    assert worked_examples(solutions, 2, len(expected) - 1).count("Answer:") == 1
    assert worked_examples(solutions, 1, 1000).startswith("Question:\n\n1+1=?")
    assert worked_examples(solutions, 2, 20) == ""


def test_what_gives_a_problem_away() -> None:
    problem = Problem("p", (Message(role="user", content="What is  3 + 4?"),), "7")
    for text, expected in [
        ("", False),
        ("Add in 7 steps.", False),
        ("Question:\n\nwhat is 3 + 4?\n\nAnswer:\n\nIt is seven.", True),
        ("Question:\n\nWhat is 2 + 5?\n\nAnswer:\n\nThe answer is 7.", True),
        ("Question:\n\nWhat is 2 + 5?\n\nAnswer:\n\n\\boxed{7}", True),
        ("Question:\n\nWhat is 13 + 4? What is 3 + 4?x", False),
        ("Question:\n\nWhat is 2 + 6?\n\nAnswer:\n\n\\boxed{8}", False),
    ]:
        assert gives_away(make_template(text), problem) is expected, text
    empty = Problem("e", (Message(role="user", content=" "),), "12345")
    assert not gives_away(make_template("anything"), empty)
    assert GIVEN_AWAY.reward == 0.0
