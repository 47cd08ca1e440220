"""`p2o.train`: what it tells, returns and leaves behind; a run that is broken off and continued."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import p2o
from p2o.errors import P2oError
from p2o.rollout.hf import HfSampler
from p2o.tiny.world import make_problems

SETTINGS = {
    "run.epochs": 2,
    "run.batch_problems": 6,
    "mining.min_count": 2,
    "evolve.budget": 20,
    "evolve.dev_size": 2,
    "evolve.acceptance": "strict",
    "checkpoint.every": 1,
}
PROBLEMS, EVALUATION = make_problems(12, 3), make_problems(6, 4)


def reward_of(bonus: float) -> Callable[[Any, str], float]:
    def reward(problem: Any, completion: str) -> float:
        return max(bonus * ("=" in completion), float(p2o.verify(completion, problem.gold).correct))

    return reward


class Recorder(p2o.Callback):
    """Remembers what it is told; breaks off in a step, if one is named."""

    def __init__(self, breaks_in: int | None = None) -> None:
        self.told: list[tuple[str, int]] = []
        self.breaks_in = breaks_in

    def on_step(self, metrics: Mapping[str, Any]) -> None:
        self.told.append(("step", metrics["step"]))
        if metrics["step"] == self.breaks_in:
            raise ZeroDivisionError

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        self.told.append(("evaluation", record["step"]))

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        self.told.append(("epoch", record["epoch"]))

    def on_prompt_step(self, record: Mapping[str, Any]) -> None:
        assert record["tokens"] > 0
        self.told.append(("prompt step", record["step"]))


def state_of_the_process() -> list[Any]:
    import torch

    return [
        dict(os.environ),
        list(sys.path),
        signal.getsignal(signal.SIGALRM),
        signal.getsignal(signal.SIGINT),
        random.getstate(),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
    ]


def local_sampler() -> type[HfSampler]:
    class Local(HfSampler):
        """Without an import path."""

    return Local


def run(path: Path, **given: Any) -> p2o.Result:
    import torch

    threads = torch.get_num_threads() % 2 + 1  # another number than there is
    return p2o.train(
        problems=PROBLEMS,
        evaluation=EVALUATION,
        reward=reward_of(0.5),
        sampler=local_sampler(),
        overrides={**SETTINGS, "run.output": path, "run.threads": threads},
        **given,
    )


def figures(result: p2o.Result) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in result.metrics]


def test_a_run_its_result_and_what_it_leaves(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before, recorder = state_of_the_process(), Recorder()
    result = run(tmp_path / "whole", callbacks=[recorder])
    assert state_of_the_process() == before
    assert capfd.readouterr() == ("", "")
    assert recorder.told[:4] == [("evaluation", 0), ("step", 1), ("step", 2), ("evaluation", 2)]
    assert recorder.told[4:6] == [("epoch", 0), ("prompt step", 2)]
    assert recorder.told[-1] == ("epoch", 1)

    assert result.directory == tmp_path / "whole"
    assert result.model.joinpath("config.json").exists()
    assert result.report.exists()
    assert result.accuracy_before == result.accuracies[0]["evaluation/accuracy"]
    assert result.accuracy_after == result.accuracies[-1]["evaluation/accuracy"]
    assert [each["step"] for each in result.accuracies] == [0, 2, result.metrics[-1]["step"]]
    assert list(result.frame()["step"]) == [line["step"] for line in result.metrics]
    # Nothing holds the directory any more: another process may take the run up.
    lock = f"import fcntl; fcntl.lockf(open({str(result.directory / '.lock')!r}, 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    subprocess.run([sys.executable, "-c", lock], check=True)

    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "broken", callbacks=[Recorder(breaks_in=2)])
    assert state_of_the_process() == before
    same = {"resume": tmp_path / "broken", "reward": reward_of(0.5), "sampler": local_sampler()}

    def reward(problem: Any, completion: str) -> float:
        return 0.0

    for changed, message in (
        ({"sampler": None}, r"p2o\.train\(resume=RUN, sampler=\.\.\.\)"),
        ({"sampler": HfSampler}, "the run began with rollout.sampler = 'p2o.arguments:sampler'"),
        ({"problems": PROBLEMS[::-1]}, "data has changed since the run began"),
        ({"reward": reward}, "the code of reward.function has changed since the run began"),
    ):
        with pytest.raises(P2oError, match=message):
            p2o.train(**{**same, **changed})
    assert figures(p2o.train(problems=PROBLEMS, **same)) == figures(result)
    assert capfd.readouterr() == ("", "")
