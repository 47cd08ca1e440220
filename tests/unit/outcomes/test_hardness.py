import json

from hypothesis import given
from hypothesis import strategies as st

from p2o.outcomes import MiningConfig, Outcomes, hard_problems
from p2o.types import Group, Message, Problem, Rollout


def group(problem_id: str, rewards: str, templated: str = "") -> Group:
    """Plain and templated rollouts, a reward per digit."""
    problem = Problem(problem_id, (Message(role="user", content="q"),), "1")
    rollouts = [
        Rollout(problem_id, template, i, [], [], [], "stop", "", float(reward))
        for i, (template, reward) in enumerate(
            [("plain", r) for r in rewards] + [("abc", r) for r in templated]
        )
    ]
    return Group(problem, rollouts)


def mined(groups, **config) -> dict[str, str]:
    outcomes = Outcomes()
    for epoch, one in groups:
        outcomes.observe(one, str(epoch))
    return hard_problems(outcomes, MiningConfig(**config))


def test_no_success_is_very_hard_and_one_is_near_hard():
    groups = [(0, group("c", "000000")), (0, group("b", "000100")), (0, group("a", "011000"))]
    assert mined(groups) == {"b": "near_hard", "c": "very_hard"}
    assert list(mined(groups)) == ["b", "c"]
    assert mined(groups, near_hard=False) == {"c": "very_hard"}


def test_a_single_rollout_is_never_near_hard():
    assert mined([(0, group("a", "10"))]) == {"a": "near_hard"}, "one of two is"
    assert mined([(0, group("a", "1")), (0, group("b", "0"))]) == {"b": "very_hard"}


def test_hardness_counts_templated_rollouts_and_goes_by_the_latest_group_of_each_problem():
    first = [(0, group("a", "000"))]
    assert mined([*first, (1, group("a", "", "110"))]) == {}
    assert mined([*first, (1, group("b", "000"))]) == {"a": "very_hard", "b": "very_hard"}
    assert mined([*first, (1, group("a", "", "010"))]) == {"a": "near_hard"}


def test_groups_of_one_epoch_count_together():
    assert mined([(0, group("a", "010")), (0, group("a", "001"))]) == {}
    assert mined([(0, group("a", "000")), (0, group("a", "001"))]) == {"a": "near_hard"}


def test_success_is_a_reward_from_a_threshold_on():
    """Rewards of 0.4, 0.6, 0.6: two successes from 0.5 on, none from 1 on."""
    problem = group("a", "0").problem
    rollouts = [
        Rollout("a", "plain", i, (1,), (2,), (-1.0,), "stop", "", reward)
        for i, reward in enumerate((0.4, 0.6, 0.6))
    ]
    for threshold, expected in ((0.5, {}), (1.0, {"a": "very_hard"}), (0.6, {})):
        outcomes = Outcomes(threshold)
        outcomes.observe(Group(problem, rollouts), "0")
        assert hard_problems(outcomes, MiningConfig()) == expected


def test_the_prompt_step_s_rollouts_make_no_problem_easy_or_hard():
    outcomes = Outcomes()
    outcomes.observe(group("a", "000"), "1")
    for reward in (1.0, 1.0):
        outcomes.record("1", "abc", "a", reward, "prompt step")
        outcomes.record("1", "abc", "b", 0.0, "prompt step")
    outcomes.begin("2")
    assert hard_problems(outcomes, MiningConfig()) == {"a": "very_hard"}


GROUPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.text("01", max_size=3), st.text("01", max_size=3)), max_size=25
)


@given(GROUPS, st.integers(0, 25))
def test_outcomes_read_back_go_on_as_those_written(groups, cut):
    straight, resumed = Outcomes(), Outcomes()
    for step, (problem_id, plain, templated) in enumerate(groups):
        if step == cut:
            resumed = Outcomes.from_dict(json.loads(json.dumps(resumed.to_dict())))
        for outcomes in (straight, resumed):
            outcomes.observe(group(problem_id, plain, templated), str(step // 4))
    assert hard_problems(resumed, MiningConfig()) == hard_problems(straight, MiningConfig())
    assert resumed.to_dict() == straight.to_dict()
