import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from p2o.errors import ConfigError
from p2o.evolution import Candidate, EvaluationResult, Evolution, EvolveConfig, ReflectionConfig, evolve
from p2o.evolution.budget import Ledger
from p2o.outcomes import AssignConfig, Outcomes
from p2o.outcomes.assign import DISCOUNT, assign
from p2o.templates import PLAIN, make_template
from p2o.types import Problem

PAPER = AssignConfig(rule="paper", plain_rollouts=0)

A, B, C = (make_template(text) for text in ("template a", "template b", "template c"))


def evolution(chosen=(A, B, C)) -> Evolution:
    """Dev scores: A 0.75, B 0.25, C 0; d1 is solved by A and B, d2 by A only, d3 by nobody, d4 by A only."""
    scores = {
        A: {"d1": (1.0, 1), "d2": (1.0, 1), "d3": (0.0, 1), "d4": (1.0, 1)},
        B: {"d1": (1.0, 1), "d2": (0.0, 1), "d3": (0.0, 1), "d4": (0.0, 1)},
        C: {"d1": (0.0, 1), "d2": (0.0, 1), "d3": (0.0, 1), "d4": (0.0, 1)},
    }
    candidates = [Candidate(0, PLAIN, made_by="plain", accepted=True)]
    candidates += [
        Candidate(i, template, (0,), accepted=True, scores=scores[template], mean=mean, success_rate=mean)
        for i, (template, mean) in enumerate(((A, 0.75), (B, 0.25), (C, 0.0)), start=1)
    ]
    return Evolution(
        "0",
        tuple(candidates),
        chosen,
        ("d1", "d2", "d3", "d4"),
        ("f1",),
        Ledger(100),
        "budget",
        solvers={"d1": (A.id, B.id), "d2": (A.id,), "d4": (A.id,)},
        merged={"twin": "d2"},
    )


def known(*counts: tuple[str, str, str, int, int]) -> Outcomes:
    """Version, template, problem, successes, trials."""
    outcomes = Outcomes()
    for version, template, problem, won, tried in counts:
        for trial in range(tried):
            outcomes.record(version, template, problem, float(trial < won))
    return outcomes


def shares(problem_id: str, config: AssignConfig, outcomes=None, n=4000) -> dict[str, float]:
    drawn = assign(evolution(), [problem_id], n, config, outcomes or Outcomes(), seed=1)[problem_id]
    assert len(drawn) == n
    return {id: count / n for id, count in Counter(template.id for template in drawn).items()}


def test_paper_draws_a_dev_problem_from_its_solvers_by_mean_score():
    found = shares("d1", PAPER)
    assert set(found) == {A.id, B.id}
    # 0.75 to 0.25; a share of 4,000 draws has a standard deviation below 0.007.
    assert found[A.id] == pytest.approx(0.75, abs=0.035)
    assert shares("d2", PAPER) == {A.id: 1.0}


def test_what_is_not_available_to_a_problem_is_not_assigned_to_it():
    """Another template takes its place, or the plain prompt where there is none; other problems keep their draws."""
    for config in (PAPER, AssignConfig(plain_rollouts=0)):
        free = assign(evolution(), ["d1", "d2"], 40, config, Outcomes(), 1)
        found = assign(
            evolution(), ["d1", "d2"], 40, config, Outcomes(), 1, lambda t, id: id != "d1" or t == B
        )
        assert set(found["d1"]) == {B}
        assert found["d2"] == free["d2"]
        none = assign(evolution(), ["d1"], 40, config, Outcomes(), 1, lambda t, id: False)
        assert none == {"d1": [PLAIN] * 40}


@pytest.mark.parametrize("problem_id", ["d3", "f1", "never seen"])
def test_paper_draws_other_problems_from_all_by_mean_score(problem_id):
    found = shares(problem_id, PAPER)
    assert found[A.id] == pytest.approx(0.75, abs=0.035)
    assert found[B.id] == pytest.approx(0.25, abs=0.035)
    # C never succeeded on dev: its weight is a millionth.
    assert found.get(C.id, 0) < 0.002


