from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from p2o.errors import ConfigError, InputError, MissingDependencyError
from p2o.rewards import compute_score, load_reward, make_trl_reward, trl_reward
from p2o.types import Message, Problem

PROBLEM = Problem(id="p", messages=(Message(role="user", content="2+2?"),), gold="4")


def test_trl_calls_with_texts_and_columns() -> None:
    rewards = trl_reward(
        prompts=["2+2?", "3+3?"], completions=[r"\boxed{4}", r"\boxed{7}"], answer=["4", 6], other=[1, 2]
    )
    assert rewards == [1.0, 0.0]
    assert all(type(reward) is float for reward in rewards)


def test_trl_calls_with_message_lists() -> None:
    completions = [[{"role": "assistant", "content": r"\boxed{4}"}], [{"role": "assistant", "content": None}]]
    assert trl_reward(prompts=[], completions=completions, answer=["4", "4"]) == [1.0, 0.0]


def test_other_trainers_verify_what_follows_the_thought_too() -> None:
    text = r"So it is \boxed{3}.</thought>It is 4."
    assert trl_reward(completions=[text] * 2, answer=["3", "4"]) == [0.0, 1.0]
    assert [compute_score("math", text, gold) for gold in ("3", "4")] == [0.0, 1.0]


def test_shares_of_verdicts_are_logged() -> None:
    for completions, expected in ((["no idea"], 1.0), (["no idea", "5"], 0.5), ([], 0.0)):
        logged: dict[str, float] = {}
        trl_reward(completions=completions, answer=["4"] * len(completions), log_metric=logged.__setitem__)
        assert logged == {"verify/no_answer": expected, "verify/timeout": 0.0, "verify/gold_unparsable": 0.0}


def test_the_gold_column_has_a_name() -> None:
    reward = make_trl_reward("solution", require_boxed=True)
    assert reward(prompts=["?"], completions=["The answer is 4."], solution=["4"]) == [0.0]
    with pytest.raises(InputError, match=r"'solution'.*has: answer"):
        reward(prompts=["?"], completions=["4"], answer=["4"])


def test_verl_calls_with_positions_and_names() -> None:
    assert compute_score("math", r"\boxed{4}", "4", None) == 1.0
    assert (
        compute_score(data_source="math", solution_str=r"\boxed{5}", ground_truth="4", extra_info={}) == 0.0
    )


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("my_rewards")
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    return module


def test_a_base_models_first_line_is_its_answer() -> None:
    reward = load_reward("p2o.rewards:first_line")
    texts = ["\n 4\nQuestion: 3+3?\n6", "6\n4", "", "The answer is 4.\n\n7"]
    assert [reward(PROBLEM, text) for text in texts] == [1.0, 0.0, 0.0, 1.0]


def test_a_function_by_import_path(module: ModuleType) -> None:
    module.length = lambda problem, completion: len(completion) / len(problem.gold) / 4  # type: ignore[attr-defined]
    reward = load_reward("my_rewards:length")
    assert reward(PROBLEM, "abc") == 0.75
    assert not reward.errors


def test_errors_are_counted_logged_once_and_score_zero(
    module: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def picky(problem: Problem, completion: str) -> float:
        if completion == "type":
            raise TypeError("of text")
        raise KeyError(completion)

    module.picky = picky  # type: ignore[attr-defined]
    reward = load_reward("my_rewards:picky")
    assert [reward(PROBLEM, text) for text in ("a", "a", "type")] == [0.0, 0.0, 0.0]
    assert reward.errors == {"KeyError: 'a'": 2, "TypeError: of text": 1}
    for index in range(100):
        reward(PROBLEM, f"text {index}")
    assert sum(reward.errors.values()) == 103
    assert len(reward.errors) <= 34
    assert [record.getMessage() for record in caplog.records] == [
        "reward.function = 'my_rewards:picky' failed, its completion scores 0: KeyError: 'a'",
        "reward.function = 'my_rewards:picky' failed, its completion scores 0: TypeError: of text",
    ]


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf, None, "1", {}])
def test_a_reward_that_is_no_number_from_0_to_1_is_refused(module: ModuleType, value: object) -> None:
    module.wild = lambda problem, completion: value  # type: ignore[attr-defined]
    with pytest.raises(
        ConfigError, match=r"reward\.function = 'my_rewards:wild' gave the reward .* from 0 to 1"
    ):
        load_reward("my_rewards:wild")(PROBLEM, "text")


def test_a_module_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewards_of_this_folder.py").write_text("def half(problem, completion):\n    return 0.5\n")
    (tmp_path / "broken_rewards.py").write_text("def half(:\n")
    monkeypatch.chdir(tmp_path)
    # What a console script has: its own folder, not the working directory.
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    assert load_reward("rewards_of_this_folder:half")(PROBLEM, "") == 0.5
    monkeypatch.delitem(sys.modules, "rewards_of_this_folder")
    with pytest.raises(ConfigError, match=r"cannot import 'broken_rewards' \(SyntaxError"):
        load_reward("broken_rewards:half")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("length", "write module:name"),
        (":length", "write module:name"),
        ("no_such_module:length", "cannot import"),
        ("my_rewards:missing", "has no 'missing'"),
        ("my_rewards:number", "not a function"),
        ("my_rewards:unary", r"must take \(problem, completion\)"),
    ],
)
def test_paths_that_lead_nowhere(module: ModuleType, path: str, message: str) -> None:
    module.number = 3  # type: ignore[attr-defined]
    module.unary = lambda problem: 1.0  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=message):
        load_reward(path)


def test_reasoning_gym_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingDependencyError, match="pip install reasoning-gym"):
        load_reward("reasoning-gym:leg_counting")


@pytest.mark.parametrize("value", [1, True, np.float32(1), torch.tensor(1.0)])
def test_numbers_of_other_types_are_rewards(module: ModuleType, value: object) -> None:
    module.right = lambda problem, completion: value  # type: ignore[attr-defined]
    assert load_reward("my_rewards:right")(PROBLEM, "text") == 1.0
