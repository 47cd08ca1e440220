"""Batches under `refill`: more is begun than is needed, and what is taken does not depend on what ended first."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from character_encoder import Encoder
from test_distributed import on_ranks

from p2o.batches import Batch, Place, collect_batch, until
from p2o.config import load_config
from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import TrainingError
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

    def given_up(self, received: int) -> int:
        return 3 * self.left  # tokens of each that is cut off


class Slots(Streaming):
    """Holds a few requests at a time, and takes further ones as these end."""

    at_once = 6

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        waiting, held = enumerate(requests), dict[int, SampleRequest]()
        try:
            while True:
                held |= islice(waiting, (at_once or self.at_once) - len(held))
                if not held:
                    return
                number = min(held, key=self.order)
                self.ended += 1
                yield [(number, self.answer(held.pop(number)))]
        finally:
            self.left = len(held)


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
    processes: Processes = ONE_PROCESS,
) -> Any:
    config = load_config(
        "quickstart", ["run.batch_problems=4", "rollout.n=4", "loss.zero_variance=refill", "run.method=grpo"]
    )
    reward = make_reward(RewardConfig(function=function))
    collector = Collector(engine, Encoder(), reward, max_prompt_tokens=99, processes=processes)  # type: ignore[arg-type]

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


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_tell_each_other_when_it_is_enough(
    monkeypatch: pytest.MonkeyPatch, ranks: int, at_once: bool
) -> None:
    """They learn from the same groups as one process does in rounds, of whichever ranks these are."""
    if at_once:
        monkeypatch.setattr("p2o.rollout.judging.ThreadPoolExecutor", AtOnce)
    expected = batch_of(Engine())
    for seed in range(5):
        times = Random(seed).sample(range(1000), 1000)
        engines = [Slots(times.__getitem__) for _ in range(ranks)]
        stores: list[Any] = []

        def function(processes: Processes, engines: list[Slots] = engines, stores: Any = stores) -> Batch:
            stores.append(processes.store)
            return batch_of(engines[processes.rank], 0.25, processes=processes)

        found = on_ranks(ranks, function)
        assert found == [found[0]] * ranks, "tokens too"
        assert without_tokens(found[0]) == without_tokens(expected)
        needed = sum(len(r.response_ids) for group in expected.groups for r in group.rollouts)
        ended = sum(engine.ended for engine in engines) * len("so it is 5")
        surplus = found[0].metrics["rollouts/surplus_tokens"]
        assert found[0].tokens == needed + surplus
        assert surplus == ended - needed + 3 * sum(engine.left for engine in engines)
        assert stores[0].num_keys() == 0


def test_a_rank_stops_by_what_another_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 1 draws its first piece and then never ends; rank 0 draws what is needed besides, and nothing more."""
    monkeypatch.setattr("p2o.rollout.judging.ThreadPoolExecutor", AtOnce)
    told = threading.Event()

    class First(Slots):
        def stream(self, *arguments: Any, **options: Any) -> Generator[Ended]:
            assert told.wait(20)
            yield from super().stream(*arguments, **options)

    class Endless(Slots):
        def stream(
            self, requests: Iterable[SampleRequest], *arguments: Any, **options: Any
        ) -> Generator[Ended]:
            yield from super().stream(islice(requests, self.at_once), *arguments, **options)
            while True:
                yield []
                told.set()

    engines = [First(), Endless()]
    found = on_ranks(2, lambda processes: batch_of(engines[processes.rank], 0.25, processes=processes))
    assert found[0] == found[1]
    assert without_tokens(found[0]) == without_tokens(batch_of(Engine()))
    assert (engines[0].ended, engines[1].ended) == (len(found[0].groups) * 4 - 6, 6)


def test_tokens_of_an_engine_that_ranks_share_are_counted_once() -> None:
    """It knows what it has generated, and each rank what it was given of it."""
    generated: list[int] = []

    class Client(Slots):
        def __init__(self, *, is_main: bool) -> None:
            super().__init__()
            self.is_main = is_main

        def answer(self, request: SampleRequest) -> Sample:
            sample = super().answer(request)
            generated.append(len(sample.response_ids))
            self.received += len(sample.response_ids)
            return sample

        def given_up(self, received: int) -> int:
            generated.append(3 * self.left)  # each rank's requests end here
            processes[self.is_main].gather(None)
            return sum(generated) - received if self.is_main else 0

    processes: dict[bool, Processes] = {}

    def function(mine: Processes) -> Batch:
        processes[mine.is_main] = mine
        return batch_of(Client(is_main=mine.is_main), 0.25, processes=mine)

    found = on_ranks(2, function)
    assert found == [found[0]] * 2
    assert found[0].tokens == sum(generated)


def test_a_rank_that_fails_leaves_no_other_waiting() -> None:
    class Fails(Slots):
        def answer(self, request: SampleRequest) -> Sample:
            if self.ended == 3:
                raise TrainingError("only here")
            return super().answer(request)

    engines = [Slots(), Fails(), Slots()]
    found = on_ranks(3, lambda processes: batch_of(engines[processes.rank], 0.25, processes=processes))
    assert [str(error) for error in found] == ["only here"] * 3


def whole(problem: Problem, completion: str) -> float:
    return float(completion.endswith("5"))


async def awaited(problem: Problem, completion: str) -> float:
    await asyncio.sleep(0)
    return whole(problem, completion)


async def awaited_lists(problems: list[Problem], completions: list[str]) -> list[float]:
    return list(map(whole, problems, completions))


def lists(problems: list[Problem], completions: list[str]) -> list[float]:
    return list(map(whole, problems, completions))


@pytest.mark.parametrize(
    ("function", "in_process"),
    [(awaited, True), (awaited_lists, True), (awaited, False), (whole, False), (lists, False)],
)
def test_own_rewards_that_are_known_beside_sampling_end_it_too(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], in_process: bool
) -> None:
    """Those of an `async def`, and any other's where the engine is a process of its own."""
    monkeypatch.setattr(Streaming, "in_process", in_process)
    name = f"{__name__}:{function.__name__}"
    expected = batch_of(Engine(), function=name)
    engine = Streaming()
    found = batch_of(engine, share=0.25, function=name)
    assert without_tokens(found) == without_tokens(expected)
    assert len(expected.groups) * 4 <= engine.ended < engine.begun == 16 * 4


FAILS: dict[str, int] = {}


async def flaky(problem: Problem, completion: str) -> float:
    """Fails on the first completions of some problems."""
    if FAILS.get(problem.id, 0) > 0:
        FAILS[problem.id] -= 1
        raise ValueError("not now")
    return whole(problem, completion)


def test_what_failed_is_looked_into_when_all_has_ended() -> None:
    name = f"{__name__}:flaky"
    first = batch_of(Engine()).groups[0].problem.id
    FAILS[first] = 2
    expected = batch_of(Engine(), function=name)
    FAILS[first] = 2
    engine = Streaming()
    found = batch_of(engine, share=0.25, function=name)
    assert FAILS[first] == 0
    assert without_tokens(found) == without_tokens(expected)
    assert engine.ended == engine.begun == 16 * 4


def test_nothing_is_begun_in_surplus_where_it_could_not_be_given_up() -> None:
    """Whose rewards are known at the end only: those of a function that holds up the engine, and of a sampler that does
    not stream."""
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