def test_paper_takes_no_partial_reward_for_a_solution():
    """A template that always earns most of the reward solves nothing; one that misses it by a rounding does."""
    partial, right = make_template("partial"), make_template("right")
    problems = [Problem(f"p{i:02d}", ({"role": "user", "content": f"number {i}"},), "1") for i in range(20)]
    rewards = {PLAIN.id: 0.0, partial.id: 0.9}

    def evaluate(requests):
        odd = 1 - 1e-7  # a sum of weights
        return [
            EvaluationResult(rewards.get(r.template.id, odd if r.problem.id < "p16" else 0.9))
            for r in requests
        ]

    found = evolve(
        problems,
        evaluate,
        lambda requests: [],
        EvolveConfig(budget=200, acceptance="strict", cover="best", templates=None),
        reflection=ReflectionConfig(kind="none"),
        templates=[partial, right],
    )
    found = replace(found, chosen=(partial, right))
    solved = [p for p in found.dev_ids if p < "p16"]
    assert found.solvers == dict.fromkeys(solved, (right.id,))
    assert found.solved == len(solved)
    assert Evolution.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    drawn = assign(found, found.dev_ids, 50, PAPER, Outcomes(), seed=1)
    for problem_id in found.dev_ids:
        assert {*drawn[problem_id]} == ({right} if problem_id in solved else {partial, right})


def test_a_merged_duplicate_is_treated_as_the_problem_kept():
    assert shares("twin", PAPER) == {A.id: 1.0}


def test_plain_rollouts_come_last_in_their_number():
    for rule in ("paper", "thompson"):
        config = AssignConfig(rule=rule, plain_rollouts=2)
        (drawn,) = assign(evolution(), ["f1"], 6, config, Outcomes(), seed=0).values()
        assert [template == PLAIN for template in drawn] == [False] * 4 + [True] * 2
    assert assign(evolution(), ["f1"], 2, config, Outcomes(), seed=0) == {"f1": [PLAIN, PLAIN]}


def test_more_plain_rollouts_than_rollouts_are_refused():
    with pytest.raises(ConfigError, match="plain_rollouts = 7"):
        assign(evolution(), ["f1"], 6, AssignConfig(plain_rollouts=7), Outcomes(), seed=0)
    assert assign(evolution(), ["f1"], 7, AssignConfig(plain_rollouts=7), Outcomes(), 0) == {
        "f1": [PLAIN] * 7
    }


@pytest.mark.parametrize("nothing", [None, evolution(chosen=())])
def test_without_templates_everything_is_plain(nothing):
    assert assign(nothing, ["a", "b"], 3, AssignConfig(), Outcomes(), 0) == {
        "a": [PLAIN] * 3,
        "b": [PLAIN] * 3,
    }


def test_thompson_follows_what_is_known_of_the_sample():
    outcomes = known(("1", B.id, "f1", 9, 10), ("1", A.id, "f1", 0, 10))
    found = shares("f1", AssignConfig(rule="thompson", plain_rollouts=0), outcomes)
    assert found[B.id] > 0.98
    # Without a rollout the dev scores decide, but the others are explored.
    blind = shares("f1", AssignConfig(rule="thompson", plain_rollouts=0))
    assert blind[A.id] > blind[B.id] > blind.get(C.id, 0)
    assert blind[B.id] > 0.05


def test_thompson_matches_the_probability_that_a_draw_wins(monkeypatch):
    monkeypatch.setattr("p2o.outcomes.assign.PRIOR_STRENGTH", 1e-9)
    # With a uniform posterior against Beta(2, 1), P(win) of the latter is 2/3.
    one, two = evolution((A, B)), AssignConfig(rule="thompson", plain_rollouts=0)
    outcomes = known(("1", A.id, "f1", 2, 3), ("1", B.id, "f1", 1, 2))
    drawn = assign(one, ["f1"], 6000, two, outcomes, seed=3)["f1"]
    share = sum(template == A for template in drawn) / 6000
    assert share == pytest.approx(2 / 3, abs=0.03)


