"""Streams: completions are handed on as they end and judged beside sampling, and the outcome does not show when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterable
from random import Random
from typing import Any

import pytest
from character_encoder import Encoder
from judged import TenthReward

from p2o.errors import InputError, RewardError, TrainingError
from p2o.rollout import reward as rewards
from p2o.rollout.collect import Collector, RolloutRequest
from p2o.rollout.hf import HfSampler
from p2o.rollout.reward import RewardConfig, make_reward
from p2o.rollout.sampler import Ended, Progress, Sample, Sampler, SampleRequest, SamplingParams
from p2o.templates import PLAIN, make_template
from p2o.types import Problem

PARAMS = SamplingParams(4)


class Engine(Sampler):
    """Answers the request of seed s with the character s, and ends them in any `order`; `between` is called at each."""

    def __init__(self, order: Callable[[int], int] = int, between: Callable[[int], Any] = int) -> None:
        self.order = order
        self.between = between
        self.open = False
        self.all_ended = threading.Event()

    def sample(self, requests: Any, params: Any, progress: Any = None) -> list[Sample]:
        raise AssertionError("it streams")

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        self.open = True
        try:
            known = list(enumerate(requests))
            yield []
            for step, (number, request) in enumerate(
                sorted(known, key=lambda each: self.order(each[1].seed))
            ):
                yield [(number, Sample([request.seed], [-1.0], "stop"))]
                self.between(step)
                yield []
            self.all_ended.set()
        finally:
            self.open = False

    def sync(self, policy: Any) -> None:
        raise AssertionError


class Apart(Engine):
    """An engine in a process of its own."""

    in_process = False


def collector_of(engine: Engine, function: Any = None) -> Collector:
    """One whose reward is the verifier or, if there is one, a function or class of one's own."""
    if function is None:
        reward = make_reward(RewardConfig())
    elif function is TenthReward:
        reward = TenthReward()
    else:
        globals()["FUNCTION"] = function
        reward = make_reward(RewardConfig(function=f"{__name__}:FUNCTION", timeout_s=20.0))
    return Collector(engine, Encoder(), reward, max_prompt_tokens=20)  # type: ignore[arg-type]


def requests(texts: str = "3456789") -> list[RolloutRequest]:
    problem = Problem("p", ({"role": "user", "content": "1+4"},), "5")
    return [RolloutRequest(problem, PLAIN, i, ord(text)) for i, text in enumerate(texts)]


async def awaited(problem: Problem, completion: str) -> float:
    await asyncio.sleep(0)
    return int(completion) / 10


async def awaited_lists(problems: list[Problem], completions: list[str]) -> list[float]:
    await asyncio.sleep(0)
    return [int(completion) / 10 for completion in completions]


def called(problem: Problem, completion: str) -> float:
    return int(completion) / 10


def called_lists(problems: list[Problem], completions: list[str]) -> list[float]:
    return [int(completion) / 10 for completion in completions]


