from collections import Counter

import pytest

from p2o.evolution import Candidate, Evolution
from p2o.evolution.budget import Ledger
from p2o.outcomes import AssignConfig, Outcomes
from p2o.outcomes.assign import assign
from p2o.templates import PLAIN, make_template

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
