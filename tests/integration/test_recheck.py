"""`mining.recheck`: what is solved by the end of the epoch is no longer hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from p2o.assembly import prepare
from p2o.config import load_config
from p2o.rollout.collect import RolloutRequest
from p2o.templates import PLAIN
from p2o.track.console import Console
from p2o.train import Run, recheck, train
from p2o.types import Rollout

SMALL = ["data.train_size=12", "data.evaluation_size=6", "run.batch_problems=6", "run.threads=1"]
STEP = ["mining.min_count=2", "evolve.budget=40", "evolve.dev_size=3", "evolve.parents=2", "run.epochs=2"]


def prepared(path: Path, *overrides: str) -> Run:
    quiet = Console(RichConsole(file=StringIO()))
    return prepare(load_config("quickstart", [*SMALL, *overrides]), path, console=quiet)


def solves(
    run: Run, solved: Callable[[RolloutRequest], bool], monkeypatch: pytest.MonkeyPatch
) -> list[RolloutRequest]:
    """Makes `run` succeed where `solved` says so; returns the list of what is asked for from now on."""
    asked: list[RolloutRequest] = []
    collect = run.collector.collect

    def judged(requests: Sequence[RolloutRequest], *more: object) -> list[Rollout]:
        asked.extend(requests)
        rollouts = collect(requests, *more)
        return [
            replace(rollout, reward=float(solved(request)))
            for rollout, request in zip(rollouts, requests, strict=True)
        ]

    monkeypatch.setattr(run.collector, "collect", judged)
    return asked


def test_only_what_fails_again_is_hard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(tmp_path / "run", "mining.recheck=true")
    run.state.history.append({})
    ids = [problem.id for problem in run.problems]
    hard = dict.fromkeys(ids[:8], "very_hard")
    asked = solves(run, lambda request: request.problem.id in ids[:3], monkeypatch)
    assert recheck(run, hard) == dict.fromkeys(ids[3:8], "very_hard")
    assert [(request.problem.id, request.template) for request in asked] == [(i, PLAIN) for i in ids[:8]]
    assert run.state.history[-1]["still_hard"] == 5
    assert run.state.prompt_step_tokens >= 8, "a token of each rollout at least"


def test_off_it_asks_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(tmp_path / "run")
    asked = solves(run, lambda request: True, monkeypatch)
    assert recheck(run, {"x": "very_hard"}) == {"x": "very_hard"}
    assert asked == []
    assert run.state.prompt_step_tokens == 0


def test_the_prompt_step_and_the_templates_are_for_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain rollouts fail in the epoch and succeed on additions in the recheck; templates succeed always."""
    run = prepared(tmp_path / "run", "mining.recheck=true", "evolve.acceptance=strict", *STEP)
    additions = {problem.id for problem in run.problems if problem.meta["family"] == "addition"}
    rechecks: list[str] = []

    def solved(request: RolloutRequest) -> bool:
        if request.template != PLAIN:
            return True
        in_recheck = run.state.epoch == 1 and not rechecks.count(request.problem.id)
        if in_recheck:
            rechecks.append(request.problem.id)
        return in_recheck and request.problem.id in additions

    solves(run, solved, monkeypatch)
    train(run)
    assert run.state.history[1]["hard"] == 12
    assert run.state.history[1]["still_hard"] == 12 - len(additions)
    evolution = run.state.evolution
    assert evolution is not None
    assert not additions & {*evolution.dev_ids, *evolution.feedback_ids}
