"""The acceptance `sequential`: its wealth by hand, its level where nothing carries over, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp, log, prod
from random import Random
from typing import Any

import pytest
from evolve_world import make_problems, step_inputs

from p2o.errors import InputError
from p2o.evolution import EvaluationRequest, EvaluationResult, EvolveConfig, evolve
from p2o.evolution.budget import Ledger
from p2o.evolution.search.acceptance import Entrant, Finish
from p2o.evolution.search.betting import wealth
from p2o.evolution.search.race import NO_BUDGET, race
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.search.sequential import NO_GAIN, UNCERTAIN_GAIN, Sequential
from p2o.evolution.search.step import Step
from p2o.templates import PLAIN, make_template

Reward = Callable[[EvaluationRequest], float]


def test_wealth_by_hand() -> None:
    assert wealth([], 0.2, 0.5) == (1.0, 1.0)
    # 1 + (1 - 0.5) = 1.5, then 1 + (0 - 0.5) = 0.5, then 1.5 again: 1.5, 0.75, 1.125.
    assert wealth([1, 0, 1], 0.5, 1.0) == (1.125, 1.5)
    # Never above the start, so the start is the most.
    assert wealth([-1, 0], 0.0, 0.5) == (0.5, 1.0)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_a_fair_gambler_is_rarely_rich_however_often_one_looks(rate: float) -> None:
    random = Random(0)
    games = (
        wealth([float(random.random() < rate) for _ in range(300)], rate, 0.5 / rate) for _ in range(1000)
    )
    assert 10 < sum(most >= 20 for _, most in games) <= 60  # 5% of 1000, and three standard deviations less


def raced(
    reward: Reward,
    *,
    names: int = 1,
    dev: int = 300,
    held_out: int = 0,
    shown: int = 0,
    budget: int = 10**6,
    repeats: str = "drawn",
) -> tuple[list[Finish], int]:
    """The ends of a race after the plain prompt's evaluation, also on `shown` problems of minibatches, and the rollouts
    spent."""

    def evaluate(requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        return [EvaluationResult(float(reward(request))) for request in requests]

    evaluate.repeats = repeats  # type: ignore[attr-defined]
    config = EvolveConfig(acceptance="sequential")
    ledger = Ledger(budget)
    problems = make_problems(dev + held_out + shown)
    minibatches = problems[dev + held_out :]
    problems = problems[: dev + held_out]
    inputs = step_inputs(evaluate=evaluate, config=config, ledger=ledger, shown=minibatches)
    rollouts = Rollouts(inputs, lambda count: None)
    rollouts.run(rollouts.requests(PLAIN, [*problems[:dev], *minibatches]))
    entrants = [
        Entrant(number, make_template(f"template {number}"), problems[:dev], held_out=problems[dev:])
        for number in range(names)
    ]
    ends = list(race(entrants, problems[:dev], rollouts, Sequential(rollouts)))
    assert sorted(end.id for end in ends) == list(range(names))
    return ends, ledger.rollouts


def draws(rate: Callable[[EvaluationRequest], float], seed: int = 0, repeat: float = 0.0) -> Reward:
    """Rewards of 0 and 1 at a rate; with probability `repeat` a rollout repeats the first of its pair."""

    def reward(request: EvaluationRequest) -> float:
        pair, index = f"{seed}/{request.template.id}/{request.problem.id}", request.rollout_index
        if Random(f"{pair}/{index}/repeat").random() < repeat:
            index = 0
        return float(Random(f"{pair}/{index}").random() < rate(request))

    return reward


LEVEL = 0.04


def accepted(reward: Callable[[int], Reward], seeds: int = 20, **options: Any) -> float:
    """The share accepted of 8 templates each that meet the plain prompt with another luck.

    Those of no use are accepted in 1% or less; `LEVEL` leaves room for the luck of 160 races.
    """
    ends = [end for seed in range(seeds) for end in raced(reward(seed), names=8, dev=150, **options)[0]]
    return sum(end.accepted for end in ends) / len(ends)


def plain(request: EvaluationRequest) -> float:
    return 0.2


def shifted(request: EvaluationRequest) -> float:
    """The logit is moved at random (standard deviation 2) for each pair; the mean rate stays 0.2."""
    if request.template == PLAIN:
        return 0.2
    noise = Random(f"shift/{request.template.id}/{request.problem.id}").gauss(0, 2)
    return 1 / (1 + exp(-(log(0.25) + noise - 0.92)))


@pytest.mark.parametrize("repeat", [0.0, 0.3, 0.6, 1.0])
def test_templates_that_do_nothing_are_not_accepted_however_alike_rollouts_of_a_pair_are(
    repeat: float,
) -> None:
    assert accepted(lambda seed: draws(plain, seed, repeat)) <= LEVEL


def test_templates_that_shift_problems_at_random_are_not_accepted() -> None:
    assert accepted(lambda seed: draws(shifted, seed)) <= LEVEL


def test_fractions_drawn_anew_are_not_accepted() -> None:
    def fractions(seed: int) -> Reward:
        return lambda request: Random(
            f"{seed}/{request.template.id}/{request.problem.id}/{request.rollout_index}"
        ).random()

    assert accepted(fractions) <= LEVEL


@pytest.mark.parametrize(("gain", "wins"), [(1e-6, False), (0.004, False), (0.1, True)])
def test_a_gain_up_to_the_margin_is_none(gain: float, wins: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each problem earns that much more, without any noise; the bet of 0.5 on 0.095 grows by 4.6% a problem."""
    (end,), _ = raced(lambda request: 0.4 + gain * (request.template != PLAIN))
    assert end.accepted is wins
    assert end.reason == ("" if wins else NO_GAIN)
    monkeypatch.setattr("p2o.evolution.search.sequential.MARGIN", 0.2)
    (end,), _ = raced(lambda request: 0.4 + gain * (request.template != PLAIN))
    assert not end.accepted


