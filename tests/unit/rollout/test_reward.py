"""Rewards in the trainer: the verifier's profiles, functions of one's own, and errors that are counted."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judged import rewards_of
from pydantic import ValidationError

from p2o.errors import ConfigError, RewardError
from p2o.reward_calls import CountingReward
from p2o.rollout.reward import RewardConfig, make_reward
from p2o.types import Problem, Rollout
from p2o.verifier import VerifyOptions


def rollout(text: str) -> Rollout:
    return Rollout("p", "plain", 0, (1,), (2,), (-1.0,), "stop", text)


def problem(gold: str) -> Problem:
    return Problem("p", ({"role": "user", "content": "x"},), gold)


def test_licences_of_the_verifier_are_switched_on_and_off() -> None:
    plain = RewardConfig()
    switched = RewardConfig(licences={"unit-dropped": False, "unit-ignored": True})
    rollouts, golds = [rollout(r"\boxed{5}"), rollout(r"\boxed{5\text{ m}}")], [problem(r"5\text{ cm}")] * 2
    assert list(rewards_of(make_reward(plain), rollouts, golds)) == [1.0, 0.0]
    assert list(rewards_of(make_reward(switched), rollouts, golds)) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "hint"), [("unit-droped", "did you mean 'unit-dropped'"), ("all", "docs/verifier.md")]
)
def test_a_licence_that_is_none_is_refused(name: str, hint: str) -> None:
    with pytest.raises(ValidationError, match=f"there is no licence '{name}': {hint}"):
        RewardConfig(licences={name: True})


def test_the_verifier_rewards_and_counts() -> None:
    reward = make_reward(RewardConfig())
    texts = [r"\boxed{1/2}", r"\boxed{3}", "no idea"]
    assert list(rewards_of(reward, [rollout(t) for t in texts], [problem("0.5")] * 3)) == [1.0, 0.0, 0.0]
    counts = reward.take_counts()
    assert reward.metrics(counts)["verify/no_answer"] == pytest.approx(1 / 3)
    assert reward.metrics(counts + counts)["verify/no_answer"] == pytest.approx(1 / 3)
    assert reward.metrics(reward.take_counts())["verify/no_answer"] == 0.0, "counts start anew"


@pytest.mark.parametrize(
    "end",
    [
        *(
            "</think>",
            "[/THINK]",
            "◁/think▷",
            "</thought>",
            "<|end_of_thought|>",
            "<|END_THINKING|>",
            "<|inner_suffix|>",
        ),
        *("<channel|>", "<|channel|>final<|message|>", "<|channel|>final <|constrain|>json<|message|>"),
    ],
)
def test_what_follows_the_thought_is_verified(end: str) -> None:
    text = rf"So it is \boxed{{3}}.{end}It is 4."
    reward = make_reward(RewardConfig())
    assert list(rewards_of(reward, [rollout(text)] * 2, [problem("3"), problem("4")])) == [0.0, 1.0]


def test_a_box_can_be_required() -> None:
    for required, expected in ((False, 1.0), (True, 0.0)):
        reward = make_reward(RewardConfig(require_boxed=required))
        assert list(rewards_of(reward, [rollout("The answer is 7.")], [problem("7")])) == [expected]


def test_a_function_that_never_worked_is_an_error() -> None:
    reward = make_reward(RewardConfig(function=f"{__name__}:length_reward"))
    assert list(rewards_of(reward, [], [])) == []
    with pytest.raises(ConfigError, match=r"length_reward' failed on all 2 completions .*RuntimeError: no"):
        rewards_of(reward, [rollout("boom"), rollout("boom")], [problem("1")] * 2)


def test_a_function_that_has_worked_does_not_end_the_run() -> None:
    reward = make_reward(RewardConfig(function=f"{__name__}:length_reward"))
    assert list(rewards_of(reward, [rollout("12"), rollout("boom")], [problem("1")] * 2)) == [0.2, 0.0]
    assert list(rewards_of(reward, [rollout("boom")], [problem("1")])) == [0.0], (
        "a batch of one, or a rank's share of one"
    )
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 2.0}


def test_the_verifier_options_follow_the_profile() -> None:
    unswitched: VerifyOptions = {"allow": (), "deny": ()}
    assert RewardConfig(profile="math-verify").verifier_options() == {
        **unswitched,
        "require_boxed": False,
        "compat": "math-verify",
    }
    assert RewardConfig(profile="strict", require_boxed=True).verifier_options() == {
        **unswitched,
        "require_boxed": True,
        "strict": True,
    }


def length_reward(problem: Problem, completion: str) -> float:
    if completion == "boom":
        raise RuntimeError("no")
    return len(completion) / 10


def test_a_function_of_ones_own() -> None:
    reward = make_reward(RewardConfig(function=f"{__name__}:length_reward"))
    assert list(rewards_of(reward, [rollout("12345"), rollout("boom")], [problem("1")] * 2)) == [0.5, 0.0]
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 1.0}
    assert reward.metrics(reward.take_counts()) == {"reward/errors": 0.0}


@pytest.mark.parametrize("path", ["nowhere", "no_such_module:f", f"{__name__}:missing", f"{__name__}:pytest"])
def test_a_path_without_a_function_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        make_reward(RewardConfig(function=path))


GOLD = problem("1")


class Judge:
    """A reward function that does what is asked of it: called with a text, it does what stands under that text."""

    def __init__(self, **actions: Callable[[], Any]) -> None:
        self.actions = {"good": lambda: 1.0, "bad": lambda: 0.25, **actions}
        self.calls: list[str] = []
        self.down: Callable[[], Any] | None = None
        self.failures: list[BaseException] = []
        """What the next calls raise."""

    def __call__(self, problem: Problem, completion: str) -> Any:
        self.calls.append(completion)
        if self.failures:
            raise self.failures.pop()
        return (self.down or self.actions[completion])()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a judge a reward function and asks it about texts."""
    monkeypatch.setattr("p2o.rollout.function_reward.WAITS", (0.0, 0.0))

    def make(judge: Judge, **settings: Any) -> Callable[..., list[float]]:
        monkeypatch.setattr(f"{__name__}.JUDGE", judge, raising=False)
        reward = make_reward(RewardConfig(function=f"{__name__}:JUDGE", **settings))

        def ask(*texts: str) -> list[float]:
            return list(rewards_of(reward, [rollout(text) for text in texts], [GOLD] * len(texts)))

        ask.reward = reward  # type: ignore[attr-defined]
        return ask

    return make


