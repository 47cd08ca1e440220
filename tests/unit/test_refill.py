"""Batches under `refill`: more is begun than is needed, and what is taken does not depend on what ended first."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from character_encoder import Encoder

from p2o.batches import Batch, Place, collect_batch, until
from p2o.config import load_config
from p2o.outcomes import Outcomes
from p2o.rollout.collect import Collector
from p2o.rollout.reward import RewardConfig, make_reward
from p2o.rollout.sampler import Ended, Progress, Sample, Sampler, SampleRequest, SamplingParams
from p2o.state import LoopState
from p2o.templates import make_template
from p2o.types import Problem, Rollout, Template

PROBLEMS = [Problem(f"p{i}", ({"role": "user", "content": f"{i} + 1"},), "5") for i in range(40)]


class Engine(Sampler):
    """Solves by its seed half of the odd problems, none of the even ones; ends completions in any order."""

    def __init__(self, order: Callable[[int], float] = float) -> None:
        self.order = order
        self.begun = self.ended = 0

    def sample(self, requests: Sequence[SampleRequest], params: Any, progress: Any = None) -> list[Sample]:
        self.begun += len(requests)
        return [self.answer(request) for request in requests]

    def answer(self, request: SampleRequest) -> Sample:
        odd = int(chr(request.prompt_ids[-5])) % 2
        text = "so it is 5" if odd and request.seed % 2 else "so it is 6"
        return Sample([ord(c) for c in text], [-1.0] * len(text), "stop")

    def sync(self, policy: Any) -> None:
        raise AssertionError


class Streaming(Engine):
    """Hands on one completion after the other."""

    refills = True

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        known = sorted(enumerate(requests), key=lambda each: self.order(each[0]))
        self.begun += len(known)
        left = len(known)
        try:
            for number, request in known:
                left -= 1
                self.ended += 1
                yield [(number, self.answer(request))]
        finally:
            self.left = left

    def given_up(self) -> int:
        return 3 * self.left  # tokens of each that is cut off


class AtOnce:
    """A pool whose work is done when it is handed in."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, **options: Any) -> None:
        pass


def run_of(
    engine: Engine,
    share: float = 1.0,
    function: str = "verify",
    assignment: dict[str, list[Template]] | None = None,
) -> Any:
    config = load_config(
        "quickstart", ["run.batch_problems=4", "rollout.n=4", "loss.zero_variance=refill", "run.method=grpo"]
    )
    reward = make_reward(RewardConfig(function=function))
    collector = Collector(engine, Encoder(), reward, max_prompt_tokens=99)  # type: ignore[arg-type]

    @contextmanager
    def phase(name: str, total: int) -> Any:
        yield lambda done: None

    return SimpleNamespace(
        config=config,
        problems=PROBLEMS,
        collector=collector,
        state=LoopState(Outcomes(), assignment=assignment or {}),
        under_way="",
        console=SimpleNamespace(phase=phase),
        batches=SimpleNamespace(share=share),
    )


def batch_of(engine: Engine, share: float = 1.0, start: int = 0, **parts: Any) -> Batch:
    run = run_of(engine, share, **parts)
    return collect_batch(run, Place(step=0, epoch_problems=start, tokens_left=float("inf")))


def without_tokens(batch: Batch) -> Batch:
    metrics = {name: value for name, value in batch.metrics.items() if name != "rollouts/surplus_tokens"}
    return replace(batch, tokens=0, metrics=metrics)


@pytest.mark.parametrize("start", [0, 7, 30])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_begun_in_surplus_does_not_show(
    monkeypatch: pytest.MonkeyPatch, start: int, at_once: bool
) -> None:
    """Whether verdicts come before the next completion ends, or some time later."""
    if at_once:
        monkeypatch.setattr("p2o.rollout.judging.ThreadPoolExecutor", AtOnce)
    expected = batch_of(Engine(), start=start)
    assert len(expected.trained) == 4 or start == 30
    assert len(expected.groups) > 4
    for seed, share in ((0, 1.0), (1, 0.5), (2, 0.25), (3, 0.3)):
        times = Random(seed).sample(range(1000), 1000)
        engine = Streaming(times.__getitem__)
        found = batch_of(engine, share, start)
        assert without_tokens(found) == without_tokens(expected), "the verifier's counts as well"
        own = sum(len(r.response_ids) for group in found.groups for r in group.rollouts)
        ended = engine.ended * len("so it is 5")
        assert found.tokens >= own
        assert found.tokens <= ended + 3 * (engine.begun - engine.ended)


def test_the_surplus_is_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """All begin that may, and end in the order of the problems: nothing behind the last one needed has ended."""
    monkeypatch.setattr("p2o.rollout.judging.ThreadPoolExecutor", AtOnce)
    engine = Streaming()
    found = batch_of(engine, share=0.25)
    needed = len(found.groups) * 4
    assert engine.begun == 16 * 4
    assert engine.ended == needed < engine.begun
    surplus = 3 * (engine.begun - engine.ended)
    assert found.tokens == engine.ended * len("so it is 5") + surplus
    assert found.metrics["rollouts/surplus_tokens"] == surplus


def whole(problem: Problem, completion: str) -> float:
    return float(completion.endswith("5"))


def test_nothing_is_begun_in_surplus_where_it_could_not_be_given_up() -> None:
    """Whose rewards are known at the end only: a function's, and those of a sampler that does not stream."""
    expected = batch_of(Engine())
    engine = Streaming()
    found = batch_of(engine, share=0.25, function=f"{__name__}:whole")
    assert [[r.reward for r in group.rollouts] for group in found.groups] == [
        [r.reward for r in group.rollouts] for group in expected.groups
    ]
    assert engine.begun == engine.ended == 4 * len(found.groups)
    drawn = Engine()
    assert batch_of(drawn, share=0.25) == expected
    assert drawn.begun == 4 * len(expected.groups)


def test_a_batch_in_a_checkpoint_is_the_same_batch() -> None:
    batch = batch_of(Engine())
    found = Batch.from_dict(json.loads(json.dumps(batch.to_dict())), PROBLEMS)
    assert found.to_dict() == batch.to_dict()
    assert [group.problem for group in found.trained] == [group.problem for group in batch.trained]
    assert all(any(group is each for each in found.groups) for group in found.trained)


def rollout(index: int, reward: float) -> Rollout:
    return Rollout("p", "plain", index, (1,), (2,), (-1.0,), "stop", "", reward)


def test_it_is_enough_at_the_problem_that_completes_the_groups_wanted() -> None:
    """The second and third of four problems have a signal; the first is known last, and has none."""
    enough = until(run_of(Engine()), PROBLEMS[:4], wanted=1)
    for place in range(15, 3, -1):
        assert enough(place, rollout(place % 4, float(place in (5, 8)))) is None
    assert [enough(place, rollout(place, 0.0)) for place in range(4)] == [None, None, None, range(8)]


def test_a_template_that_does_not_fit_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of each group has no response, and the step ends all the same when four groups have a signal."""
    monkeypatch.setattr("p2o.rollout.judging.ThreadPoolExecutor", AtOnce)
    plain, long = make_template(""), make_template("x" * 200)
    given = {problem.id: [plain, plain, plain, long] for problem in PROBLEMS}
    engine = Streaming()
    found = batch_of(engine, share=0.25, assignment=given)
    assert len(found.trained) == 4
    assert engine.ended == 3 * len(found.groups) < engine.begun
