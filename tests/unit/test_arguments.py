"""What `p2o.train` is given in memory is what a file or an import path would have given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import p2o
from p2o import arguments
from p2o.api import begun, name_of, placed
from p2o.config import Config, build_config, load_config
from p2o.data import JsonlData, load_data, read_jsonl
from p2o.errors import ConfigError, DataError, P2oError
from p2o.rewards import first_line, load_reward
from p2o.tiny.world import make_problems
from p2o.types import Problem


def named(problem: Problem, completion: str) -> float:
    return float(completion == problem.gold)


def by_id(problem: Problem) -> str:
    return problem.id


def as_given(problems: list[Problem]) -> list[Problem]:
    """Without the worked solution among the further fields, where one that was read has it as well."""
    return [
        replace(each, meta={name: value for name, value in each.meta.items() if name != "solution"})
        for each in problems
    ]


def in_memory(problems: Any, **overrides: Any) -> Config:
    held = {"problems": arguments.lines_of(problems, "problems")}
    return placed(begun(None, held, overrides), Path("somewhere"), held, resume=False)


def test_problems_come_back_as_they_were(tmp_path: Path) -> None:
    problems = make_problems(9, 3)
    config = in_memory(problems, **{"data.evaluation_size": 2})
    train, evaluation = load_data(config.data)
    assert sorted(as_given([*train, *evaluation]), key=by_id) == sorted(problems, key=by_id)
    assert isinstance(config.data, JsonlData)
    (file, lines), *others = config.data.held.items()
    assert file == Path("somewhere/problems.jsonl")
    assert not others
    (tmp_path / "written.jsonl").write_text(lines)
    assert as_given(read_jsonl(tmp_path / "written.jsonl", config.data)) == problems


def test_records_are_read_by_the_settings_of_the_recipe() -> None:
    recipe = {"extends": "smollm2", "data": {"answer_key": "a.b", "train_size": 1}}
    records = [{"problem": "1+1?", "a": {"b": np.int64(2)}}, {"problem": "2+2?", "a": {"b": 4}}] * 2
    given = {"problems": records, "evaluation": records[1:2]}
    held = {name: arguments.lines_of(items, name) for name, items in given.items()}
    data = placed(begun(recipe, held, {}), Path("run"), held, resume=False).data
    assert isinstance(data, JsonlData)
    assert (data.evaluation, data.train_size) == (Path("run/evaluation.jsonl"), 1)
    assert [record["a"] for _, record in data.training_records()] == [{"b": 2}, {"b": 4}] * 2
    (evaluated,) = load_data(data)[1]
    assert (evaluated.gold, evaluated.messages[0]["content"]) == (
        "4",
        "2+2?\nEnd with the final number in \\boxed{}.",
    )


def test_problems_have_a_worked_solution_or_none() -> None:
    asked = ({"role": "user", "content": "1+1?"},), ({"role": "user", "content": "2+2?"},)
    one, other = (Problem(f"{n}", messages, str(n)) for n, messages in zip((2, 4), asked, strict=True))
    explained = replace(other, solution="Twice 2 is 4.")
    for problems in ([one, other], [one, explained]):
        read = [each for part in load_data(in_memory(problems).data) for each in part]
        assert sorted((each.id, each.solution) for each in read) == [(p.id, p.solution) for p in problems]


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        (3, "problems is a int: give a list"),
        (["1+1?"], "problems\\[0\\] is '1\\+1\\?': give a list of dicts or of p2o.Problem"),
        ([{"problem": "x"}, {"problem": {1, 2}}], "problems\\[1\\]: has no form in JSON"),
        ([{"problem": "\ud800"}], "problems\\[0\\]: has no form in JSON"),
        ([], "^problems: none are given$"),
        ([{"problem": "x"}, *make_problems(1, 0)], "holds dicts and Problems: give either"),
        ([Problem("1", (), "2", {"answer": 3})], "problems\\[0\\]: meta has 'answer'.*: rename it"),
        (
            [Problem("1", (), "2", {"solution": "3"}, solution="4")],
            "problems\\[0\\]: meta has 'solution'.*: rename it",
        ),
    ],
)
def test_what_cannot_be_a_problem_is_refused(problems: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        in_memory(problems)


def load_given(problems: Any, evaluation: Any) -> None:
    given = {"problems": problems, "evaluation": evaluation}
    held = {name: arguments.lines_of(items, name) for name, items in given.items() if items is not None}
    load_data(placed(begun(None, held, {}), Path("runs/x"), held, resume=False).data)


GOOD = [{"problem": "1+1?", "answer": 2}, {"problem": "2+2?", "answer": 4}]


@pytest.mark.parametrize(
    ("problems", "evaluation", "message"),
    [
        (
            [*GOOD, {"problem": "3+3?"}],
            None,
            "problems[2]: no field 'answer' (found: problem); set data.answer_key",
        ),
        (
            GOOD,
            [{"problem": "3+3?"}],
            "evaluation[0]: no field 'answer' (found: problem); set data.answer_key",
        ),
        (
            [{"problem": "3+3?", "answer": ""}],
            None,
            "problems[0]: field 'answer' must hold a text or a number",
        ),
        (
            [*GOOD, {"problem": "2+2?", "answer": 5}],
            None,
            "problems[2]: the same problem as problems[1] with another answer, '5' instead of '4'",
        ),
        (GOOD[:1], None, "problems: no training problem is left after the 1 for evaluation"),
        (GOOD, [], "evaluation: none are given"),
    ],
)
def test_what_is_wrong_with_problems_is_told_by_the_argument(
    problems: Any, evaluation: Any, message: str
) -> None:
    """Not by a file of the run directory, which nobody has made yet."""
    with pytest.raises(DataError) as raised:
        load_given(problems, evaluation)
    assert str(raised.value).startswith(message)


def test_what_was_read_is_told_by_the_argument() -> None:
    held = {"problems": arguments.lines_of([*GOOD, GOOD[0]], "problems")}
    lines: list[str] = []
    load_data(placed(begun(None, held, {}), Path("runs/x"), held, resume=False).data, say=lines.append)
    assert lines[0] == "problems: 3 read, 1 merged as duplicates"


def test_recipes_are_named_or_values_or_a_configuration() -> None:
    shipped = load_config("quickstart", ["run.epochs=2"])
    values = {"extends": "quickstart", "run": {"epochs": 1}}
    assert begun("quickstart", {}, {"run.epochs": 2}) == shipped
    assert begun(values, {}, {"run.epochs": 2}) == shipped
    assert values == {"extends": "quickstart", "run": {"epochs": 1}}, "what is given is not changed"
    secret = build_config({**shipped.model_dump(), "rollout": {"vllm": {"url": "http://user:key@host:1"}}})
    assert begun(secret, {}, {}).rollout.vllm.url == "http://user:key@host:1"
    assert [name_of(each) for each in (None, "a/b.toml", values, shipped)] == [
        "quickstart",
        "b",
        "quickstart",
        "run",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"evaluation": [{"problem": "1"}]}, "evaluation is given without problems"),
        (
            {"problems": [{"problem": "1", "answer": "1"}], "evaluation": make_problems(1, 0)},
            "one holds dicts and one p2o.Problem",
        ),
        ({"reward": "x"}, "^reward = 'x' is not callable: give the function itself$"),
        ({"sampler": "vllm"}, "^sampler = 'vllm' is no class derived from .*: set rollout.sampler$"),
        ({"sampler": dict}, "^sampler = <class 'dict'> is no class derived from "),
        ({"callbacks": p2o.Callback()}, "^callbacks = <.*> is no list: give a list of p2o.Callback objects$"),
        ({"callbacks": [p2o.Callback(), p2o.Callback]}, r"^callbacks\[1\] = <class .*> is no p2o.Callback: "),
        ({"problems": []}, "^problems: none are given$"),
        ({"overrides": ["nonsense"]}, "write section.name=value"),
        ({"overrides": {"run.epoch": 2}}, "run.epoch"),
        ({"overrides": "run.epochs=1"}, "^overrides = 'run.epochs=1': give values by name"),
        ({"overrides": [("run.epochs", 1)]}, r"^overrides = \[\('run.epochs', 1\)\]: give values by name"),
        ({"overrides": {3: 1}}, r"^overrides = {3: 1}: give values by name"),
        ({"overrides": None}, "^overrides = None: give values by name"),
        ({"recipe": {"extends": 5}, "resume": True}, "extends = 5 is no name of a recipe"),
        (
            {"recipe": {"extends": "quickstart", "data": 5}, "problems": [{"problem": "1", "answer": "1"}]},
            "^data is a section, not a value",
        ),
        ({"overrides": {"run.epochs.x": 2}}, "epochs is a value, not a section"),
        ({"resume": "nowhere"}, "no run to resume there"),
        ({"recipe": "quickstart", "resume": "nowhere"}, "leave out the recipe"),
        ({"resume": True}, "nothing to resume: there is no run of quickstart"),
    ],
)
def test_a_mistake_is_one_line(
    given: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(P2oError, match=message) as raised:
        p2o.train(**given)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_what_can_be_imported_is_named_by_its_path() -> None:
    assert arguments.path_of(named, "reward") == f"{__name__}:named"
    assert arguments.path_of(first_line, "reward") == "p2o.rewards:first_line"
    for unnamed in (lambda problem, completion: 0.0, named.__get__(3), type("Local", (), {})):
        assert arguments.path_of(unnamed, "reward") == "p2o.arguments:reward"


def test_a_part_without_a_path_is_there_while_it_is_given() -> None:
    def reward(problem: Problem, completion: str) -> float:
        return 0.25

    with pytest.raises(ConfigError, match=r"same one, p2o\.train\(resume=RUN, reward=\.\.\.\)"):
        load_reward("p2o.arguments:reward")
    problem = make_problems(1, 0)[0]
    with arguments.given({"reward": reward}):
        found = load_reward("p2o.arguments:reward")
        assert found(problem, "") == 0.25
    assert found.code is not None

    def reward(problem: Problem, completion: str) -> float:  # type: ignore[no-redef]
        return 0.75

    with arguments.given({"reward": reward}):
        assert load_reward("p2o.arguments:reward").code != found.code, "another function of that name"
    with arguments.given({"reward": lambda problem, completion: 0.0}):
        assert load_reward("p2o.arguments:reward").code is None
    with pytest.raises(ConfigError, match="the reward of this run has no import path"):
        load_reward("p2o.arguments:reward")