def raises(error: BaseException | type[BaseException]) -> Callable[[], Any]:
    def action() -> None:
        raise error

    return action


def swallows() -> None:
    with suppress(BaseException):
        threading.Event().wait()
    threading.Event().wait()


class StrangeError(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")


@pytest.mark.parametrize(
    "action",
    [
        sys.exit,
        raises(SystemExit(0)),
        raises(GeneratorExit),
        raises(asyncio.CancelledError),
        raises(StrangeError),
    ],
)
def test_what_is_no_exception_scores_0_and_is_counted(judged: Any, action: Any) -> None:
    ask = judged(Judge(odd=action))
    assert ask("good", "odd", "bad") == [1.0, 0.0, 0.25]
    assert ask.reward.metrics(ask.reward.take_counts()) == {"reward/errors": 1.0}


def changes_everything(problem: Problem, completion: str) -> float:
    os.chdir("/")
    problem.messages[0]["content"] = "another problem"
    problem.meta["rubric"].append("more")
    return 0.5


def test_what_a_function_changes_is_as_before() -> None:
    folder = os.getcwd()
    reward = make_reward(RewardConfig(function=f"{__name__}:changes_everything"))
    given = Problem("p", ({"role": "user", "content": "x"},), "1", {"rubric": []})
    assert list(rewards_of(reward, [rollout("a")], [given])) == [0.5]
    assert os.getcwd() == folder, "the run directory may be relative to it"
    assert given == Problem("p", ({"role": "user", "content": "x"},), "1", {"rubric": []}), "its next prompt"


def leaves_a_child() -> float:
    if (child := os.fork()) == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) / 10


def test_a_function_cannot_end_the_process_and_its_children_can(judged: Any) -> None:
    leave = os._exit
    ask = judged(Judge(leaves=lambda: os._exit(0), child=leaves_a_child))
    assert ask("good", "leaves", "child") == [1.0, 0.0, 0.7]
    assert ask.reward.take_counts() == {"SystemExit: 0": 1}
    assert os._exit is leave


