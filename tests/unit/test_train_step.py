"""The parts of a training step, one at a time, on groups and engines made up for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o.batches import order_of_epoch, roll_out
from p2o.config import Config, build_config
from p2o.distributed import ONE_PROCESS
from p2o.evaluate import Evaluation
from p2o.evolution.budget import Ledger
from p2o.evolution.result import Candidate, Evolution
from p2o.evolution.types import nobody
from p2o.files import read_jsonl
from p2o.guidance.evolved import Evolved
from p2o.guidance.guidance import GuidanceParts
from p2o.guidance.prompt_step import PromptStepOutcome
from p2o.loop import end_epoch, train, update
from p2o.outcomes import Outcomes, hard_problems
from p2o.packing import Rows
from p2o.policy.ratios import RatioStatistics
from p2o.policy.streams import GlobalCounts
from p2o.run import Run
from p2o.state import LoopState
from p2o.templates import PLAIN, make_template
from p2o.track.console import Console
from p2o.track.run_directory import RunDirectory
from p2o.types import Group, Problem, Rollout, Template

PROMPT = (1, 2, 3)
TEMPLATED_PROMPT = (9, 1, 2, 3)


def config_of(**sections: Any) -> Config:
    return build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}, **sections})


def problem(identity: str) -> Problem:
    return Problem(identity, ({"role": "user", "content": identity},), "1")


def rollout(
    reward: float,
    *,
    tokens: int = 2,
    template: str = "plain",
    finish_reason: Any = "stop",
    identity: str = "p",
) -> Rollout:
    return Rollout(
        problem_id=identity,
        template_id=template,
        index=0,
        prompt_ids=PROMPT if template == "plain" else TEMPLATED_PROMPT,
        response_ids=[5] * tokens,
        sampler_logprobs=[-0.5] * tokens,
        finish_reason=finish_reason,
        text="",
        reward=reward,
    )


class Engine:
    """Collector, sampler and policy in one; writes down what it is asked, in order."""

    processes = ONE_PROCESS
    stops_early = False

    def __init__(self, log_probs: Sequence[float] = (-0.5,)) -> None:
        self.events: list[Any] = []
        self.requests: list[Any] = []
        self.sampler = self
        self.log_probs = list(log_probs)
        self.updates = 0
        self.places: list[int] = []
        """Of the updates in the schedule."""

    def collect(self, requests: Any, params: Any, progress: Any) -> list[Rollout]:
        self.requests += requests
        self.params = params
        return [rollout(1, identity=request.problem.id) for request in requests]

    def plain_ids(self, problem: Problem) -> tuple[int, ...]:
        return PROMPT

    def reward_metrics(self) -> dict[str, float]:
        return {}

    def sleep(self) -> None:
        self.events.append("sleep")

    def publish(self, policy: Any, version: int) -> None:
        self.events.append(f"publish {version}")

    def score(self, sequences: Any) -> list[np.ndarray]:
        self.events.append("score")
        value = self.log_probs[self.updates % len(self.log_probs)]
        return [np.full(len(response), value, np.float32) for _, response in sequences]

    def update(
        self, rows: Rows, counts: GlobalCounts, engine: RatioStatistics, planned_before: int
    ) -> dict[str, float]:
        self.places.append(planned_before)
        self.events.append(("update", rows.response_lengths.tolist(), counts))
        self.updates += 1
        return {"policy_loss": float(self.updates), **engine.metrics("engine")}


class Quiet:
    @contextmanager
    def phase(self, name: str, total: int) -> Any:
        yield lambda done: None

    def note(self, text: str) -> None:
        pass


def run_of(config: Config, engine: Engine, problems: Sequence[Problem] = (), **more: Any) -> Run:
    values: dict[str, Any] = {
        "config": config,
        "problems": problems,
        "evaluation_problems": [],
        "collector": engine,
        "policy": engine,
        "reference": None,
        "guidance": None,
        "tokenizer": None,
        "directory": None,
        "console": Quiet(),
        "state": LoopState(Outcomes()),
        **more,
    }
    return Run(**values)


def test_every_epoch_has_an_order_of_its_own() -> None:
    problems = [problem(f"{i:02}") for i in range(12)]

    def order(epoch: int, size: int) -> list[str]:
        run = run_of(config_of(run={"batch_problems": size}), Engine(), problems)
        run.state.epoch = epoch
        taken = [run.batches.take() for _ in range(-(-len(problems) // size))]
        assert run.epoch_is_done
        return [group.problem.id for batch in taken for group in batch.groups]

    first, second = order(0, 12), order(1, 12)
    assert sorted(first) == sorted(second) == [one.id for one in problems]
    assert len({tuple(first), tuple(second), tuple(one.id for one in problems)}) == 3
    assert order(0, 5) == first, "whatever the steps, none twice and none left out"


def test_every_rollout_has_a_seed_and_the_template_that_was_assigned() -> None:
    engine = Engine()
    run = run_of(
        config_of(rollout={"n": 3, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "max_tokens": 7}), engine
    )
    template = make_template("z")
    seeds = set()
    for epoch, step in [(0, 0), (0, 1), (1, 1)]:
        run.state.epoch, run.state.step = epoch, step
        run.state.assignment = {"a": [template, template, PLAIN]}
        groups, tokens = roll_out(run, [problem("a"), problem("b")], step)
        assert tokens == 6 * 2
        assert [group.problem.id for group in groups] == ["a", "b"]
        assert [len(group.rollouts) for group in groups] == [3, 3]
        assert {one.problem_id for one in groups[1].rollouts} == {"b"}
        seeds |= {request.seed for request in engine.requests}
    assert len(seeds) == len(engine.requests) == 18, "no two rollouts of a run share a stream"
    assert [request.template for request in engine.requests[:6]] == [template, template, PLAIN] + [PLAIN] * 3
    params = engine.params
    assert (params.temperature, params.top_p, params.top_k, params.max_tokens) == (0.7, 0.9, 5, 7)


def test_everything_is_scored_before_the_first_optimizer_step() -> None:
    """Old log-probs are those of the weights that sampled, in the second mini-batch too. The first one's are those of
    its own update."""
    asked = []

    class Recording(Engine):
        def score(self, sequences: Any) -> list[np.ndarray]:
            asked.append([len(response) for _, response in sequences])
            return super().score(sequences)

    engine = Recording()
    config = config_of(run={"batch_problems": 3, "mini_batch_problems": 2})
    groups = [Group(problem(str(n)), [rollout(1, tokens=n), rollout(0, tokens=n)]) for n in (2, 3, 4)]
    groups = [Group(group.problem, [replace(one, version=6) for one in group.rollouts]) for group in groups]
    run = run_of(config, engine)
    run.state.step = 6
    update(run, groups)
    kinds = [event[0] if isinstance(event, tuple) else event for event in engine.events]
    assert kinds == [*["score"] * 4, "update", "update", "publish 7"], (
        "what is drawn next has seen seven steps"
    )
    assert asked == [[], [], [4, 4], []], "plain and templated prompts of either mini-batch"
    updates = [event for event in engine.events if isinstance(event, tuple)]
    assert [lengths for _, lengths, _ in updates] == [[2, 2, 3, 3], [4, 4]]
    assert [counts.tokens for _, _, counts in updates] == [10, 8], "each mini-batch has its own denominators"


def test_the_schedule_goes_by_the_problems_of_the_epochs() -> None:
    """Ten problems in batches of four and mini-batches of two are 2 + 2 + 1 planned optimizer steps an epoch."""
    engine = Engine()
    config = config_of(run={"batch_problems": 4, "mini_batch_problems": 2})
    problems = [problem(str(n)) for n in range(10)]
    groups = [Group(each, [rollout(1), rollout(0)]) for each in problems]
    run = run_of(config, engine, problems)

    def places(trained: int, rolled_out: int, *, epoch: int = 0, of: int) -> list[int]:
        """Of an update on so many groups, for which so many problems were rolled out: `of` the epoch by then."""
        run.state.epoch, run.state.epoch_problems, engine.places = epoch, of, []
        update(run, groups[:trained], rolled_out)
        return engine.places

    assert [places(4, 4, of=4), places(4, 4, of=8), places(2, 2, of=10)] == [[0, 1], [2, 3], [4]]
    assert places(4, 4, epoch=1, of=4) == [5, 6]
    # Further problems in the place of groups without a signal, and groups that are left out.
    assert [places(4, 7, of=7), places(3, 3, of=10)] == [[0, 1], [4, 5]]
    assert [places(1, 4, of=4), places(4, 4, of=8)] == [[0], [2, 3]]
    # A prompt step's rollouts, within an epoch and at its end: the rate of the batch that comes next.
    assert [places(6, 0, of=4), places(6, 0, epoch=1, of=0)] == [[2, 2, 2], [5, 5, 5]]


@pytest.mark.parametrize(
    ("loss", "rolled_out", "trained"),
    [
        ({}, 3, 3),
        ({"zero_variance": "drop"}, 3, 1),
        # Problems 0, 3, 6, 9 have a signal: two are missing after three, and the limit is twelve.
        ({"zero_variance": "refill"}, 7, 3),
    ],
)
def test_what_is_trained_on_is_decided_once(loss: dict[str, Any], rolled_out: int, trained: int) -> None:
    check_batch(loss, rolled_out, trained, every=3)


def test_refilling_ends_at_four_times_the_batch() -> None:
    """Problems 0, 8 and 16 have a signal, and the third is beyond the twelve that are rolled out."""
    check_batch({"zero_variance": "refill"}, 12, 2, every=8)


def check_batch(loss: dict[str, Any], rolled_out: int, trained: int, *, every: int) -> None:
    class Seldom(Engine):
        def collect(self, requests: Any, params: Any, progress: Any) -> list[Rollout]:
            super().collect(requests, params, progress)
            return [
                rollout(float(one.index == 0 and int(one.problem.id) % every == 0), identity=one.problem.id)
                for one in requests
            ]

    engine = Seldom()
    config = config_of(run={"batch_problems": 3}, rollout={"n": 2}, loss=loss)
    run = run_of(config, engine, [problem(str(n)) for n in range(20)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p2o.batches.random.Random.shuffle", lambda *_: None)
        batch = run.batches.take()
    groups, chosen = batch.groups, batch.trained
    assert [group.problem.id for group in groups] == [str(n) for n in range(rolled_out)]
    assert len(chosen) == trained
    assert all(group in groups for group in chosen)
    assert run.state.epoch_problems == rolled_out
    assert engine.events == ["sleep"], "once there is nothing more to draw"


def test_metrics_of_mini_batches_are_means_and_extremes_of_extremes() -> None:
    class Told(Engine):
        def score(self, sequences: Any) -> list[np.ndarray]:
            return [np.full(len(r), -0.5 - 0.1 * (len(r) - 2), np.float32) for _, r in sequences]

    config = config_of(
        run={"batch_problems": 2, "mini_batch_problems": 1}, correction={"old_logprobs": "trainer"}
    )
    groups = [Group(problem(str(n)), [rollout(1, tokens=n), rollout(0, tokens=n)]) for n in (2, 4)]
    metrics = update(run_of(config, Told(), probe=lambda: {"sync/gap_max": 0.5}), groups)
    assert metrics["policy_loss"] == 1.5
    assert metrics["sync/gap_max"] == 0.5
    assert metrics["engine_ratio/max"] == pytest.approx(1.0)
    assert metrics["engine_ratio/min"] == pytest.approx(np.exp(-0.2))
    assert metrics["engine_ratio/mean"] == pytest.approx((1 + np.exp(-0.2)) / 2)


def test_training_rollouts_are_trials_of_their_template_by_this_epochs_policy() -> None:
    outcomes = Outcomes(success=0.5)
    rewards = [("z", 1.0), ("z", 0.5), ("z", 0.4), ("plain", 0.0)]
    outcomes.observe(Group(problem("p"), [rollout(reward, template=name) for name, reward in rewards]), "3")
    assert [version["policy_version"] for version in outcomes.to_dict()["versions"]] == ["3"]
    assert outcomes.of("z", "p", "3") == (2, 3, 1.9)
    assert outcomes.of("plain", "p", "3") == (0, 1, 0.0)


class Steps:
    """A prompt step that always finds one template, and writes down what it is given."""

    quotes = False

    def __init__(self, tokens: int = 100) -> None:
        self.tokens = tokens
        self.given: list[dict[str, Any]] = []

    def available(self, template: Template, problem_id: str) -> bool:
        return True

    def evolve(
        self, hard: Any, outcomes: Outcomes, *, version: int, epoch: int, previous: Any, **more: Any
    ) -> PromptStepOutcome:
        self.given.append({"hard": dict(hard), "epoch": epoch, "previous": previous})
        template = make_template(f"of epoch {epoch}")
        ids = tuple(hard)
        scores = {ids[0]: (1.0, 1)}
        candidate = Candidate(0, template, accepted=True, scores=scores, mean=0.5, success_rate=0.5)
        other = replace(candidate, id=1, template=make_template("other"))
        evolution = Evolution(
            str(epoch),
            (candidate, other),
            (template, other.template),
            ids,
            ids,
            Ledger(10),
            "budget",
        )
        return PromptStepOutcome(evolution, self.tokens, "found")


def epochs_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Steps | None, **sections: Any
) -> tuple[Run, Engine]:
    """A run whose every rollout fails, up to the end of its first epoch."""
    monkeypatch.setattr("p2o.loop.evaluate", lambda *_, **__: Evaluation([[0.0]], [None], 1))
    engine = Engine()
    config = config_of(
        **{
            "rollout": {"n": 4},
            "run": {"batch_problems": 2, "epochs": 3},
            "reflection": {"prompt": "tiny"},
            **sections,
        }
    )
    problems = [problem("a"), problem("b")]
    directory, console = RunDirectory(tmp_path), Console.silent()
    monkeypatch.setattr("p2o.guidance.evolved.PromptStep", lambda *_: steps)
    parts = GuidanceParts(config, problems, engine, nobody, directory, console)  # type: ignore[arg-type]
    run = run_of(
        config,
        engine,
        problems,
        guidance=None if steps is None else Evolved(parts),
        directory=directory,
        console=console,
        state=LoopState(Outcomes(config.mining.success)),
    )
    roll_epoch(run)
    return run, engine


def test_the_books_of_a_prompt_step_are_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a resumed run must find in the checkpoint: lines that are written, and what spending goes by."""

    class Telling(Steps):
        quotes = True

        def evolve(self, *arguments: Any, **more: Any) -> PromptStepOutcome:
            found = super().evolve(*arguments, **more)
            assert found.evolution is not None
            accepted, other = found.evolution.candidates
            tried = [accepted, replace(accepted, accepted=False), replace(other, accepted=False)]
            return replace(found, records=[{"id": 0}, {"id": 1}], tried=tried)

    run, _ = epochs_of(tmp_path, monkeypatch, Telling())
    assert run.guidance is not None
    assert run.guidance.quotes
    for steps in (1, 2):
        end_epoch(run)
        state = run.state
        assert (state.tried_proposals, state.accepted_proposals) == (3 * steps, steps)
        assert (state.templates_logged, state.prompt_step_tokens) == (2 * steps, 100 * steps)
        roll_epoch(run)


