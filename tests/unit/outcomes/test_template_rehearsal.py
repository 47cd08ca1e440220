"""Problems keep the template that unlocked them: worked by hand."""

from __future__ import annotations

from p2o.outcomes import AssignConfig, Outcomes
from p2o.outcomes.assign import assign
from p2o.outcomes.rehearsal import rehearsed, solved_under
from p2o.templates import PLAIN, make_template

ADD, TAKE = make_template("add"), make_template("take away")


def test_the_template_that_solved_a_problem_most_often_in_training_is_remembered() -> None:
    """a was solved plain too, which is no matter; b under none; c by a prompt step and by an older policy alone."""
    outcomes = Outcomes()
    outcomes.record("1", ADD.id, "c", 1.0)
    for template, problem, reward, source in (
        (ADD, "a", 1.0, "training"),
        (ADD, "a", 0.0, "training"),
        (TAKE, "a", 1.0, "training"),
        (PLAIN, "a", 1.0, "training"),
        (ADD, "b", 0.0, "training"),
        (PLAIN, "b", 1.0, "training"),
        (ADD, "c", 1.0, "prompt step"),
    ):
        outcomes.record("2", template.id, problem, reward, source)
    assert solved_under(outcomes, "2", [ADD, TAKE, PLAIN]) == {"a": TAKE}
    assert solved_under(outcomes, "2", [ADD]) == {"a": ADD}
    assert solved_under(outcomes, "1", [ADD]) == {"c": ADD}
    assert solved_under(outcomes, "3", [ADD]) == {}


def test_one_rollout_of_a_problem_that_is_no_longer_hard_keeps_its_template() -> None:
    assert rehearsed(ADD, 4, 1) == [ADD, PLAIN, PLAIN, PLAIN]
    assert rehearsed(ADD, 4, 0) == [PLAIN] * 4
    assert rehearsed(None, 4, 1) == [PLAIN] * 4


def test_a_problem_that_is_hard_again_gets_its_template_back() -> None:
    """Whatever the prompt step brought, or where none took place: nothing at all, and all but the plain rollout."""
    for rule in ("thompson", "paper"):
        config = AssignConfig(rule=rule, plain_rollouts=1)
        given = assign(
            None, ["a", "b"], 4, config, Outcomes(), seed=0, solved_under={"a": ADD, "other": TAKE}
        )
        assert given == {"a": [ADD, ADD, ADD, PLAIN], "b": [PLAIN] * 4}