def test_ctrl_c_means_the_run(judged: Any) -> None:
    ask = judged(Judge(odd=raises(KeyboardInterrupt)))
    with pytest.raises(KeyboardInterrupt):
        ask("good", "odd")


def spins() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    "hangs",
    [
        spins,
        swallows,
        lambda: threading.Event().wait(),
        lambda: time.sleep(1e6),
        lambda: subprocess.run(["sleep", "1000000"], check=True),
        lambda: re.match(r"(a|aa)+$", "a" * 100 + "b"),
    ],
)
def test_a_call_that_hangs_is_ended(judged: Any, hangs: Any) -> None:
    handler, threads = signal.getsignal(signal.SIGALRM), threading.active_count()
    ask = judged(Judge(odd=hangs), timeout_s=0.02)
    assert ask("good", "odd", "bad") == [1.0, 0.0, 0.25]
    assert ask.reward.take_counts() == {"OutOfTime: no result after reward.timeout_s = 0.02 s": 1}
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL)[1] == 0, "the alarm, which repeats itself, is off"
    assert threading.active_count() == threads, "nothing is left that the end of the run would wait for"


def test_a_judge_that_hangs_is_not_asked_about_everything(judged: Any) -> None:
    judge = Judge()
    ask = judged(judge, timeout_s=0.02)
    assert ask("good") == [1.0]
    judge.calls.clear()
    judge.down = threading.Event().wait
    with pytest.raises(RewardError, match="JUDGE' does not work: OutOfTime: no result after"):
        ask(*["bad"] * 50)
    assert len(judge.calls) == 5, "one completion, and one that it had judged, now and after each wait"


def test_the_first_completion_of_a_run_may_make_it_hang(judged: Any) -> None:
    """Two do; a function that has judged nothing after three is not asked about the others."""
    judge = Judge(odd=threading.Event().wait)
    ask = judged(judge, timeout_s=0.02)
    assert ask("odd", "odd", "good", "bad") == [0.0, 0.0, 1.0, 0.25]
    judge = Judge()
    judge.down = threading.Event().wait
    ask = judged(judge, timeout_s=0.02)
    with pytest.raises(RewardError, match="JUDGE' failed on all 50 completions of a batch: OutOfTime"):
        ask(*["bad"] * 50)
    assert len(judge.calls) == 3


class Late(Exception):
    pass


def late(number: int, frame: Any) -> None:
    assert number == signal.SIGALRM
    raise Late


def alarmed() -> float:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        threading.Event().wait()
    except Late:
        return 0.5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return 0.0


def alarmed_by_itself() -> float:
    before = signal.signal(signal.SIGALRM, late)
    try:
        return alarmed()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_grader_with_an_alarm_of_its_own(judged: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert judged(Judge(own=alarmed_by_itself))("own", "good") == [0.5, 1.0]
    signal.signal(signal.SIGALRM, late)  # as a module does that is imported
    try:
        assert judged(Judge(own=alarmed))("own", "good") == [0.5, 1.0]
        assert signal.getsignal(signal.SIGALRM) is late
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_alarm_that_was_set_before_is_not_put_off(judged: Any) -> None:
    """Each call would otherwise give it back the time that the call took."""
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 1000.0, 7.0)
        assert judged(Judge(slow=lambda: time.sleep(0.05) or 0.5))("slow", "good") == [0.5, 1.0]
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= 999.95
        assert interval == 7.0
        assert not rung
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert judged(Judge(slow=lambda: time.sleep(0.05) or 0.5))("slow") == [0.5]
        for _ in range(1000):
            if not rung:
                time.sleep(0.01)
        assert rung == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_outside_the_main_thread_there_is_no_limit(judged: Any) -> None:
    ask, found = judged(Judge()), []
    thread = threading.Thread(target=lambda: found.extend(ask("good", "bad")))
    thread.start()
    thread.join()
    assert found == [1.0, 0.25]


ERRORS = [ConnectionError("refused"), RuntimeError("no judge"), ValueError("no JSON"), SystemExit(1)]