def test_a_template_four_times_as_good_is_accepted() -> None:
    def better(request: EvaluationRequest) -> float:
        return 0.05 if request.template == PLAIN else 0.2

    assert accepted(lambda seed: draws(better, seed), seeds=3) >= 0.7


def test_a_template_for_some_problems_that_fails_on_the_others_is_accepted() -> None:
    """It solves less than the plain prompt on average, but what it solves it solves again."""

    def specialist(request: EvaluationRequest) -> float:
        if request.template == PLAIN:
            return 0.3
        return 0.8 if request.problem.id.startswith("circles") else 0.0

    assert accepted(lambda seed: draws(specialist, seed), seeds=3) >= 0.6
    # Where repeated rollouts are known to be one draw, nothing persists by merit.
    assert accepted(lambda seed: draws(specialist, seed), seeds=3, repeats="same") == 0


def test_a_template_for_what_is_never_solved_is_accepted_where_the_rest_is_always_solved() -> None:
    """A policy that has learnt a quarter of the problems solves them each time: persistence cannot be exceeded, and the
    mean gain, 3/5 won and 1/4 lost, decides. With few dev problems it takes held-out ones."""

    def reward(request: EvaluationRequest) -> float:
        kind = Random(request.problem.id).randrange(20)
        return float(kind < 5 if request.template == PLAIN else 5 <= kind < 17)

    for dev, held_out in ((60, 60), (150, 0)):
        ends, _ = raced(reward, names=3, dev=dev, held_out=held_out)
        assert all(end.accepted for end in ends), (dev, ends)


def test_the_e_value_by_hand() -> None:
    """It wins 8 of 8. The bets are 1/2, 2/3, 3/4, 4/5 and so on, less a little for the margin; of the level 1.5 times
    0.01."""
    (end,), spent = raced(lambda request: float(request.template != PLAIN), dev=8)
    assert end.accepted
    bets = [(1 + 0.995 * won) / (2 + 0.995**2 * won) for won in range(8)]
    assert bets[:3] == pytest.approx([0.5, 0.667, 0.751], abs=0.001)
    assert end.e_value == pytest.approx(1.5 * prod(1 + 0.995 * bet for bet in bets))
    assert end.probability_better is None
    # Two further rollouts of the plain prompt each; it solved nothing, so that nothing says what is much.
    assert spent == 8 + 16 + 8


def test_growing_bets_by_hand() -> None:
    """Bets of 0.5 to 0.9: the first is 0.5, after a win (1 + 1) / (2 + 1), after a loss as well 1 / 4, so 0.5."""
    assert wealth([1.0, -1.0, 0.0], 0.0, 0.5) == (0.75, 1.5)
    assert wealth([1.0, -1.0, 1.0], 0.0, 0.25, 0.9) == pytest.approx((1.25 * 0.5 * 1.25, 1.25))
    assert wealth([1.0, -1.0, 1.0], 0.0, 0.5, 0.9) == pytest.approx((1.5 / 3 * 1.5, 1.5))
    assert wealth([1.0] * 100, 0.0, 0.5, 0.9)[0] / wealth([1.0] * 99, 0.0, 0.5, 0.9)[0] == pytest.approx(1.9)


def test_the_wealth_on_what_averages_the_mean_hardly_ever_grows_large() -> None:
    """Ville's inequality: under the hypothesis it ever reaches 20 in one of 20 sequences at most, whatever the bets."""
    random = Random(0)
    for low in (0.02, 0.3, 1.0):  # wins of 1 and losses of `low` that balance
        reached = sum(
            wealth([1.0 if random.random() < low / (1 + low) else -low for _ in range(200)], 0.0, 0.5, 0.9)[1]
            >= 20
            for _ in range(2000)
        )
        assert reached <= 0.06 * 2000


