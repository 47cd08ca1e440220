"""At any moment of a run a server that it asks fails: the one that samples, or the one that reflects. A request is
repeated, and the run is the unbroken one; or it ends in one line and goes on to the unbroken one when the server works
again. Without a reflection model the prompt step ends, and not the run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from chat_server import completion
from harness import TWO_PROCESSES, End
from model_server import BROKEN, COMPLETIONS, DAMAGES, OF_ANY_CALL, FaultyServer, ModelServer

from p2o.model.load import load_model
from p2o.rollout.encode import end_ids, pad_id
from p2o.tiny import MODEL_PATH

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("one_thread")]

SLOW = ("hangs", "drips", "drips its head")

TIMEOUT_S = 1.5
"""Of a run whose server is slow. Elsewhere a busy machine must not meet the limit."""

PUSH = (
    "/start_weight_update",
    "/update_weights",
    "/finish_weight_update",
    "p2o_missing_weights",
    "/reset_prefix_cache",
)
PARTS = {"sample": (COMPLETIONS,), "push": PUSH, "start": ("/health", "p2o_describe")}
"""Calls by what a run does."""


def fail(server: FaultyServer, fault: str, calls: tuple[str, ...], number: int, *, for_good: bool) -> None:
    """Makes call `number` of these fail, or all that come from there on, whatever they are."""
    server.calls.clear()
    begun = False

    def fault_of(_: int, call: str) -> str:
        nonlocal begun
        now = not begun and call in calls and sum(name in calls for name in server.calls) == number
        begun = begun or now
        if for_good and begun:
            return fault if fault not in DAMAGES or call in calls else ""
        return fault if now else ""

    server.fault_of = fault_of


def heal(server: FaultyServer) -> None:
    """The server works again."""
    server.fault_of = lambda number, call: ""
    if not server.thread.is_alive():
        server.listen()


class Sampling:
    """The server that samples, what a run with it does without a fault, and how many calls of each part it makes."""

    def __init__(self, folder: Path, *settings: str, ranks: int = 1) -> None:
        model, tokenizer = load_model(MODEL_PATH)
        self.server = ModelServer(model, end_ids(model, tokenizer), pad_id=pad_id(tokenizer))
        self.common = settings
        self.expected, _ = harness.unbroken(folder, self.settings(), ranks=ranks)
        self.counts = {
            part: sum(call in calls for call in self.server.calls) for part, calls in PARTS.items()
        }

    def settings(self, fault: str = "") -> list[str]:
        """Of a run that samples with it."""
        timeout_s = TIMEOUT_S if fault in SLOW else 60.0
        return [
            *self.common,
            "rollout.sampler=vllm-server",
            "rollout.batch_size=8",
            f"rollout.vllm.url={self.server.url}",
            f"rollout.vllm.timeout_s={timeout_s}",
        ]


@pytest.fixture(scope="module")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampling]:
    """Of a run in one process."""
    sampling = Sampling(tmp_path_factory.mktemp("sampling") / "run")
    yield sampling
    sampling.server.close()


@pytest.fixture(scope="module")
def two_sampling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampling]:
    """Of a run in two."""
    sampling = Sampling(tmp_path_factory.mktemp("two") / "run", *TWO_PROCESSES, ranks=2)
    yield sampling
    sampling.server.close()


ONCE = [
    *(("sample", fault) for fault in (*BROKEN, *DAMAGES)),
    *(("push", fault) for fault in BROKEN),
]
FOR_GOOD = [
    *(("sample", fault) for fault in (*BROKEN, *DAMAGES, "leaves")),
    *(("push", fault) for fault in (*BROKEN, "leaves")),
    *(("start", fault) for fault in (*BROKEN, "wrong shape", "leaves")),
]


@pytest.mark.parametrize(("part", "fault"), ONCE)
def test_the_sampling_server_fails_once(tmp_path: Path, sampling: Sampling, part: str, fault: str) -> None:
    number = random.Random(f"once {part} {fault}").randint(1, sampling.counts[part])
    fail(sampling.server, fault, PARTS[part], number, for_good=False)
    path = tmp_path / "run"
    (end,) = harness.run(path, sampling.settings(fault), harness.no_waiting)
    heal(sampling.server)
    story = f"{fault} at {number} of {sampling.counts[part]} of {part}: {end}"
    assert end == End(0, ""), story
    assert harness.what_happened(path) == sampling.expected, story


@pytest.mark.parametrize(("part", "fault"), FOR_GOOD)
def test_the_sampling_server_fails_for_good(
    tmp_path: Path, sampling: Sampling, part: str, fault: str
) -> None:
    number = random.Random(f"for good {part} {fault}").randint(1, sampling.counts[part])
    fail(sampling.server, fault, PARTS[part], number, for_good=True)
    path = tmp_path / "run"
    (end,) = harness.run(path, sampling.settings(fault), harness.no_waiting)
    heal(sampling.server)
    story = f"{fault} from {number} of {sampling.counts[part]} of {part} on: {end}"
    assert end.refused, story
    harness.check_resumes(path, sampling.expected, story, sampling.settings())


@pytest.mark.parametrize("fault", ["hangs", "breaks off", "NaN"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_the_sampling_server_of_two_processes_fails(
    tmp_path: Path, two_sampling: Sampling, fault: str, for_good: bool
) -> None:
    """Each process asks it for its own share."""
    sampling, path = two_sampling, tmp_path / "run"
    number = random.Random(f"two {fault} {for_good}").randint(1, sampling.counts["sample"])
    fail(sampling.server, fault, PARTS["sample"], number, for_good=for_good)
    settings = sampling.settings(fault)
    ends = harness.run(path, settings, harness.no_waiting, ranks=2, faulty_rank=None)
    heal(sampling.server)
    story = f"{fault} at {number} of {sampling.counts['sample']}: {ends}"
    if for_good:
        assert [end.code for end in ends] == [2, 2], story
        harness.check_one_tells(ends, story)
        harness.check_two_resume(path, sampling.expected, sampling.settings(), story)
    else:
        assert [end.code for end in ends] == [0, 0], story
        assert harness.what_happened(path) == sampling.expected, story


class ReflectionServer(FaultyServer):
    """A reflection model that answers by the request's seed."""

    def answer(self, path: str, body: Any) -> Any:
        """A template."""
        return completion(f"```\nMind the {body['seed'] % 97} of it. Then answer.\n```")[1]

    def settings(self, fault: str = "") -> list[str]:
        """Of a run that reflects with it."""
        timeout_s = 1.0 if fault in SLOW else 60.0
        endpoint = f'{{model="m", base_url="{self.url}", timeout_s={timeout_s}, api_key_env="NO_KEY"}}'
        return [f"reflection.endpoint={endpoint}", "reflection.kind=openai", "reflection.prompt=default"]


