"""What a proposal is made from: the rollouts shown, the partner of a crossover, the minibatches, what a call costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evolve_world import by_race, step_inputs

from p2o.errors import ReflectionError
from p2o.evolution.budget import Ledger
from p2o.evolution.propose import Proposal, Task
from p2o.evolution.propose.crossover import ReflectionAndCrossover, complementary
from p2o.evolution.propose.reflection import Reflection
from p2o.evolution.result import Candidate
from p2o.evolution.search.tasks import Minibatches, make_example
from p2o.evolution.types import EvaluationRequest, EvaluationResult, ReflectionReply
from p2o.templates import PLAIN, apply_template, make_template, problem_text
from p2o.types import Message, Problem


def problem(identity: str) -> Problem:
    return Problem(identity, (Message(role="user", content=f"question {identity}"),), f"gold {identity}")


def test_of_several_rollouts_the_first_failure_is_shown() -> None:
    results = [
        EvaluationResult(1.0, "right"),
        EvaluationResult(0.0, "first wrong", "length", feedback="too long"),
        EvaluationResult(0.0, "second wrong"),
    ]
    shown = make_example(problem("a"), results)
    assert (shown.response, shown.reward, shown.finish_reason) == ("first wrong", 0.0, "length")
    assert (shown.problem_text, shown.gold, shown.feedback) == ("question a", "gold a", "too long")
    assert make_example(problem("a"), results[:1]).response == "right"


def candidate(id: int, *solved: str, made_by: Any = "mutation") -> Candidate:
    scores = {name: (float(name in solved), 1) for name in "abcd"}
    return Candidate(id, make_template(f"t{id}"), made_by=made_by, accepted=True, scores=scores)


def test_the_partner_is_who_solves_most_of_what_the_parent_does_not() -> None:
    """What a partner fails and the parent solves takes nothing away: the other half of the text has it."""
    parent = candidate(1, "a", "b")
    subset, disjoint, same = candidate(2, "a", "b", "c"), candidate(3, "c", "d"), candidate(4, "a", "b")
    plain = candidate(0, "a", "b", "c", "d", made_by="plain")
    assert complementary(parent, [plain, parent, subset, disjoint, same]) is disjoint
    assert complementary(parent, [plain, parent, subset]) is subset
    assert complementary(parent, [plain, parent, same]) is None
    # Rates are compared, whatever the trials: 1 of 1 against 3 of 4.
    often, once = replace(parent, scores={"a": (3.0, 4)}), replace(subset, scores={"a": (1.0, 1)})
    assert complementary(often, [once]) is once
    assert complementary(once, [often]) is None


def test_minibatches_repeat_nothing_within_a_pass_and_passes_differ() -> None:
    problems = [problem(f"{i}") for i in range(7)]
    batches = Minibatches(problems, 3, seed=5)
    drawn = [[one.id for one in batches.next()] for _ in range(6)]
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        assert len({*first, *second}) == 6
    assert len({tuple(batch) for batch in drawn}) == 6
    assert drawn == [
        [one.id for one in again.next()] for again in [Minibatches(problems, 3, 5)] for _ in drawn
    ]
    assert Minibatches(problems[:2], 3, seed=0).size == 2


def test_calls_that_brought_no_reply_are_given_back() -> None:
    ledger = Ledger(100)

    def reflect(requests: Any) -> Any:
        yield ReflectionReply("```\none\n```", tokens=5, cost=0.5)
        raise ReflectionError("gone")

    proposer = Reflection(step_inputs(reflect=reflect, ledger=ledger))
    shown = make_example(problem("a"), [EvaluationResult(0.0, "wrong")])
    tasks = [Task(Candidate(0, PLAIN), [problem("a")], [shown])] * 3
    with pytest.raises(ReflectionError):
        proposer.propose(tasks)
    assert (ledger.reflection_calls, ledger.reflection_tokens, ledger.reflection_cost) == (1, 5, 0.5)


def test_the_template_stands_before_the_last_user_message() -> None:
    turns = [
        ("system", "s"),
        ("user", "first"),
        ("assistant", "a"),
        ("user", "last"),
        ("assistant", "prefix"),
    ]
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    assert problem_text(Problem("p", messages, "g")) == "last"
    applied = [m["content"] for m in apply_template(make_template("z"), messages)]
    assert applied == ["s", "first", "a", "z\n\nlast", "prefix"]


def test_a_crossover_is_asked_and_read_by_its_own_prompt_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file takes a whole reply for the template; the file of mutations wants a fence. The tasks are asked in one
    batch: one that draws a chance over the share, one without a partner and one of the plain prompt are mutations."""
    body = (
        "%% user\n{template}+{other}\n%% example\n-\n%% correct\ny\n%% wrong\nn\n%% wrong without gold\nn\n"
    )
    crossover = tmp_path / "crossover.txt"
    crossover.write_text("%% settings\nreply = whole\n" + body)
    asked: list[str] = []

    def reflect(requests: Any) -> Any:
        asked.extend(request.messages[-1]["content"] for request in requests)
        return [ReflectionReply("no fence")] * len(requests)

    monkeypatch.setattr("p2o.evolution.propose.crossover.CROSSOVER_PROMPT", str(crossover))
    proposer = ReflectionAndCrossover(step_inputs(reflect=reflect, config=by_race()))
    shown = make_example(problem("a"), [EvaluationResult(0.0, "wrong")])
    parent, partner, plain = candidate(1), candidate(2, "a"), candidate(0, made_by="plain")
    tasks = [
        Task(parent, [], [shown], [plain, parent, partner], 0.49),
        Task(parent, [], [shown], [plain, parent, partner], 0.5),
        Task(parent, [], [shown], [plain, parent], 0.0),
        Task(plain, [], [shown], [plain, parent, partner], 0.0),
    ]
    mutation = Proposal(None, refusal="no template in reply")
    assert proposer.propose(tasks) == [Proposal("no fence", "crossover", (1, 2)), *[mutation] * 3]
    assert asked[0] == "t1+t2"
    assert not any("t2" in prompt for prompt in asked[1:])


def test_no_two_requests_share_a_seed() -> None:
    """Equal prompts, in one batch and over batches: a model that is asked the same twice shall answer anew."""
    seeds: list[int] = []

    def reflect(requests: Any) -> Any:
        seeds.extend(request.seed for request in requests)
        return [ReflectionReply("")] * len(requests)

    proposer = Reflection(step_inputs(reflect=reflect))
    shown = make_example(problem("a"), [EvaluationResult(0.0, "wrong")])
    task = Task(Candidate(0, PLAIN), [problem("a")], [shown])
    for _ in range(2):
        proposer.propose([task, task])
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_request_has_the_prompt_to_ask_with() -> None:
    request = EvaluationRequest(problem("a"), make_template("Think."), 0)
    assert request.messages == [{"role": "user", "content": "Think.\n\nquestion a"}]
