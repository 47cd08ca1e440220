import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import InputError
from p2o.evolution import MiningConfig
from p2o.mining import HardSet
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
    hard_set = HardSet(MiningConfig(**config))
    for epoch, one in groups:
        hard_set.observe(one, epoch)
    return hard_set.hard()


def test_no_success_is_very_hard_and_one_is_near_hard():
    groups = [(0, group("c", "000000")), (0, group("b", "000100")), (0, group("a", "011000"))]
    assert mined(groups) == {"b": "near_hard", "c": "very_hard"}
    assert list(mined(groups)) == ["b", "c"]
    assert mined(groups, near_hard=False) == {"c": "very_hard"}


def test_a_single_rollout_is_never_near_hard():
    assert mined([(0, group("a", "1")), (0, group("b", "0"))]) == {"b": "very_hard"}


def test_group_hardness_counts_templated_rollouts_and_judges_each_epoch_anew():
    first = [(0, group("a", "000"))]
    assert mined([*first, (1, group("a", "", "110"))]) == {}
    assert mined([*first, (1, group("b", "000"))]) == {"b": "very_hard"}
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
        hard_set = HardSet(MiningConfig(success=threshold))
        hard_set.observe(Group(problem, rollouts), 0)
        assert hard_set.hard() == expected


def test_epochs_come_in_order():
    hard_set = HardSet()
    hard_set.observe(group("a", "00"), 3)
    with pytest.raises(InputError, match="epoch 2 after epoch 3"):
        hard_set.observe(group("a", "00"), 2)


GROUPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.text("01", max_size=3), st.text("01", max_size=3)), max_size=25
)


@given(GROUPS, st.integers(0, 25))
def test_a_hard_set_read_back_goes_on_as_the_one_written(groups, cut):
    config = MiningConfig()
    straight, resumed = HardSet(config), HardSet(config)
    for step, (problem_id, plain, templated) in enumerate(groups):
        if step == cut:
            resumed = HardSet.from_dict(json.loads(json.dumps(resumed.to_dict())), config)
        for hard_set in (straight, resumed):
            hard_set.observe(group(problem_id, plain, templated), step // 4)
    assert resumed.hard() == straight.hard()
    assert resumed.to_dict() == straight.to_dict()
