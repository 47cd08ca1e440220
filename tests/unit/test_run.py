"""A run's books, and the order of what its loop does: what is saved before what, and what is drawn ahead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_train_step import Engine, config_of, epochs_of, problem, rollout, run_of

from p2o.errors import RewardError, SamplerError, TrainingError
from p2o.loop import is_drawn_ahead, measure, take_step, train, update
from p2o.outcomes import Outcomes
from p2o.run import Run
from p2o.state import LoopState
from p2o.track.metrics import rollout_metrics
from p2o.types import Group


def test_rollouts_older_than_the_settings_allow_are_not_learnt_from() -> None:
    groups = [Group(problem("a"), [replace(rollout(1), version=5), replace(rollout(0), version=6)])]
    for ahead, step in ((0, 5), (1, 6)):
        run = run_of(config_of(rollout={"ahead": ahead}), Engine())
        run.state.step = step
        update(run, groups)
        run.state.step += 1
        with pytest.raises(TrainingError, match=rf"are {ahead + 1} steps old, over rollout\.ahead = {ahead}"):
            update(run, groups)


def test_a_run_begins_with_nothing_and_evaluations_are_no_training_time() -> None:
    state = LoopState(Outcomes())
    counts = [value for value in vars(state).values() if isinstance(value, int | float)]
    assert len(counts) >= 12
    assert not any(counts)
    state.phases = {"rollouts": 2.0, "evaluation": 8.0, "update": 1.0}
    assert state.seconds == 3.0


def test_where_a_run_stands() -> None:
    """The share is that of the epochs or of the tokens, whichever is further, and no more than all."""
    problems = [problem(str(number)) for number in range(8)]
    run = run_of(config_of(run={"epochs": 4, "max_generated_tokens": 1000}), Engine(), problems)
    run.state = LoopState(Outcomes(), epoch=1, epoch_problems=2, step=9, training_tokens=200)
    found = run.progress
    assert (found.epoch, found.epochs, found.step, found.problems, found.of) == (2, 4, 9, 2, 8)
    assert found.share == (1 + 2 / 8) / 4
    run.state.prompt_step_tokens = 500
    assert run.progress.share == 0.7
    run.state.prompt_step_tokens = 900
    assert run.progress.share == 1.0


def test_a_phase_within_a_phase_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outer one from 0 to 10, the inner one from 3 to 7."""
    times = iter([0.0, 3.0, 7.0, 10.0, 10.0, 12.0])
    monkeypatch.setattr("p2o.run.time.monotonic", lambda: next(times))
    run = run_of(config_of(), Engine())
    with run.timed("prompt_step"), run.timed("update"):
        pass
    with run.timed("update"):
        pass
    assert run.state.phases == {"update": 6.0, "prompt_step": 6.0}


def test_trackers_get_the_numbers_of_a_line() -> None:
    seen: list[Any] = []
    tracker: Any = SimpleNamespace(metrics=lambda step, numbers: seen.append((step, numbers)))
    directory: Any = SimpleNamespace(log=seen.append)
    run = run_of(config_of(), Engine(), directory=directory, trackers=[tracker])
    run.log({"step": 3, "reward": 0.5, "guidance/outcome": "in words"})
    line, (step, numbers) = seen
    assert (line["step"], line["guidance/outcome"], line["time/total_s"]) == (3, "in words", 0)
    assert (step, numbers) == (3, {"reward": 0.5, "time/total_s": 0})


def test_a_line_has_the_time_since_the_one_before() -> None:
    """A resumed run begins where its checkpoint stands."""
    seen: list[Any] = []
    run = run_of(config_of(), Engine(), directory=SimpleNamespace(log=seen.append))
    for rollouts, learnt in ((2.0, 1.0), (5.0, 1.5)):
        run.state.phases = {"rollouts": rollouts, "update": learnt}
        run.log({"step": 1})
    assert [(line["time/rollouts_s"], line["time/update_s"], line["time/total_s"]) for line in seen] == [
        (2.0, 1.0, 3.0),
        (3.0, 0.5, 6.5),
    ]