@pytest.mark.parametrize("kind", [Engine, Apart])
@pytest.mark.parametrize("function", [None, TenthReward, awaited, awaited_lists, called, called_lists])
def test_the_order_in_which_completions_end_does_not_show(kind: type[Engine], function: Any) -> None:
    asked = [*requests(), RolloutRequest(requests()[0].problem, make_template("Add. " * 9), 7, 1)]
    expected = [0, 0, 1, 0, 0, 0, 0] if function is None else [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    first = None
    for seed in range(5):
        done: list[int] = []
        collector = collector_of(kind(Random(seed).sample(range(99), 99).__getitem__), function)
        rollouts = collector.collect(asked, PARAMS, done.append)
        assert [rollout.reward for rollout in rollouts] == [*expected, 0.0]
        assert [rollout.text for rollout in rollouts] == [*"3456789", ""]
        assert first in (None, rollouts)
        assert collector.reward_metrics() is not None
        first = rollouts


def test_an_engine_goes_on_while_a_judge_thinks() -> None:
    """The judge of the first completion answers when all others have ended; it was asked before the second had."""
    begun: list[str] = []
    waited: list[int] = []

    async def judge(problem: Problem, completion: str) -> float:
        begun.append(completion)
        if completion == "3":
            while not engine.all_ended.is_set():
                await asyncio.sleep(0)
        return int(completion) / 10

    async def judge_lists(problems: list[Problem], completions: list[str]) -> list[float]:
        return [await judge(*each) for each in zip(problems, completions, strict=True)]

    def between(step: int) -> None:
        waited.append(len(begun))

    for function, first in ((judge, 1), (judge_lists, 1)):
        begun.clear()
        waited.clear()
        engine = Engine(between=between)
        rollouts = collector_of(engine, function).collect(requests(), PARAMS)
        assert [rollout.reward for rollout in rollouts] == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        assert waited[0] == first, "it was asked before the second completion ended"
        assert begun == list("3456789")
    assert waited == [1] * 7, (
        "what ended during the first call of a judge of many was asked about in the second"
    )


def test_the_verifier_works_beside_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier of the first completion returns when all have ended; it would wait for ever within a step."""
    verify, batches = rewards.verify_batch, []

    def slow(completions: list[str], *arguments: Any, **options: Any) -> Any:
        batches.append(completions)
        assert engine.all_ended.wait(20)
        return verify(completions, *arguments, **options)

    monkeypatch.setattr(rewards, "verify_batch", slow)
    engine = Engine()
    rollouts = collector_of(engine).collect(requests(), PARAMS)
    assert [rollout.reward for rollout in rollouts] == [0, 0, 1, 0, 0, 0, 0]
    assert batches == [["3"], list("456789")]
    assert "p2o-verify" not in {thread.name.partition("_")[0] for thread in threading.enumerate()}


def test_a_reward_class_that_says_nothing_of_it_is_not_waited_for() -> None:
    """Its rewards are known at the end alone, when nothing is left to give up."""
    engine = Engine()
    engine.refills = True
    assert collector_of(engine).stops_early
    assert not collector_of(engine, TenthReward).stops_early


def test_verdicts_are_counted_once() -> None:
    collector = collector_of(Engine(lambda seed: -seed))
    collector.collect(requests("5 6 "), PARAMS)
    assert collector.reward_metrics() == {
        "verify/no_answer": 0.5,
        "verify/timeout": 0.0,
        "verify/gold_unparsable": 0.0,
    }
    assert collector.reward_metrics()["verify/no_answer"] == 0.0


@pytest.mark.parametrize(("kind", "during"), [(Engine, False), (Apart, True)])
def test_a_function_that_holds_up_its_caller_does_not_hold_up_an_engine(
    kind: type[Engine], during: bool
) -> None:
    threads, ended = set(), []

    def judge(problem: Problem, completion: str) -> float:
        threads.add(threading.current_thread())
        ended.append(engine.all_ended.is_set())
        return 1.0

    engine = kind()
    collector_of(engine, judge).collect(requests(), PARAMS)
    assert threads == {threading.main_thread()}, "where graders may set alarms"
    assert ended == [not during] * 7


def test_a_hanging_judge_is_not_asked_about_everything_that_ends_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("p2o.rollout.function_reward.WAITS", ())
    asked = []

    def judge(problem: Problem, completion: str) -> float:
        asked.append(completion)
        if len(asked) > 1:
            threading.Event().wait()
        return 1.0

    collector = collector_of(Apart(), judge)
    collector.reward.function.timeout_s = 0.02  # type: ignore[attr-defined]
    with pytest.raises(RewardError, match="does not work: OutOfTime"):
        collector.collect(requests(), PARAMS)
    assert asked == ["3", "4", "3", "3"], "one, whether it works, and once more at the end"


@pytest.mark.parametrize("function", [awaited, called])
def test_what_fails_ends_the_stream_and_the_judge(function: Any) -> None:
    cancelled = []

    async def waits(problem: Problem, completion: str) -> float:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(completion)
            raise
        return 0.0

    def interrupt(step: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    engine = Engine(between=interrupt)
    with pytest.raises(KeyboardInterrupt):
        collector_of(engine, waits).collect(requests(), PARAMS)
    assert sorted(cancelled) == ["3", "4", "5"]
    assert not engine.open
    wrong = {awaited: _wrong_awaited, called: _wrong}[function]
    engine = Apart()
    with pytest.raises(RewardError, match="gave the reward 7"):
        collector_of(engine, wrong).collect(requests(), PARAMS)
    assert not engine.open


def _wrong(problem: Problem, completion: str) -> float:
    return 7.0


async def _wrong_awaited(problem: Problem, completion: str) -> float:
    return 7.0


def test_a_log_prob_that_is_no_number_ends_the_stream() -> None:
    class Broken(Engine):
        def stream(self, *arguments: Any, **options: Any) -> Generator[Ended]:
            for ended in super().stream(*arguments, **options):
                yield [(number, Sample(s.response_ids, [float("nan")], "stop")) for number, s in ended]

    engine = Broken()
    with pytest.raises(TrainingError, match="a log-prob that is no number"):
        collector_of(engine).collect(requests(), PARAMS)
    assert not engine.open


def make_hf(model: Any, **settings: Any) -> HfSampler:
    return HfSampler(model, end_ids=range(0, 60, 3), pad_id=0, **settings)


REQUESTS = [SampleRequest((2, 10, 3 + seed % 3), seed) for seed in range(12)]


def test_hf_hands_on_what_has_ended_while_it_draws_the_others(random_model: Any) -> None:
    sampler = make_hf(random_model)
    expected = sampler.sample(REQUESTS, SamplingParams(12))
    counts: list[int] = []
    looks = list(sampler.stream(REQUESTS, SamplingParams(12), counts.append))
    ended = [(number, sample, look) for look, found in enumerate(looks) for number, sample in found]
    assert sorted(number for number, _, _ in ended) == list(range(12))
    assert {number: sample for number, sample, _ in ended} == dict(enumerate(expected))
    assert sum(counts) == 12
    lengths = [len(sample.response_ids) for _, sample, _ in ended]
    assert lengths == sorted(lengths), "the shortest first"
    assert len({look for _, _, look in ended}) == len(set(lengths)) > 2


def test_hf_leaves_nothing_of_a_stream_that_is_closed(random_model: Any) -> None:
    sampler = make_hf(random_model, batch_size=4)
    expected = sampler.sample(REQUESTS, SamplingParams(12))
    stream = sampler.stream(iter(REQUESTS), SamplingParams(12))
    assert len(next(stream)) < 4
    stream.close()
    assert sampler.sample(REQUESTS, SamplingParams(12)) == expected
    assert list(sampler.stream([], SamplingParams(12))) == []


class OnlySample(HfSampler):
    """Of a class that streams, changed in `sample` alone."""

    def sample(self, *arguments: Any, **options: Any) -> list[Sample]:
        return [Sample([1], s.logprobs[:1], "stop") for s in super().sample(*arguments, **options)]


def test_a_sampler_that_defines_only_sample_is_streamed_from(random_model: Any) -> None:
    sampler = OnlySample(random_model, end_ids=(4,), pad_id=0, batch_size=5)
    (ended,) = sampler.stream(iter(REQUESTS), PARAMS)
    assert [number for number, _ in ended] == list(range(12))
    assert {tuple(sample.response_ids) for _, sample in ended} == {(1,)}
    assert list(sampler.stream([], PARAMS)) == []


class Refilling(Engine):
    refills = True


class OnlySampleOfRefilling(Refilling):
    def sample(self, requests: Any, params: Any, progress: Any = None) -> list[Sample]:
        return [Sample([request.seed], [-1.0], "stop") for request in requests]


def test_one_that_defines_only_sample_does_not_take_what_other_ranks_could_draw() -> None:
    """It is given a piece of the queue at a time; all at once would leave nothing for the others."""
    taken: list[list[int]] = []

    def pieces() -> Generator[range]:
        for piece in (range(2), range(2, 4), range(4, 5)):
            yield piece
            taken.append(list(piece))

    collector = collector_of(OnlySampleOfRefilling())
    first = next(collector._ended(requests("34567"), pieces(), PARAMS, None))
    assert (sorted(first), taken) == ([0, 1], []), "no second piece was asked for"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[0, 1]], "stream ended with 1 requests under way"),
        ([[0, 1], [1, 2]], "stream handed on 1, which is not under way"),
        ([[0, 3]], "stream handed on 3, which is not under way"),
        ([["no tokens"]], "a Sample has 0 tokens and 0 log-probs"),
    ],
)
def test_a_stream_of_one_s_own_hands_on_each_completion_once(given: list[list[Any]], message: str) -> None:
    class Own(Engine):
        def stream(self, requests: Iterable[SampleRequest], *_: Any, **__: Any) -> Generator[Ended]:
            list(requests)
            for numbers in given:
                yield [
                    (0, Sample([], [], "stop"))
                    if number == "no tokens"
                    else (number, Sample([5], [0.0], "stop"))
                    for number in numbers
                ]

    with pytest.raises(InputError, match=f"^rollout.sampler: {message}"):
        collector_of(Own()).collect(requests("345"), PARAMS)
