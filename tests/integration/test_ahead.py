"""Rollouts drawn one step ahead of the update: what overlaps, what is drained, and that a kill changes nothing."""

from __future__ import annotations

import copy
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import Killed, kill_after, small_run, what_happened
from test_two_processes import check_same, finish, metrics_of, start

from p2o.errors import ConfigError, SamplerError
from p2o.files import read_jsonl
from p2o.loop import train
from p2o.policy.torch_backend import TorchPolicy
from p2o.policy.weights import Weights
from p2o.rollout.collect import Collector
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import Progress, Sample, SampleRequest, SamplingParams
from p2o.run import Run

pytestmark = pytest.mark.usefixtures("one_thread")


class Beside(HfSampler):
    """`hf` over a copy of the policy's model, so that it can draw while that learns."""

    shares_weights = False
    beside_training = True

    @classmethod
    def make(cls, config: Any, model: Any, tokenizer: Any, processes: Any) -> Any:
        return super().make(config, copy.deepcopy(model), tokenizer, processes)

    def sample(self, *arguments: Any) -> list[Sample]:
        """As `hf`; a class that has it is streamed from through it, and tests put others in its place."""
        return super().sample(*arguments)

    @torch.no_grad()
    def sync(self, policy: Weights) -> None:
        own = dict(self.model.named_parameters())
        for group in policy.weights():
            for name, weight in group:
                own[name].copy_(weight)


AHEAD = [
    "rollout.sampler=test_ahead:Beside",
    "rollout.ahead=1",
    "run.epochs=2",
    "run.batch_problems=8",
    "guidance.every=4",
    "guidance.train_on_evaluations=true",
    "evolve.acceptance=posterior",
    "checkpoint.every=1",
]


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "ahead"
    train(small_run(path, *AHEAD))
    return path


def steps_of(path: Path) -> list[dict[str, Any]]:
    return [record for record in read_jsonl(path / "metrics.jsonl") if "reward" in record]


def test_rollouts_are_one_step_old_but_after_a_prompt_step_and_an_epoch(ahead: Path) -> None:
    """Six steps an epoch, and a prompt step after the fourth: its own update counts as a step, too."""
    ages = {}
    drained = True
    for record in read_jsonl(ahead / "metrics.jsonl"):
        if "reward" in record:
            ages[record["step"]] = record["rollouts/age"]
            assert record["rollouts/age"] == (0 if drained else 1), record["step"]
            drained = False
        elif "guidance/version" in record or record.get("hard/count") is not None:
            drained = True
    assert set(ages.values()) == {0, 1}


def test_a_batch_is_drawn_while_the_policy_learns_and_published_to_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update waits until its successor's rollouts have begun, and those until the update is over."""
    run = small_run(tmp_path / "run", *AHEAD, "run.method=grpo", "run.epochs=1")
    begun, learnt = threading.Event(), threading.Event()
    sample, update, sync = Beside.sample, TorchPolicy.update, Beside.sync
    updates: list[int] = []

    def sampled(self: Beside, requests: Any, *arguments: Any) -> list[Sample]:
        if threading.current_thread() is threading.main_thread():
            return sample(self, requests, *arguments)
        begun.set()
        assert learnt.wait(60)
        drawn = sample(self, requests, *arguments)
        begun.clear()
        learnt.clear()
        return drawn

    def updated(self: TorchPolicy, *arguments: Any) -> dict[str, float]:
        updates.append(1)
        if len(updates) < 6:  # nothing is ahead of the last step
            assert begun.wait(60)
        found = update(self, *arguments)
        learnt.set()
        return found

    def synced(self: Beside, policy: Weights) -> None:
        assert not begun.is_set(), "weights must not change under a batch"
        sync(self, policy)

    monkeypatch.setattr(Beside, "sample", sampled)
    monkeypatch.setattr(TorchPolicy, "update", updated)
    monkeypatch.setattr(Beside, "sync", synced)
    train(run)
    assert len(updates) == 6
    assert [record["rollouts/age"] for record in steps_of(tmp_path / "run")] == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("owner", "where", "calls"),
    [
        pytest.param(TorchPolicy, "update", 2, marks=pytest.mark.slow),
        (TorchPolicy, "update", 5),
        (Beside, "sync", 3),
        pytest.param(Run, "log_step", 6, marks=pytest.mark.slow),
        (Run, "checkpoint", 4),
        (Collector, "collect", 9),
    ],
)
def test_a_killed_run_goes_on_to_the_same_end(
    ahead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, where: str, calls: int
) -> None:
    path = tmp_path / "run"
    run = small_run(path, *AHEAD)
    with monkeypatch.context() as patch:
        kill_after(patch, owner, where, calls)
        with pytest.raises(Killed):
            train(run)
    train(small_run(path, *AHEAD, resume=True))
    assert what_happened(path) == what_happened(ahead)


def test_a_sampler_that_fails_ahead_costs_no_step(
    ahead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update that it ran beside is logged and saved; then the run ends in the sampler's line."""
    path, sample = tmp_path / "run", Beside.sample

    def fails(
        self: Beside,
        requests: Sequence[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
    ) -> list[Sample]:
        if threading.current_thread() is not threading.main_thread():
            raise SamplerError("the engine is gone")
        return sample(self, requests, params, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Beside, "sample", fails)
        with pytest.raises(SamplerError, match="the engine is gone"):
            train(small_run(path, *AHEAD))
    assert [record["step"] for record in steps_of(path)] == [1]
    train(small_run(path, *AHEAD, resume=True))
    assert what_happened(path)["templates"] != []
    assert len(steps_of(path)) == len(steps_of(ahead))


def test_what_is_drawn_ahead_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed update leaves no thread behind that draws on."""
    run = small_run(tmp_path / "run", *AHEAD)

    def fails(*arguments: Any) -> None:
        raise Killed

    monkeypatch.setattr(TorchPolicy, "update", fails)
    with pytest.raises(Killed):
        train(run)
    assert "p2o-rollouts" not in [thread.name for thread in threading.enumerate()]


def test_a_sampler_on_the_trainer_s_device_cannot_draw_ahead(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rollout\.ahead = 1, but the sampler 'hf' works on the trainer's"):
        small_run(tmp_path / "run", "rollout.ahead=1")


def judge(problem: object, completion: str) -> float:
    return 0.0


def test_a_reward_that_no_alarm_could_end_is_not_asked_beside_the_update(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot end a call of 'test_ahead:judge' there: make it an async def"
    ):
        small_run(tmp_path / "run", *AHEAD, "reward.function=test_ahead:judge")


def test_two_processes_draw_ahead_and_survive_a_kill(ahead: Path, tmp_path: Path) -> None:
    path = tmp_path / "two"
    flags = [f"--set={override}" for override in AHEAD]
    process = start(path, *flags, zero_stage=2)
    deadline = time.monotonic() + 200
    while len(steps_of(path)) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, path.with_suffix(".log").read_text()[-3000:]
        time.sleep(0.01)  # polling other processes, not waiting for a race
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finish(path, start(path, *flags, "--resume", zero_stage=2))
    assert len(metrics_of(path)) == len(metrics_of(ahead))
    check_same(path, ahead, abs=2e-5)