REFLECT = ("/chat/completions",)


@pytest.fixture(scope="module")
def reflected(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ReflectionServer, dict[str, Any], int]]:
    """A server, what a run with it does without a fault, and the number of its requests."""
    server = ReflectionServer()
    expected, _ = harness.unbroken(tmp_path_factory.mktemp("reflected") / "run", server.settings())
    yield server, expected, len(server.calls)
    server.close()


@pytest.mark.parametrize(
    ("fault", "for_good"),
    [
        *((fault, for_good) for fault in (*BROKEN, *OF_ANY_CALL) for for_good in (False, True)),
        ("leaves", True),  # who has left does not answer the next request
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_the_reflection_server_fails(
    tmp_path: Path,
    reflected: tuple[ReflectionServer, dict[str, Any], int],
    fault: str,
    for_good: bool,
    seed: int,
) -> None:
    """Once: the request is repeated. For good: the prompt step ends, not the run."""
    server, expected, requests = reflected
    number = random.Random(f"server {fault} {for_good} {seed}").randint(1, requests)
    fail(server, fault, REFLECT, number, for_good=for_good)
    path = tmp_path / "run"
    (end,) = harness.run(path, server.settings(fault), harness.no_waiting)
    heal(server)
    assert end.code == 0, f"{fault} at {number} of {requests}: {end}"
    assert "Traceback" not in end.said
    if not for_good:
        assert harness.what_happened(path) == expected


@pytest.mark.parametrize("fault", ["hangs", "resets", "500", "breaks off"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_the_reflection_server_of_two_processes_fails(tmp_path: Path, fault: str, for_good: bool) -> None:
    """Only the first process asks it, and both go on alike."""
    server = ReflectionServer()
    settings = [*TWO_PROCESSES, *server.settings(fault)]
    expected, _ = harness.unbroken(tmp_path / "unbroken", settings, ranks=2)
    requests = len(server.calls)
    number = random.Random(f"two, server {fault} {for_good}").randint(1, requests)
    fail(server, fault, REFLECT, number, for_good=for_good)
    path = tmp_path / "run"
    ends = harness.run(path, settings, harness.no_waiting, ranks=2, faulty_rank=0)
    server.close()
    assert [end.code for end in ends] == [0, 0], f"{fault} at {number} of {requests}: {ends}"
    assert not any("Traceback" in end.said for end in ends)
    if not for_good:
        assert harness.what_happened(path) == expected