def test_what_is_known_ages_over_a_prompt_step_that_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the rollouts of epoch 0 showed is one policy old in epoch 1, whether or not a step was made in between."""

    class Skipped(Steps):
        def evolve(
            self, hard: Any, outcomes: Outcomes, *, version: int, epoch: int, previous: Any, **more: Any
        ) -> PromptStepOutcome:
            return PromptStepOutcome(previous, 0, "skipped")

    run, _ = epochs_of(tmp_path, monkeypatch, Skipped())
    outcomes = run.state.outcomes
    assert outcomes.discounted("plain", "a", 0.5) == (0, 4, 0)
    end_epoch(run)
    assert run.state.outcomes.discounted("plain", "a", 0.5) == (0, 2, 0)
    roll_epoch(run)
    assert run.state.outcomes.discounted("plain", "a", 0.5) == (0, 4 + 2, 0), "the new epoch's count in full"
    end_epoch(run)
    assert run.state.outcomes.discounted("plain", "a", 0.5) == (0, 2 + 1, 0)


def roll_epoch(run: Run) -> None:
    run.state.epoch_problems = len(run.problems)
    for one in order_of_epoch(run):
        failed = Group(one, [rollout(0, identity=one.id)] * 4)
        run.state.outcomes.observe(failed, str(run.state.version))
    run.state.training_tokens += 50


def test_templates_of_one_prompt_step_are_where_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps()
    run, _ = epochs_of(tmp_path, monkeypatch, steps)
    end_epoch(run)
    state = run.state
    assert (state.epoch, state.epoch_step, state.epoch_problems, state.finished) == (1, 0, 0, False)
    assert state.prompt_step_tokens == 100
    assert state.generated_tokens == 150
    assert state.history[-1]["hard"] == 2
    assert state.history[-1]["prompt_step"]["reason"] == "found"
    first = state.assignment
    assert {name: [t is PLAIN for t in given] for name, given in first.items()} == {
        "a": [False] * 3 + [True],
        "b": [False] * 3 + [True],
    }
    found = state.evolution
    roll_epoch(run)
    end_epoch(run)
    assert [given["epoch"] for given in steps.given] == [1, 2]
    assert [given["previous"] for given in steps.given] == [None, found]
    assert steps.given[0]["hard"] == dict.fromkeys("ab", "very_hard")
    roll_epoch(run)
    last = state.assignment
    end_epoch(run)
    assert state.finished
    assert state.epoch == 3
    assert len(steps.given) == 2, "after the last epoch there is nothing to evolve for"
    assert state.assignment == last, "a run that goes on begins where this one ended"


def test_assignments_differ_between_epochs_and_weigh_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {"rollout": {"n": 40}, "run": {"batch_problems": 2, "epochs": 9}}

    class Same(Steps):
        """The same two templates each time."""

        def evolve(
            self, hard: Any, outcomes: Outcomes, *, version: int, epoch: int, previous: Any, **more: Any
        ) -> PromptStepOutcome:
            return super().evolve(hard, outcomes, version=version, epoch=0, previous=previous)

    run, _ = epochs_of(tmp_path, monkeypatch, Same(), **many)
    end_epoch(run)
    first = run.state.assignment["a"]
    assert len({template.text for template in first}) == 3, (
        "both templates are drawn, and one rollout is plain"
    )
    roll_epoch(run)
    end_epoch(run)
    assert run.state.assignment["a"] != first
    for _ in range(400):  # trials that only the other template passes
        run.state.outcomes.record("2", make_template("other").id, "a", 1, "prompt step")
        run.state.outcomes.record("2", make_template("of epoch 0").id, "a", 0, "prompt step")
    roll_epoch(run)
    end_epoch(run)
    assert {template.text for template in run.state.assignment["a"]} == {"other", ""}


def test_the_token_limit_may_be_reached_by_the_prompt_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 tokens of training and 100 of the prompt step: a limit of 150 is reached exactly, one of 151 not."""
    for limit, finished in [(150, True), (151, False)]:
        run, _ = epochs_of(
            tmp_path, monkeypatch, Steps(), run={"batch_problems": 2, "max_generated_tokens": limit}
        )
        end_epoch(run)
        assert run.state.finished is finished