def test_the_figures_of_a_step() -> None:
    """The entropy counts every token alike: (5 · 1.1 + 10 · 0.5) / 15."""
    cut = replace(rollout(1, tokens=5, template="z", finish_reason="length"), sampler_logprobs=[-1.1] * 5)
    first, second = Group(problem("a"), [rollout(1), cut]), Group(problem("b"), [rollout(0), rollout(1)])
    third = Group(problem("c"), [rollout(0), rollout(0)])
    assert rollout_metrics([first, second, third]) == {
        "reward": 3 / 6,
        "frac_reward_zero_std": 2 / 3,
        "completions/mean_length": 15 / 6,
        "completions/clipped_ratio": 1 / 6,
        "entropy": pytest.approx(0.7),
        "templated/frac": 1 / 6,
    }


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run does, with nothing drawn or learnt."""
    seen: list[str] = []

    def stepped(run: Run) -> None:
        run.state.step += 1
        run.state.epoch_step += 1
        run.state.epoch_problems += 1
        seen.append("step")

    def guided(run: Run, hard: Any) -> None:
        run.state.guided_at = run.state.step
        seen.append("guide")

    def ended(run: Run) -> None:
        run.state.finished = True
        seen.append("end")

    monkeypatch.setattr(Run, "checkpoint", lambda run: seen.append("checkpoint"))
    monkeypatch.setattr("p2o.loop.measure", lambda run, hard: None)
    monkeypatch.setattr("p2o.loop.take_step", stepped)
    monkeypatch.setattr("p2o.loop.guide", guided)
    monkeypatch.setattr("p2o.loop.end_epoch", ended)
    return seen


def test_a_kill_in_a_prompt_step_costs_no_step(events: list[str]) -> None:
    problems, guidance = [problem(str(number)) for number in range(6)], SimpleNamespace()
    train(run_of(config_of(guidance={"every": 3}), Engine(), problems, guidance=guidance))
    assert events == [*["step"] * 3, "checkpoint", "guide", *["step"] * 3, "checkpoint", "end", "checkpoint"]


def test_a_run_that_goes_on_for_more_epochs_makes_up_for_the_prompt_step(
    events: list[str],
) -> None:
    run = run_of(config_of(run={"epochs": 2}), Engine(), [problem("a")], guidance=SimpleNamespace())
    run.state.epoch, run.state.finished = 1, True
    train(run)
    assert events == ["guide", "checkpoint", "step", "checkpoint", "end", "checkpoint"]


@pytest.mark.parametrize("error", [RewardError, SamplerError])
def test_what_cannot_be_drawn_costs_no_step(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []

    def fails() -> None:
        raise error("gone")

    monkeypatch.setattr(Run, "checkpoint", lambda run: saved.append(run.state.step))
    run = run_of(config_of(), Engine(), [problem("a")])
    run.state.step = 5
    monkeypatch.setattr(run.batches, "take", fails)
    with pytest.raises(error, match="gone"):
        take_step(run)
    assert saved == [5]


def test_nothing_is_drawn_ahead_over_an_end_of_an_epoch_or_a_prompt_step() -> None:
    config = config_of(
        rollout={"ahead": 1}, guidance={"every": 4}, run={"epochs": 2, "max_generated_tokens": 100}
    )

    def ahead(**state: int) -> bool:
        run = run_of(config, Engine(), [problem(str(i)) for i in range(8)], guidance=SimpleNamespace())
        run.state = LoopState(Outcomes(), **state)  # type: ignore[arg-type]
        return is_drawn_ahead(run)

    assert ahead(step=2, epoch_step=2, epoch_problems=7, training_tokens=99)
    assert not ahead(step=2, epoch_step=2, epoch_problems=8)
    assert not ahead(step=3, epoch_step=3, epoch_problems=3), "the fourth step has a prompt step behind it"
    assert not ahead(step=2, epoch_step=2, epoch_problems=2, prompt_step_tokens=100)


def test_only_the_hard_problems_of_a_whole_epoch_count_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = epochs_of(tmp_path, monkeypatch, None)
    measure(run, hard={"a": "very_hard"})
    run.state.epoch_problems -= 1
    measure(run, hard={"a": "very_hard"})
    measure(run, hard=None)
    found = [(record["hard"], record.get("within", False)) for record in run.state.history[-3:]]
    assert found == [(1, False), (1, True), (None, False)]
