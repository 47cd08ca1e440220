"""What a prompt step may spend, and whose rollouts are trained on: worked by hand."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from p2o.config import load_config
from p2o.evolution.budget import Ledger
from p2o.evolution.config import EvolveConfig
from p2o.evolution.events import Decided
from p2o.evolution.result import PLAIN_ENOUGH, Candidate, Evolution
from p2o.evolution.types import PlainEnough
from p2o.guidance.evaluations import Evaluations, drawn_on_dev
from p2o.guidance.evolved import Evolved
from p2o.guidance.spending import (
    Allowance,
    adaptive_allowance,
    allow,
    fruitless_row,
    least_rollouts,
    unlocked_share,
)
from p2o.outcomes import Outcomes, likely_hard
from p2o.rollout.collect import RolloutRequest
from p2o.state import LoopState
from p2o.templates import PLAIN, make_template
from p2o.types import Message, Problem, Rollout, Template

Z, OTHER, BACK = make_template("z"), make_template("other"), make_template("given back")


def problem(identity: str) -> Problem:
    return Problem(identity, (Message(role="user", content=identity),), "1")


def outcomes_of(*records: tuple[str, str, float, str]) -> Outcomes:
    outcomes = Outcomes()
    for template, identity, reward, source in records:
        outcomes.record("1", template, identity, reward, source)
    return outcomes


def test_unlocked_is_the_share_solved_under_a_template_of_those_tried_under_one() -> None:
    """a is solved under z, b only by its plain rollout, c by the prompt step alone, d has not been tried; e is solved
    under the template that it was given back."""
    outcomes = outcomes_of(
        (Z.id, "a", 1.0, "training"),
        (Z.id, "b", 0.0, "training"),
        ("plain", "b", 1.0, "training"),
        (OTHER.id, "c", 0.0, "training"),
        (Z.id, "c", 1.0, "prompt step"),
        (BACK.id, "e", 1.0, "training"),
        (Z.id, "e", 0.0, "training"),
    )
    given = {name: [Z, OTHER, PLAIN] for name in "abcd"} | {"e": [Z, BACK, PLAIN]}
    assert unlocked_share(given, [Z, OTHER], outcomes, "1") == pytest.approx(1 / 4)


def test_a_step_without_templates_unlocked_nothing_and_one_that_is_untried_is_not_known() -> None:
    outcomes = outcomes_of(("plain", "a", 1.0, "training"))
    assert unlocked_share({"a": [PLAIN]}, [], outcomes, "1") == 0.0
    assert unlocked_share({"a": [BACK, PLAIN]}, [Z], outcomes, "1") == 0.0
    assert unlocked_share({"a": [Z, PLAIN]}, [Z], outcomes, "1") is None


def test_the_first_step_has_the_whole_budget() -> None:
    """It unlocks (0.9 - s) * 350 problems with 700 rollouts. Plain ones solve s * 350 with 350 * 6, the third part as
    many each, so they buy as much at s = 0.9 * 3 / 4."""
    allowance = adaptive_allowance([], (0, 0), hard=350, n=6, budget=700)
    assert allowance == Allowance(1.0, PlainEnough(pytest.approx(0.675), 6))
    bought_by_the_step = (0.9 - 0.675) * 350 / 700
    assert bought_by_the_step == pytest.approx(0.675 / 6)


def test_steps_shrink_with_what_they_unlock_and_come_back() -> None:
    shares = [
        adaptive_allowance(unlocked, (0, 0), 400, n=6, budget=700).share
        for unlocked in (
            [],
            [1.0],  # more than was guessed is no reason to spend more
            [0.0],  # four guesses of five
            [0.0] * 4,
            [0.0] * 40,  # never below an eighth
            [0.0] * 4 + [0.9] * 4,
        )
    ]
    assert shares == pytest.approx([1.0, 1.0, 0.8, 0.5, 0.125, 8 / 12])


def test_a_step_keeps_what_a_race_and_twenty_proposals_cost() -> None:
    """60 dev problems: the plain prompt three times, a template once; twenty minibatches of 3, plain and with a
    proposal."""
    assert least_rollouts(EvolveConfig(), 60) == 60 * 3 + 60 + 2 * 20 * 3
    assert least_rollouts(EvolveConfig(rollouts_per_evaluation=4), 60) == 60 * 6 + 60 * 4 + 2 * 20 * 3 * 4
    shares = [adaptive_allowance([0.0] * 40, (0, 0), 400, n=6, budget=700, least=n).share for n in (360, 50)]
    assert shares == pytest.approx([360 / 700, 0.125])


def test_the_less_was_unlocked_and_the_fewer_are_hard_the_earlier_plain_rollouts_do() -> None:
    def enough(unlocked: list[float], hard: int) -> float:
        found = adaptive_allowance(unlocked, (0, 0), hard, n=6, budget=600).plain_enough
        assert found is not None
        return found.share

    assert [enough(unlocked, 300) for unlocked in ([1.0], [])] == pytest.approx([0.92 * 3 / 4, 0.9 * 3 / 4])
    # 3.6 of 5 expected, so the step has 480 rollouts, beside 1,800 plain ones
    assert enough([0.0], 300) == pytest.approx(0.72 * 1800 / 2280)
    assert [enough([], hard) for hard in (100, 50)] == pytest.approx([0.9 / 2, 0.9 / 3])
    assert Allowance().plain_enough is None


def test_a_step_gives_up_after_a_row_of_failures_that_is_unlikely_by_chance() -> None:
    """One of twenty is the guess: after 20 of 60 the rate is 21 / 80, and 0.7375^9 = 0.065, 0.7375^10 = 0.048."""
    assert adaptive_allowance([], (0, 0), 350, n=6, budget=700).max_fruitless is None
    assert adaptive_allowance([0.9], (20, 60), 350, n=6, budget=700).max_fruitless == 10
    assert [fruitless_row(*each) for each in ((0, 0), (1, 60), (0, 1000))] == [59, 119, 3055]


def test_what_a_step_may_spend_follows_from_the_state() -> None:
    """100 hard problems are 50 of dev. The last step's template solved one of the two problems that it was given:
    4 guesses of 0.9 and 0.5 are 0.82 expected, so 0.82 / 0.9 of the budget; a step that ended early tells nothing."""
    config = load_config("quickstart", ["evolve.budget=2000"])
    hard = [f"h{number}" for number in range(100)]
    evolution = Evolution("0", (), (Z,), ("d",), ("f",), Ledger(100), "budget")
    given = {"h1": [Z, PLAIN], "h2": [Z, PLAIN]}

    def state(evolution: Evolution | None) -> LoopState:
        found = LoopState(Outcomes(), version=2, evolution=evolution, assignment=given)
        for version in ("0", "1", "2"):
            for name in given:
                found.outcomes.record(version, Z.id, name, float(version == "1" and name == "h1"))
        return found

    began, early, went = (
        state(each) for each in (None, replace(evolution, stop_reason=PLAIN_ENOUGH), evolution)
    )
    first = allow(began, config, hard)
    assert first == adaptive_allowance([], (0, 0), 100, 6, 2000, 320)
    assert allow(early, config, hard) == first
    assert (began.unlocked, early.unlocked) == ([], [])
    second = allow(went, config, hard)
    assert went.unlocked == [0.5]
    assert second.share == pytest.approx(0.82 / 0.9)
    went.assignment = {}
    went.evolution = replace(evolution, chosen=())
    allow(went, config, hard)
    assert went.unlocked == [0.5, 0.0]
    untried = replace(state(evolution), assignment={"h3": [Z, PLAIN], "h4": [PLAIN, PLAIN]})
    assert allow(untried, config, hard) == first
    assert untried.unlocked == []
    assert allow(went, load_config("quickstart", ["guidance.spend=fixed"]), hard) == Allowance()
    few = load_config("quickstart", ["evolve.dev_size=300", "evolve.budget=400"])
    assert allow(state(None), few, hard).share == 1.0, (
        "twenty proposals and a race of 50 dev problems cost 320 of 400, the guess more"
    )
    exhausted = replace(state(None), unlocked=[0.0] * 100)
    assert allow(exhausted, few, hard).share == pytest.approx((50 * 4 + 120) / 400)


def test_untried_problems_are_guided_as_often_as_tried_ones_are_hard() -> None:
    outcomes = Outcomes()
    for number in range(100):
        outcomes.record("1", "plain", f"tried {number}", float(number % 4 == 0))
    hard = {f"tried {number}": "very_hard" for number in range(100) if number % 4}
    names = [f"tried {number}" for number in range(100)] + [f"new {number}" for number in range(1000)]
    guided = likely_hard(names, outcomes, hard, seed=3)  # type: ignore[arg-type]
    assert [name for name in guided if name in hard] == list(hard)
    assert not {f"tried {number}" for number in range(0, 100, 4)} & {*guided}
    assert len([name for name in guided if name.startswith("new")]) == pytest.approx(750, abs=45)
    assert guided == likely_hard(names, outcomes, hard, seed=3)  # type: ignore[arg-type]
    assert likely_hard(["new 1"], Outcomes(), {}, seed=3) == []


def drawn(identity: str, template: Template, index: int) -> tuple[RolloutRequest, Rollout]:
    ids, logprobs = array("i", [3, 4 + index]), array("f", [-0.1, -1 / 3])
    rollout = Rollout(identity, template.id, index, [1, 2], ids, logprobs, "stop", "text", 1.0)
    return RolloutRequest(problem(identity), template, index, seed=0), rollout


def test_a_killed_step_takes_up_a_batch_that_was_written_down_whole(tmp_path: Path) -> None:
    """In a smaller batch log-probs could differ by rounding; a batch of which a part is missing is drawn anew."""
    file = tmp_path / "rollouts.jsonl"
    made = [drawn("a", PLAIN, 0), drawn("a", Z, 0), drawn("b", Z, 1)]
    requests = [request for request, _ in made]
    Evaluations(file).keep(requests, [rollout for _, rollout in made])
    kept = Evaluations(file)
    found = kept.find(requests[1:])
    assert found is not None
    assert [rollout.response_ids for rollout in found] == [rollout.response_ids for _, rollout in made[1:]]
    assert [rollout.sampler_logprobs for rollout in found] == [
        rollout.sampler_logprobs for _, rollout in made[1:]
    ]
    assert [(rollout.reward, rollout.text, rollout.index) for rollout in found] == [
        (1.0, "text", 0),
        (1.0, "text", 1),
    ]
    assert kept.find([*requests, drawn("b", Z, 0)[0]]) is None
    file.write_bytes(file.read_bytes()[:-5])
    assert Evaluations(file).find(requests) is None


def evolution_of(chosen: tuple[Template, ...], **scores: dict[str, tuple[float, int]]) -> Evolution:
    candidates = tuple(
        Candidate(id, template, accepted=True, scores=scores[name])
        for id, (name, template) in enumerate((("plain", PLAIN), ("z", Z), ("other", OTHER)))
    )
    return Evolution("1", candidates, chosen, ("a", "b"), ("c",), Ledger(10), "budget")


def test_what_is_trained_on_are_the_dev_rollouts_of_the_plain_prompt_and_the_chosen_templates() -> None:
    evolution = evolution_of(
        (Z,),
        plain={"a": (0.0, 3), "b": (0.0, 1)},
        z={"a": (1.0, 2), "b": (1.0, 1)},
        other={"a": (1.0, 1), "b": (1.0, 1)},
    )
    assert drawn_on_dev(evolution) == [
        ("plain", "a", 0),
        ("plain", "a", 1),
        ("plain", "a", 2),
        (Z.id, "a", 0),
        (Z.id, "a", 1),
        ("plain", "b", 0),
        (Z.id, "b", 0),
    ]


def test_rollouts_are_kept_as_they_were_drawn_and_a_killed_step_finds_them(tmp_path: Path) -> None:
    file = tmp_path / "rollouts.jsonl"
    kept = Evaluations(file)
    made = [drawn("a", PLAIN, 0), drawn("a", Z, 0), drawn("b", Z, 0), drawn("a", Z, 1)]
    kept.keep([request for request, _ in made], [rollout for _, rollout in made])
    with file.open("a") as lines:
        lines.write('{"problem_id": "a", "templ')  # what a kill leaves
    keys = [("plain", "a", 0), (Z.id, "a", 0), (Z.id, "a", 1), (Z.id, "b", 0), (OTHER.id, "b", 0)]
    problems = {name: problem(name) for name in "ab"}
    for each in (kept, Evaluations(file)):
        assert each.missing(keys) == [(OTHER.id, "b", 0)]
        first, second = each.groups(keys[:4], problems)
        assert [rollout.index for rollout in first.rollouts] == [0, 1, 2], "an index is within the group"
        assert [rollout.template_id for rollout in first.rollouts] == ["plain", Z.id, Z.id]
        assert first.rollouts[2] == replace(made[3][1], index=2)
        assert second.problem == problems["b"]


def test_rollouts_of_refused_templates_are_let_go(tmp_path: Path) -> None:
    file = tmp_path / "rollouts.jsonl"
    kept = Evaluations(file)
    made = [drawn("a", PLAIN, 0), drawn("a", Z, 0), drawn("a", OTHER, 0)]
    kept.keep([request for request, _ in made], [rollout for _, rollout in made])
    kept.on_event(Decided(Candidate(1, Z, reason="lost")))
    kept.on_event(Decided(Candidate(2, OTHER, accepted=True)))
    keys = [("plain", "a", 0), (Z.id, "a", 0), (OTHER.id, "a", 0)]
    assert kept.missing(keys) == [(Z.id, "a", 0)]
    kept.on_event(Decided(Candidate(3, OTHER, reason="duplicate")))
    assert kept.recall(keys) == [], "one that was proposed twice is in the file"
    assert kept.missing(keys) == []
    kept.on_event(Decided(Candidate(4, Z, reason="lost")))
    file.write_bytes(b"")
    assert kept.recall(keys) == [(Z.id, "a", 0)]


def test_the_template_in_use_is_the_best_of_those_chosen_on_dev() -> None:
    """Not the best of all: `third` was accepted but is not trained under, `second` and `fourth` are equals."""
    made = {"first": 0.2, "second": 0.6, "third": 0.9, "fourth": 0.6}
    templates = {name: make_template(name) for name in made}
    candidates = tuple(
        Candidate(number, templates[name], accepted=True, mean=mean)
        for number, (name, mean) in enumerate(made.items())
    )
    chosen = tuple(templates[name] for name in ("first", "second", "fourth"))
    evolution = Evolution("1", candidates, chosen, ("a",), ("b",), Ledger(100), "budget")
    evolved = Evolved.__new__(Evolved)
    assert evolved.in_use(LoopState(Outcomes(), evolution=evolution)) == templates["second"]
    assert evolved.in_use(LoopState(Outcomes(), evolution=replace(evolution, chosen=()))) == PLAIN
    assert evolved.in_use(LoopState(Outcomes())) == PLAIN
