"""Every other kind of guidance, and the reverse KL, in whole runs: killed and resumed, and in two processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_train import Killed, kill_after, small_run, what_happened
from test_two_processes import check_same, finish, start

from p2o.files import read_jsonl
from p2o.loop import train
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout.collect import Collector
from p2o.state import LoopState

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = {
    "prefix": ['guidance.kind="solution_prefix"', 'guidance.prompt="{prefix}"', "context.distillation=none"],
    # The tiny model writes instructions in answer to a failed example.
    "hint": [
        'guidance.kind="self_hint"',
        'guidance.prompt="-\\n{problem} 7 wrong {gold}"',
        "assign.rehearsal=2",
    ],
    "reverse-kl": [
        "context.distillation=reverse_kl",
        "guidance.train_on_evaluations=false",
        "evolve.search=random",
        "loss.advantage=max_rl",
    ],
}

COMMON = ["run.epochs=3", "checkpoint.every=1", "track.rollouts=1000"]


@pytest.fixture(scope="module", params=KINDS)
def unbroken(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, LoopState]:
    path = tmp_path_factory.mktemp("runs") / request.param
    return request.param, path, train(small_run(path, *COMMON, *KINDS[request.param]))


def rollouts_of(path: Path) -> list[dict[str, object]]:
    return [record for file in sorted((path / "rollouts").iterdir()) for record in read_jsonl(file)]


def test_hard_problems_are_guided(unbroken: tuple[str, Path, LoopState]) -> None:
    name, path, state = unbroken
    metrics = read_jsonl(path / "metrics.jsonl")
    guided = [record for record in rollouts_of(path) if record["template"] != "plain"]
    templates = read_jsonl(path / "templates.jsonl")
    if name == "reverse-kl":
        assert not guided, "they are drawn plain"
        assert any("reverse_kl/mean" in record for record in metrics)
        assert not any("context_ratio/mean" in record for record in metrics)
        return
    made = {record["template"]["id"]: record["problem"] for record in templates if record["chosen"]}
    assert {record["template"] for record in guided} <= made.keys()
    first = [record for record in guided if record["epoch"] == 1]
    if name == "prefix":  # words that only one problem has
        assert all(made[record["template"]] == record["problem"] for record in first)
        assert state.prompt_step_tokens == 0
    else:
        assert state.prompt_step_tokens > 0
    assert first
    assert any("context_ratio/mean" in record for record in metrics) == (name == "hint")
    assert metrics[-1]["num_tokens"] == state.training_tokens + state.prompt_step_tokens


@pytest.mark.parametrize(
    ("where", "calls"), [pytest.param("update", 4, marks=pytest.mark.slow), ("collect", 7)]
)
def test_a_resumed_run_is_the_unbroken_run(
    unbroken: tuple[str, Path, LoopState],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    calls: int,
) -> None:
    name, whole, _ = unbroken
    path = tmp_path / "run"
    run = small_run(path, *COMMON, *KINDS[name])
    with monkeypatch.context() as patch:
        kill_after(patch, TorchPolicy if where == "update" else Collector, where, calls)
        with pytest.raises(Killed):
            train(run)
    train(small_run(path, *COMMON, *KINDS[name], resume=True))
    assert what_happened(path) == what_happened(whole)


@pytest.mark.parametrize(
    "unbroken", ["hint", "reverse-kl", pytest.param("prefix", marks=pytest.mark.slow)], indirect=True
)
def test_two_processes_do_what_one_does(unbroken: tuple[str, Path, LoopState], tmp_path: Path) -> None:
    name, whole, _ = unbroken
    path = tmp_path / "two"
    finish(path, start(path, *(f"--set={override}" for override in (*COMMON, *KINDS[name]))))
    check_same(path, whole, abs=5e-5)


@pytest.mark.slow
def test_two_processes_write_the_same_worked_examples(tmp_path: Path) -> None:
    overrides = [*COMMON, "evolve.proposer=examples", "reflection.kind=none"]
    whole, path = tmp_path / "one", tmp_path / "two"
    train(small_run(whole, *overrides))
    assert any(each["made_by"] == "examples" for each in read_jsonl(whole / "templates.jsonl"))
    finish(path, start(path, *(f"--set={override}" for override in overrides)))
    check_same(path, whole, abs=5e-5)
