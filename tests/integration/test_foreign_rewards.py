"""Runs whose reward function is at fault: what it cannot judge is no 0, no step is lost, an edit is noticed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from p2o.assembly import prepare
from p2o.checkpoint import latest_checkpoint
from p2o.cli.main import main
from p2o.config import Config, load_config
from p2o.errors import RewardError, RunDirectoryError
from p2o.files import read_jsonl
from p2o.loop import train
from p2o.track.console import Console

SOURCE = """
from p2o import verify
asked, down = 0, None

def score(problem, completion):
    global asked
    asked += 1
    if down is not None and down(asked):
        raise RuntimeError("the judge is down")
    return 0.25 + 0.5 * verify(completion, problem.gold).correct + 0.001 * (len(completion) % 7)
"""
BATCH = 4 * 3


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the reward function."""
    monkeypatch.setattr("p2o.rollout.function_reward.WAITS", (0.0,))
    (tmp_path / "some_judge.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_judge", raising=False)
    import some_judge  # type: ignore[import-not-found]

    return some_judge


def settings(path: Path, *more: str) -> list[str]:
    return [
        *(
            "reward.function=some_judge:score",
            "run.method=grpo",
            "run.epochs=2",
            "run.threads=1",
            f"run.output={path}",
        ),
        *(
            "data.train_size=12",
            "data.evaluation_size=4",
            "run.batch_problems=4",
            "rollout.n=3",
            "rollout.max_tokens=8",
        ),
        *more,
    ]


def run(config: Config, path: Path, *, resume: bool = False) -> list[dict[str, Any]]:
    """The metrics of a whole run, times left out."""
    train(prepare(config, path, resume=resume, console=Console.silent()))
    return [
        {name: value for name, value in line.items() if not name.startswith("time/")}
        for line in read_jsonl(path / "metrics.jsonl")
    ]


def from_call(first: int) -> Callable[[int], bool]:
    return lambda call: call >= first


def test_no_step_is_lost_to_a_judge_that_goes_down(judge: Any, tmp_path: Path) -> None:
    unbroken = run(load_config("quickstart", settings(tmp_path / "unbroken")), tmp_path / "unbroken")
    path = tmp_path / "run"
    config = load_config("quickstart", settings(path))
    judge.asked, judge.down = 0, from_call(4 + BATCH + 6)  # in the second step
    with pytest.raises(RewardError, match="does not work: RuntimeError: the judge is down; --resume goes on"):
        run(config, path)
    newest = latest_checkpoint(path / "checkpoints")
    assert newest is not None
    assert newest.name == "epoch-000000-step-00000001", "the first step is kept"
    assert judge.asked < 4 + 2 * BATCH + 5
    judge.down = None
    later = load_config("quickstart", settings(path, "reward.max_failures=3", "reward.timeout_s=9"))
    assert run(later, path, resume=True) == unbroken


def test_rollouts_that_nobody_judged_are_left_out(judge: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = load_config("quickstart", settings(path, "reward.max_failures=100", "track.rollouts=100"))
    start = 4 + BATCH
    judge.asked, judge.down = 0, lambda call: start + 6 < call <= start + BATCH + 5
    lines = run(config, path)
    rollouts = [read_jsonl(path / "rollouts" / f"step-{step:06d}.jsonl") for step in range(1, 7)]
    assert [len(some) for some in rollouts] == [BATCH, 6, BATCH, BATCH, BATCH, BATCH]
    assert all(rollout["reward"] >= 0.25 for some in rollouts for rollout in some), "a 0 would be of nobody"
    assert [line["reward/errors"] for line in lines if "reward" in line] == [0, 6, 0, 0, 0, 0]


def test_a_step_of_which_nothing_was_judged(judge: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = load_config("quickstart", settings(path, "reward.max_failures=100"))
    start = 4 + BATCH
    judge.asked, judge.down = 0, lambda call: start < call <= start + BATCH + 2
    assert [line["reward"] > 0 for line in run(config, path) if "reward" in line] == [
        True,
        False,
        *[True] * 4,
    ]


def test_an_evaluation_leaves_nothing_out(judge: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = load_config("quickstart", settings(path, "reward.max_failures=100"))
    judge.asked, judge.down = 0, from_call(4 + 3 * BATCH + 2)  # at the end of the first epoch
    with pytest.raises(RewardError, match="could not judge 3 of 4 rollouts of an evaluation"):
        run(config, path)
    judge.down = None
    other = tmp_path / "unbroken"
    assert run(config, path, resume=True) == run(load_config("quickstart", settings(other)), other)


def test_no_step_is_lost_to_a_judge_that_is_down_at_an_evaluation(judge: Any, tmp_path: Path) -> None:
    path, other = tmp_path / "run", tmp_path / "unbroken"
    config = load_config("quickstart", settings(path, "evaluation.every=1"))
    judge.asked, judge.down = 0, from_call(4 + BATCH + 2)  # after the first step
    with pytest.raises(RewardError):
        run(config, path)
    newest = latest_checkpoint(path / "checkpoints")
    assert newest is not None
    assert newest.name == "epoch-000000-step-00000001"
    judge.down = None
    unbroken = run(load_config("quickstart", settings(other, "evaluation.every=1")), other)
    assert sum("evaluation/accuracy" in line for line in unbroken) == 7, "at the start and after six steps"
    assert run(config, path, resume=True) == unbroken


def test_another_function_is_noticed(judge: Any, tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = load_config("quickstart", settings(path))
    prepare(config, path, console=Console.silent())
    assert prepare(config, path, resume=True, console=Console.silent())
    (tmp_path / "some_judge.py").write_text(SOURCE + "\n# edited\n")
    with pytest.raises(
        RunDirectoryError, match=r"the code of reward\.function has changed since the run began"
    ):
        prepare(config, path, resume=True, console=Console.silent())


def test_a_reward_that_calls_exit_does_not_end_the_run_well(
    judge: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for last, expected in ((11, 0), (10_000, 2)):
        judge.asked, judge.down = 0, lambda call, last=last: 10 <= call < last and sys.exit(0)
        path = tmp_path / f"run-{expected}"
        arguments = [part for setting in settings(path, "run.epochs=1") for part in ("--set", setting)]
        assert main(["train", "quickstart", *arguments]) == expected
        assert (path / "model").is_dir() == (expected == 0)
        message = "error: reward.function = 'some_judge:score' does not work: SystemExit: 0"
        assert (message in capsys.readouterr().err) == (expected == 2)


def test_a_judge_that_goes_down_in_a_prompt_step(judge: Any, tmp_path: Path) -> None:
    def config(path: Path) -> Config:
        evolve = ("evolve.budget=40", "evolve.dev_size=4", "evolve.parents=2", "mining.min_count=2")
        evolve += ("evolve.acceptance=posterior", "guidance.train_on_evaluations=false")
        return load_config("quickstart", settings(path, "run.method=p2o", "reward.max_failures=100", *evolve))

    path, other = tmp_path / "run", tmp_path / "unbroken"
    judge.asked, judge.down = 0, from_call(4 + 3 * BATCH + 4 + 12)
    with pytest.raises(
        RewardError, match=r"could not judge \d+ of \d+ rollouts of an evaluation or a prompt step"
    ):
        run(config(path), path)
    assert list((path / "evolve").iterdir()), "it was in the prompt step"
    judge.down = None
    assert run(config(path), path, resume=True) == run(config(other), other)