@pytest.mark.parametrize(
    ("shown", "solved", "baseline"),
    [(20, 0, 60), (20, 1, 60), (20, 2, 180), (19, 0, 180), (0, 0, 180)],
)
def test_a_plain_prompt_that_hardly_ever_succeeds_on_minibatches_is_not_repeated_on_dev(
    shown: int, solved: int, baseline: int
) -> None:
    """60 dev problems that the template solves and the plain prompt does not: one rollout each, or three."""

    def reward(request: EvaluationRequest) -> float:
        if request.template != PLAIN:
            return 1.0
        return float(60 <= int(request.problem.id.split("-")[1]) < 60 + solved)

    ends, spent = raced(reward, dev=60, shown=shown)
    assert ends[0].accepted
    assert spent == baseline + shown + 60


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1])
def test_without_repetitions_of_the_plain_prompt_no_more_are_wrongly_accepted(rate: float) -> None:
    """Its luck on dev is then shared by all eight templates of a step: three standard deviations of 60 steps."""
    no_op = [raced(draws(lambda request: rate, seed), names=8, dev=60, shown=20)[0] for seed in range(60)]
    assert sum(end.accepted for ends in no_op for end in ends) / 480 <= LEVEL
    assert sum(any(end.accepted for end in ends) for ends in no_op) <= 4


def test_what_is_undecided_after_dev_goes_on_to_held_out_problems() -> None:
    """Seven wins of seven are 1.5 * 48 = 72; with the first quarter of the held-out problems there is enough."""

    def wins(request: EvaluationRequest) -> float:
        return float(request.template != PLAIN)

    (end,), _ = raced(wins, dev=7)
    assert (end.accepted, end.reason) == (False, UNCERTAIN_GAIN)
    (end,), spent = raced(wins, dev=7, held_out=8)
    assert end.accepted
    assert spent == 7 + 14 + 7 + 2 * (1 + 3)
    (end,), spent = raced(wins, dev=7, held_out=8, budget=35)
    assert (end.accepted, spent) == (False, 28)


def test_a_budget_that_does_not_pay_for_the_plain_prompt_sends_nobody() -> None:
    ends, spent = raced(lambda request: 0.0, names=2, dev=20, budget=79)
    assert ([end.reason for end in ends], spent) == ([NO_BUDGET, NO_BUDGET], 20)


def test_too_few_dev_problems_are_refused_and_the_fewest_suffice() -> None:
    def evaluate(requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        return [EvaluationResult(float(request.template != PLAIN)) for request in requests]

    config = EvolveConfig(acceptance="sequential", proposer="given", budget=1000)
    options = {"templates": ["a template"]}
    with pytest.raises(InputError, match="give 8 or more"):
        evolve(make_problems(14), evaluate, lambda requests: [], config, **options)  # type: ignore[arg-type]
    found = evolve(make_problems(16), evaluate, lambda requests: [], config, **options)  # type: ignore[arg-type]
    assert [template.text for template in found.chosen] == ["a template"]


def test_each_template_meets_the_dev_problems_in_an_order_of_its_own() -> None:
    """In one order for all, a kind of problems that is missing at its beginning would lose all of its templates at the
    first look."""
    dev = make_problems(60)
    step = Step(step_inputs(config=EvolveConfig(acceptance="sequential"), dev=dev))
    orders = [step.dev_order(make_template(f"template {number}")) for number in range(20)]
    assert all(sorted(order, key=dev.index) == dev for order in orders)
    assert step.dev_order(make_template("template 3")) == orders[3]
    first = [sum(each.id.startswith("circles") for each in order[:8]) for order in orders]
    assert len(set(first)) > 2
    by_race = Step(step_inputs(dev=dev))
    assert by_race.dev_order(make_template("template 3")) == dev


def test_a_family_that_the_first_dev_problems_lack_is_found() -> None:
    """Templates solve the last quarter of 60 problems. In the order of dev none would go beyond the first eight."""

    def last_quarter(request: EvaluationRequest) -> float:
        return float(request.template != PLAIN and 45 <= int(request.problem.id[-3:]) < 60)

    problems = make_problems(70)
    evolution = evolve(
        problems[60:],
        lambda requests: [EvaluationResult(last_quarter(request)) for request in requests],
        lambda requests: [],
        EvolveConfig(acceptance="sequential", proposer="given", budget=1000),
        dev_problems=problems[:60],
        templates=["one", "two", "three"],
    )
    assert {template.text for template in evolution.chosen} & {"one", "two", "three"}


def test_held_out_are_the_problems_that_no_ancestor_was_made_from() -> None:
    problems = make_problems(9)
    pool = Step(step_inputs(feedback=problems, dev=make_problems(12))).pool
    for number, parents in enumerate([(), (0,), (0,), (1, 2)]):
        made = pool.add(make_template(f"{number}"), parents, "mutation", 1)
        shown = problems[2 * number]
        pool.candidates[number] = replace(made, minibatch=((shown.id, 0.0, 1.0),))
    assert [problem.id for problem in pool.held_out(3)] == [problems[i].id for i in (1, 3, 5, 7, 8)]
    assert len(pool.held_out(1)) == 7