@pytest.mark.parametrize("error", ERRORS)
def test_a_judge_that_goes_down_gives_no_rewards(judged: Any, error: BaseException) -> None:
    judge = Judge()
    for left_out in (0, 4):
        judge.down = None
        ask = judged(judge, max_failures=left_out)
        assert ask("good", "bad") == [1.0, 0.25]
        judge.down = raises(error)
        if left_out:
            assert all(map(math.isnan, ask("bad", "good", "bad")))
            assert ask.reward.metrics(ask.reward.take_counts()) == {"reward/errors": 3.0}
        with pytest.raises(
            RewardError, match=rf"does not work: {type(error).__name__}: .*--resume.*max_failures"
        ):
            ask("bad", "good", "bad")


@pytest.mark.parametrize("error", ERRORS)
def test_a_judge_that_goes_down_within_a_batch(judged: Any, error: BaseException) -> None:
    judge = Judge(last=lambda: [1.0, setattr(judge, "down", raises(error))][0])
    ask = judged(judge, max_failures=10)
    rewards = ask("good", "last", "bad", "bad")
    assert rewards[:2] == [1.0, 1.0]
    assert all(map(math.isnan, rewards[2:]))
    judge.down = None
    assert ask("good", "bad") == [1.0, 0.25], "and back again"


@pytest.mark.parametrize("error", ERRORS)
def test_a_judge_that_was_away_for_a_moment_is_asked_again(judged: Any, error: BaseException) -> None:
    for failures in range(1, 8):  # it fails at so many calls in a row, over the first waits
        judge = Judge()
        ask = judged(judge)
        assert ask("good") == [1.0]
        judge.failures = [error] * failures
        assert ask("bad", "good", "good", "bad", "good") == [0.25, 1.0, 1.0, 0.25, 1.0]


def test_a_judge_that_refuses_some_is_no_judge_of_them(judged: Any) -> None:
    busy = type("RateLimitError", (Exception,), {"__module__": "openai"})
    ask = judged(Judge(busy=raises(busy("429")), odd=raises(ValueError("text"))), max_failures=1)
    rewards = ask("good", "busy", "odd")
    assert rewards[::2] == [1.0, 0.0]
    assert math.isnan(rewards[1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.3 + 0.6 + 0.1, 1.0),
        (1.0000000000000002, 1.0),
        (np.float32(1) + np.float32(1e-7), 1.0),
        (1 - 5e-7, 1.0),
        (0.3 - 0.2 - 0.1, 0.0),
        (-5e-7, 0.0),
        (True, 1.0),
        (torch.tensor([0.5]), 0.5),
        (Fraction(1, 4), 0.25),
    ],
)
def test_roundings_of_0_and_1(judged: Any, value: Any, expected: float) -> None:
    assert judged(Judge(value=lambda: value))("good", "value") == [1.0, expected]


@pytest.mark.parametrize(
    "value", [None, "1", math.nan, -math.inf, 1.00001, -1e-5, torch.ones(2), [1.0], 1j, StrangeError()]
)
def test_what_is_no_reward_is_refused(judged: Any, value: Any) -> None:
    with pytest.raises(
        RewardError, match=r"gave the reward .* on problem 'p': rewards must be numbers from 0 to 1"
    ):
        judged(Judge(value=lambda: value))("good", "value")


async def later(problem: Problem, completion: str) -> AsyncIterator[float]:
    yield 1.0


def piecewise(problem: Problem, completion: str) -> Iterator[float]:
    yield 1.0


@pytest.mark.parametrize("name", ["later", "piecewise"])
def test_a_function_that_returns_no_number_is_refused_before_it_is_called(name: str) -> None:
    with pytest.raises(ConfigError, match="must return a number: it yields"):
        make_reward(RewardConfig(function=f"{__name__}:{name}"))


def test_the_code_of_a_reward_is_that_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "graders_a.py").write_text("def score(problem, completion):\n    return 1.0\n")
    (tmp_path / "graders_b.py").write_text(
        "import importlib\n\nscore = importlib.import_module('graders' + '_a').score\n"
    )

    def code(path: str) -> str | None:
        return make_reward(RewardConfig(function=path)).code

    direct, imported = code("graders_a:score"), code("graders_b:score")
    assert direct == code("graders_a:score")
    assert len({direct, imported, None}) == 3
    (tmp_path / "graders_a.py").write_text("def score(problem, completion):\n    return 0.0\n")
    assert direct != code("graders_a:score")
    assert imported != code("graders_b:score"), "the function is defined in the other file"
    assert code("verify") is code("p2o.rewards:first_line") is None