def test_epochs_are_mined_apart_and_evaluated_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two problems, a step each: one succeeds once in the first epoch and never in the second, the other vice versa."""
    monkeypatch.setattr("p2o.loop.evaluate", lambda *_, **__: Evaluation([[0.0]], [None], 1))
    successes = {0: {"a": 1, "b": 0}, 1: {"a": 0, "b": 1}}

    class Scripted(Engine):
        def collect(self, requests: Any, params: Any, progress: Any) -> list[Rollout]:
            won = [one.index < successes[run.state.epoch][one.problem.id] for one in requests]
            return [
                replace(rollout(float(each), identity=one.problem.id), version=run.state.step)
                for each, one in zip(won, requests, strict=True)
            ]

        def save(self, folder: Path, tokenizer: Any) -> None:
            (folder / "weights").write_text(str(self.updates))

    config = config_of(
        run={"method": "grpo", "batch_problems": 1, "epochs": 2},
        rollout={"n": 4},
        evaluation={"every": 1},
        checkpoint={"every": 1, "keep": 9},
        track={"rollouts": 1},
    )
    directory = RunDirectory(tmp_path)
    for folder in (directory.checkpoints, directory.rollouts):
        folder.mkdir()
    run = run_of(
        config, Scripted(), [problem("a"), problem("b")], directory=directory, console=Console.silent()
    )
    state = train(run)
    assert [(record["step"], record["hard"]) for record in state.history] == [
        (0, None),
        (1, None),
        (2, 2),
        (3, None),
        (4, 2),
    ]
    assert hard_problems(state.outcomes, config.mining) == {"a": "very_hard", "b": "near_hard"}
    assert sorted(path.name for path in directory.checkpoints.glob("epoch-*")) == [
        "epoch-000000-step-00000001",
        "epoch-000000-step-00000002",
        "epoch-000001-step-00000000",
        "epoch-000001-step-00000001",
        "epoch-000001-step-00000002",
        "epoch-000002-step-00000000",
    ]
    assert state.outcomes.of("plain", "a", "0") == (1, 4, 1.0)
    assert state.outcomes.of("plain", "a", "1") == (0, 4, 0.0)
    logged = read_jsonl(directory.metrics)
    assert len(logged) == state.logged == 5 + 4