def test_the_prior_of_a_template_is_its_success_on_dev_worth_two_trials():
    """NumPy draws from the same posteriors; a rate of 0 or 1 counts as 0.01 and 0.99."""
    always = replace(evolution().candidates[3], success_rate=1.0)
    found = replace(evolution(), candidates=(*evolution().candidates[:3], always))
    drawn = assign(found, ["f1"], 8000, AssignConfig(plain_rollouts=0), Outcomes(), seed=2)["f1"]
    generator = np.random.default_rng(0)
    priors = [(1.5, 0.5), (0.5, 1.5), (1.98, 0.02)]
    best = np.argmax([generator.beta(a, b, 200_000) for a, b in priors], axis=0)
    shares = [sum(template == each for template in drawn) / 8000 for each in (A, B, C)]
    # The standard deviation of a share is below 0.006.
    assert shares == pytest.approx(np.bincount(best) / 200_000, abs=0.03)


def test_templates_without_a_success_are_drawn_alike():
    blank = evolution((B, C))
    blank = replace(blank, candidates=tuple(replace(c, mean=0.0) for c in blank.candidates))
    drawn = assign(blank, ["f1"], 4000, PAPER, Outcomes(), seed=1)["f1"]
    # Each draw is B or C with a half: the standard deviation of the share is below 0.008.
    assert sum(template == B for template in drawn) / 4000 == pytest.approx(0.5, abs=0.04)


def test_old_rollouts_weigh_less(monkeypatch):
    """A template that was good long ago."""
    outcomes = known(("0", A.id, "f1", 20, 20), ("1", A.id, "f1", 0, 20))
    config = AssignConfig(plain_rollouts=0)
    # Prior worth two trials at 0.75: Beta(1.5, 20.5) against Beta(21.5, 20.5), beside B's Beta(0.5, 1.5).
    found = {}
    for discount in (0.0, DISCOUNT, 1.0):
        monkeypatch.setattr("p2o.outcomes.assign.DISCOUNT", discount)
        found[discount] = shares("f1", config, outcomes)[A.id]
    assert found[0.0] < 0.45
    assert found[0.0] < found[0.5] < found[1.0]
    assert found[1.0] > 0.7


def test_shaped_rewards_are_counted_as_successes_alone():
    """Half a reward on every dev problem is no success, and neither are rollouts of the prompt step that earn it: a
    template that never succeeded is drawn as one that never earned anything."""
    outcomes, blank = Outcomes(), Outcomes()
    for _ in range(40):
        outcomes.record("1", A.id, "f1", 0.5, "prompt step")
        outcomes.record("1", A.id, "f1", 0.5)
        blank.record("1", A.id, "f1", 0.0, "prompt step")
        blank.record("1", A.id, "f1", 0.0)
    shaped = evolution((A, B))
    shaped = replace(
        shaped, candidates=tuple(replace(c, mean=0.5, success_rate=0.0) for c in shaped.candidates)
    )
    nothing = replace(shaped, candidates=tuple(replace(c, mean=0.0) for c in shaped.candidates))
    config = AssignConfig(rule="thompson", plain_rollouts=0)
    drawn = assign(shaped, ["f1"], 200, config, outcomes, seed=1)
    assert drawn == assign(nothing, ["f1"], 200, config, blank, seed=1)


def test_draws_depend_on_seed_and_problem_only():
    config = AssignConfig(rule="thompson", plain_rollouts=0)
    alone = assign(evolution(), ["d1"], 6, config, Outcomes(), 5)
    among = assign(evolution(), ["f1", "d1", "d2"], 6, config, Outcomes(), 5)
    assert among["d1"] == alone["d1"]
    assert assign(evolution(), ["d1"], 60, config, Outcomes(), 6) != assign(
        evolution(), ["d1"], 60, config, Outcomes(), 5
    )


def test_a_template_that_solved_the_problem_before_is_drawn_beside_those_chosen() -> None:
    """Its success rate counts as one half, for want of one on dev; what is chosen already does not count twice."""
    former = make_template("former")
    config = AssignConfig(rule="paper", plain_rollouts=0)

    def drawn(template):
        found = assign(
            evolution((A, B)), ["f1"], 5000, config, Outcomes(), seed=0, solved_under={"f1": template}
        )
        return {name: count / 5000 for name, count in Counter(each.id for each in found["f1"]).items()}

    assert drawn(former) == pytest.approx({A.id: 0.5, B.id: 1 / 6, former.id: 1 / 3}, abs=0.03)
    assert drawn(A) == pytest.approx({A.id: 0.75, B.id: 0.25}, abs=0.03)