class AsyncJudge:
    """What stands under the text of a completion is awaited; counts the calls under way."""

    def __init__(self, **actions: Callable[[], Awaitable[Any]]) -> None:
        async def good() -> float:
            return 1.0

        self.actions = {"good": good, **actions}
        self.under_way = self.most = 0
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def ask(self, problem: Problem, completion: str) -> Any:
        self.loops.add(asyncio.get_running_loop())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self.actions[completion]()
        finally:
            self.under_way -= 1


@pytest.fixture
def awaited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes a coroutine function, or one that takes lists, a reward function, and asks it about texts."""
    monkeypatch.setattr("p2o.rollout.function_reward.WAITS", (0.0, 0.0))

    def make(function: Any, **settings: Any) -> Callable[..., list[float]]:
        monkeypatch.setattr(f"{__name__}.FUNCTION", function, raising=False)
        reward = make_reward(RewardConfig(function=f"{__name__}:FUNCTION", **settings))

        def ask(*texts: str) -> list[float]:
            return list(rewards_of(reward, [rollout(text) for text in texts], [GOLD] * len(texts)))

        ask.reward = reward  # type: ignore[attr-defined]
        return ask

    return make


def test_calls_of_an_async_judge_overlap_up_to_a_limit(awaited: Any) -> None:
    """Each waits until five are under way; with a limit of two none may."""
    judge = AsyncJudge()

    async def waits() -> float:
        while judge.most < 5:
            await asyncio.sleep(0)
        return 0.5

    judge.actions["waits"] = waits
    ask = awaited(judge.ask)
    assert ask(*["waits"] * 5) == [0.5] * 5
    assert judge.most == 5
    judge.most = 0
    judge.actions["good"] = partial(asyncio.sleep, 0, 1.0)
    ask = awaited(judge.ask, concurrency=2)
    assert ask(*["good"] * 7) == [1.0] * 7
    assert judge.most == 2
    assert ask("good") == [1.0]
    assert len(judge.loops) == 2, "one for each reward function, whose clients are bound to it"


def test_an_object_may_be_an_async_judge(awaited: Any) -> None:
    """Its class is none: to call it makes an object."""

    class Judge(AsyncJudge):
        async def __call__(self, problem: Problem, completion: str) -> Any:
            return await self.ask(problem, completion)

    ask = awaited(Judge())
    assert ask.reward.judges_beside(apart=False)
    assert ask("good", "good") == [1.0, 1.0]
    assert not CountingReward(Judge, "m:Judge").is_async  # type: ignore[arg-type]


async def exits() -> None:
    sys.exit(0)


async def leaves() -> None:
    os._exit(0)


async def fails() -> None:
    raise ValueError("no such text")


async def is_cancelled() -> None:
    raise asyncio.CancelledError


async def never_comes() -> None:
    await asyncio.Event().wait()


async def blocks() -> None:
    threading.Event().wait()


@pytest.mark.parametrize(
    ("odd", "counted"),
    [
        (exits, "SystemExit: 0"),
        (leaves, "SystemExit: 0"),
        (fails, "ValueError: no such text"),
        (is_cancelled, "CancelledError: "),
        (never_comes, "OutOfTime: no result after reward.timeout_s = 0.05 s"),
    ],
)
def test_what_fails_of_an_async_judge_scores_0_and_is_counted(awaited: Any, odd: Any, counted: str) -> None:
    ask = awaited(AsyncJudge(odd=odd).ask, timeout_s=0.05)
    assert ask("good", "odd", "good") == [1.0, 0.0, 1.0]
    assert ask.reward.take_counts() == {counted: 1}


def test_an_error_of_settings_in_an_async_judge_means_the_run(awaited: Any) -> None:
    """As in any other function: what it says all completions would meet."""

    async def badly_set() -> None:
        raise ConfigError("set P2O_JUDGE")

    with pytest.raises(ConfigError, match=r"^set P2O_JUDGE$"):
        awaited(AsyncJudge(odd=badly_set).ask)("good", "odd", "good")

    def judge(problem: Problem, completion: str) -> float:
        raise ConfigError("set P2O_JUDGE")

    with pytest.raises(ConfigError, match=r"^set P2O_JUDGE$"):
        awaited(judge)("good")


def test_an_async_judge_that_does_not_await_is_ended(awaited: Any) -> None:
    ask = awaited(AsyncJudge(odd=blocks).ask, timeout_s=0.05, concurrency=1)
    assert ask("good", "odd", "good") == [1.0, 0.0, 1.0]


def test_an_async_judge_is_asked_from_within_a_loop(awaited: Any) -> None:
    """As in a notebook, whose cells run in one."""
    judge = AsyncJudge(odd=fails, late=never_comes)
    ask = awaited(judge.ask, timeout_s=0.05)

    async def cell() -> list[float]:
        return list(ask("good", "odd", "late"))

    for _ in range(2):
        assert asyncio.run(cell()) == [1.0, 0.0, 0.0]
    assert len(judge.loops) == 1


def test_an_async_judge_that_was_asked_from_within_a_loop_stays_in_its_own(awaited: Any) -> None:
    """In a notebook with `rollout.ahead` evaluations are judged there, rollouts from a thread that has no loop."""
    judge = AsyncJudge()
    ask = awaited(judge.ask)

    async def cell() -> list[float]:
        return list(ask("good"))

    assert asyncio.run(cell()) == [1.0]
    assert ask("good", "good") == [1.0, 1.0]
    assert len(judge.loops) == 1, "its clients are bound to it"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, even if whoever started the tests has it ignored (a shell, for jobs in the background)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_an_async_judge_means_the_run(awaited: Any) -> None:
    async def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    ask = awaited(AsyncJudge(odd=interrupted).ask)
    with pytest.raises(KeyboardInterrupt):
        ask("good", "odd")
    assert ask("good") == [1.0]


def test_a_judge_of_many_is_called_once(awaited: Any) -> None:
    calls = []

    def judge(problems: list[Problem], completions: list[str]) -> list[float]:
        calls.append(completions)
        assert [problem.gold for problem in problems] == ["1"] * len(completions)
        return [len(text) / 10 for text in completions]

    async def judge_async(problems: list[Problem], completions: list[str]) -> tuple[float, ...]:
        return tuple(judge(problems, completions))

    for function in (judge, judge_async):
        assert awaited(function)("a", "bb", "ccc") == [0.1, 0.2, 0.3]
    assert calls == [["a", "bb", "ccc"]] * 2
    assert awaited(judge)() == []


@pytest.mark.parametrize("given", [[1.0], 1.0, None, [1.0, 2.0], [1.0, "1"], {0: 0.5, 1: 0.5}, {0.5, 1.0}])
def test_a_judge_of_many_gives_a_reward_to_each(awaited: Any, given: Any) -> None:
    ask = awaited(lambda problems, completions: given)
    with pytest.raises(RewardError, match=r"reward\.function = '.*:FUNCTION' gave ") as caught:
        ask("a", "b")
    assert "\n" not in str(caught.value)


def test_a_judge_of_many_may_give_them_one_after_the_other(awaited: Any) -> None:
    ask = awaited(lambda problems, completions: (len(text) / 10 for text in completions))
    assert ask("a", "bb") == [0.1, 0.2]


def test_what_such_a_judge_raises_on_the_way_is_an_error_of_the_call(awaited: Any) -> None:
    def judge(problems: list[Problem], completions: list[str]) -> Iterator[float]:
        def each() -> Iterator[float]:
            for text in completions:
                yield 1 / (len(text) - 1)

        return each()

    ask = awaited(judge)
    assert ask("ab", "abc") == [1.0, 0.5]
    assert [math.isnan(value) or value == 0 for value in ask("a", "ab")] == [True, True]


def test_a_judge_of_many_that_goes_down_gives_no_rewards(awaited: Any) -> None:
    """It has worked once; then none of its rewards is known, and the fifth rollout in a row ends the run."""
    answers = [[1.0], [0.5, 0.5]]

    def judge(problems: list[Problem], completions: list[str]) -> list[float]:
        if not answers:
            raise ConnectionError("down")
        return answers.pop()

    ask = awaited(judge, max_failures=4)
    assert ask("a", "b") == [0.5, 0.5]
    answers.clear()
    assert [math.isnan(value) for value in ask("c", "d")] == [True, True]
    with pytest.raises(RewardError, match="does not work: ConnectionError: down"):
        ask("e", "f", "g")
