"""Prompt steps within an epoch, on an adaptive budget, whose rollouts are trained on: killed, and in two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_train import Killed, kill_after, small_run, what_happened
from test_two_processes import check_same, finish, start

from p2o.evaluate import Evaluation, evaluate
from p2o.evolution import Evolution
from p2o.files import read_jsonl
from p2o.loop import train
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout.collect import Collector
from p2o.templates import PLAIN
from p2o.track.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("one_thread")

GUIDED = [
    "run.epochs=2",
    "run.batch_problems=8",
    "guidance.every=3",
    "guidance.train_on_evaluations=true",
    "guidance.spend=adaptive",
    "evolve.acceptance=posterior",
    "checkpoint.every=1",
    "evaluation.guided=true",
]


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "guided"
    train(small_run(path, *GUIDED))
    return path


def evaluation_steps(path: Path) -> list[dict[str, Any]]:
    return [record for record in read_jsonl(path / "metrics.jsonl") if "guidance/groups" in record]


def test_prompt_steps_take_place_within_epochs_and_are_learnt_from(guided: Path) -> None:
    steps = {(record["version"], record["epoch"]) for record in read_jsonl(guided / "templates.jsonl")}
    assert {(1, 0), (2, 1), (3, 1)} <= steps, "in the first epoch, between the two, in the second"
    learnt = evaluation_steps(guided)
    assert learnt
    for record in learnt:
        assert record["guidance/rollouts"] > record["guidance/groups"]
        assert "policy_loss" in record
        assert "reward" not in record, "its rollouts are no sample of the training problems"
    numbers = [
        record["step"]
        for record in read_jsonl(guided / "metrics.jsonl")
        if "reward" in record or "guidance/groups" in record
    ]
    assert numbers == list(range(1, len(numbers) + 1)), "they count as steps of the policy"


def test_the_best_template_in_use_is_evaluated_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the plain prompt; where no template is in use the plain accuracy counts."""
    path, evaluations = tmp_path / "run", []

    def spy(*args: Any) -> Evaluation:
        result = evaluate(*args)
        evaluations.append((args[-1].id, result.accuracy))
        return result

    monkeypatch.setattr("p2o.loop.evaluate", spy)
    train(small_run(path, *GUIDED))
    metrics = [record for record in read_jsonl(path / "metrics.jsonl") if "evaluation/accuracy" in record]
    chosen = {r["template"]["id"] for r in read_jsonl(path / "templates.jsonl") if r["chosen"]}
    under = {identity for identity, _ in evaluations} - {PLAIN.id}
    assert under
    assert under <= chosen
    drawn = iter([*evaluations, (PLAIN.id, -1.0)])
    following = next(drawn)
    for record in metrics:
        assert following == (PLAIN.id, record["evaluation/accuracy"])
        expected, following = following, next(drawn)
        if following[0] != PLAIN.id:
            expected, following = following, next(drawn)
        assert record["evaluation/guided_accuracy"] == expected[1]
    assert following == (PLAIN.id, -1.0), "there was no other evaluation"


def test_tokens_of_evaluations_are_counted_once(guided: Path) -> None:
    """Training on them generates nothing."""
    metrics = read_jsonl(guided / "metrics.jsonl")
    for before, guidance, record in zip(metrics, metrics[1:], metrics[2:], strict=False):
        if "guidance/groups" in record:
            assert before["num_tokens"] + guidance["guidance/tokens"] == guidance["num_tokens"]
            assert record["num_tokens"] == guidance["num_tokens"]
    lines = read_jsonl(guided / "templates.jsonl")
    assert lines, "there were prompt steps"


@pytest.mark.parametrize(
    ("where", "calls"), [("update", 4), pytest.param("collect", 6, marks=pytest.mark.slow), ("collect", 14)]
)
def test_a_resumed_run_is_the_unbroken_run(
    guided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, calls: int
) -> None:
    path = tmp_path / "run"
    run = small_run(path, *GUIDED)
    with monkeypatch.context() as patch:
        kill_after(patch, TorchPolicy if where == "update" else Collector, where, calls)
        with pytest.raises(Killed):
            train(run)
    train(small_run(path, *GUIDED, resume=True))
    assert what_happened(path) == what_happened(guided)


def test_a_step_killed_before_the_update_on_its_rollouts_finds_them(
    guided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the prompt step's last rollout and the update on its rollouts."""
    path = tmp_path / "run"
    run = small_run(path, *GUIDED)
    with monkeypatch.context() as patch:
        kill_after(patch, RunDirectory, "log_templates", 1)
        with pytest.raises(Killed):
            train(run)
    run = small_run(path, *GUIDED, resume=True)
    train(run)
    assert what_happened(path) == what_happened(guided)


def test_two_processes_do_what_one_does(guided: Path, tmp_path: Path) -> None:
    path = tmp_path / "two"
    finish(path, start(path, *(f"--set={override}" for override in GUIDED)))
    check_same(path, guided, abs=2e-5)


def test_a_run_of_one_epoch_is_guided_on_problems_it_has_not_tried(tmp_path: Path) -> None:
    path = tmp_path / "one"
    run = small_run(path, *GUIDED, "run.epochs=1", "guidance.train_on_evaluations=false", "track.rollouts=64")
    state = train(run)
    assert isinstance(state.evolution, Evolution)
    chosen = {template.id for template in state.evolution.chosen}
    later = [record for file in sorted((path / "rollouts").iterdir())[3:] for record in read_jsonl(file)]
    assert chosen & {record["template"] for record in later}
    assert state.epoch == 1
