"""At any moment of a run it is killed, the disk is full, a number is none, a file is damaged, a server fails. What is
left resumes to the unbroken run, bit for bit, or is refused in one line.

    make test-faults
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import harness
import pytest
from chat_server import Answer, Server, completion
from harness import SECONDS, End

from p2o.cli.main import LOST_PROCESS

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("one_thread")]

TWO_PROCESSES = ("optimizer.backend=deepspeed", "optimizer.zero_stage=2")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What the run does without a fault, and its number of operations on the disk."""
    return harness.unbroken(tmp_path_factory.mktemp("one") / "run")


@pytest.fixture(scope="module")
def two_unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The same in two processes."""
    return harness.unbroken(tmp_path_factory.mktemp("two") / "run", TWO_PROCESSES, ranks=2)


def check_resumes(path: Path, expected: dict[str, Any], story: str) -> None:
    """The run goes on to the unbroken one."""
    (end,) = harness.run(path)
    assert end == End(0, ""), f"{story}: then {end}"
    assert harness.what_happened(path) == expected, story


@pytest.mark.parametrize("seed", range(80))
def test_killed_in_the_middle_of_a_write(
    tmp_path: Path, unbroken: tuple[dict[str, Any], int], seed: int
) -> None:
    expected, count = unbroken
    random_ = random.Random(f"kill {seed}")
    path = tmp_path / "run"
    first, second = random_.randint(1, count), random_.randint(1, count)
    assert harness.run(path, fault=harness.faulty_disk(path, harness.KILL, first))[0].code is None
    harness.run(path, fault=harness.faulty_disk(path, harness.KILL, second))
    check_resumes(path, expected, f"killed at operation {first} of {count}, then at {second}")


@pytest.mark.parametrize("kind", [harness.FULL, harness.IO_ERROR], ids=["full", "input-output-error"])
@pytest.mark.parametrize("seed", range(30))
def test_the_disk_fails(tmp_path: Path, unbroken: tuple[dict[str, Any], int], kind: int, seed: int) -> None:
    expected, count = unbroken
    path = tmp_path / "run"
    number = random.Random(f"disk {kind} {seed}").randint(1, count)
    (end,) = harness.run(path, fault=harness.faulty_disk(path, kind, number))
    story = f"operation {number} of {count} failed: {end}"
    assert end.refused or end.code == 0, story
    assert "p2o" not in end.said or "Traceback" not in end.said, story
    check_resumes(path, expected, story)


@pytest.mark.parametrize("where", ["sample", "score", "update"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 0.99])
def test_not_a_number(tmp_path: Path, unbroken: tuple[dict[str, Any], int], where: str, share: float) -> None:
    path = tmp_path / "run"
    (end,) = harness.run(path, fault=harness.not_a_number(where, share))
    assert end.refused, end
    check_resumes(path, unbroken[0], f"NaN in {where}, {share} of the calls: {end}")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file(tmp_path: Path, unbroken: tuple[dict[str, Any], int], seed: int) -> None:
    """A resumed run that reads it is refused, unless the damage makes no difference."""
    expected, count = unbroken
    random_ = random.Random(f"damage {seed}")
    path = tmp_path / "run"
    while not (path / "checkpoints" / "LATEST").exists():
        number = random_.randint(1, count)
        harness.run(path, fault=harness.faulty_disk(path, harness.KILL, number))
    file = random_.choice(harness.used_by_resume(path))
    kind = random_.choice(["bit", "bit", "cut", "empty"])
    harness.damage(file, kind, random_.random())
    (end,) = harness.run(path)
    story = f"killed at {number} of {count}, then {kind} of {file.relative_to(path)}: {end}"
    if not end.refused:
        assert end == End(0, ""), story
        assert harness.what_happened(path) == expected, story


class FaultyServer:
    """A reflection model whose request number `number` ends in a fault, or every one from there on."""

    def __init__(self) -> None:
        self.server = Server()
        self.server.answer = self.answer
        self.fault, self.number, self.for_good = "", 0, False
        self.requests = 0
        self.over = threading.Event()
        self.lock = threading.Lock()

    def answer(self, body: dict[str, Any]) -> Answer:
        """A template by the request's seed, or the fault."""
        with self.lock:
            self.requests += 1
            now = self.requests == self.number or (self.for_good and self.requests > self.number)
        if not now or not self.fault:
            return completion(f"```\nMind the {body['seed'] % 97} of it. Then answer.\n```")
        if self.fault == "hangs":
            self.over.wait(SECONDS)
        if self.fault == "closes":
            raise ConnectionError
        return (503, {"error": {"message": "busy"}}) if self.fault == "busy" else (200, b'{"choices": [{')

    def settings(self) -> list[str]:
        """Of a run that reflects with it."""
        endpoint = f'{{model = "m", base_url = "{self.server.url}", timeout_s = 1.0, api_key_env = "NO_KEY"}}'
        return [f"reflection.endpoint={endpoint}", "reflection.kind=openai", "reflection.prompt=default"]


@pytest.fixture(scope="module")
def reflected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyServer, dict[str, Any], int]]:
    """A server, what a run with it does without a fault, and the number of its requests."""
    faulty = FaultyServer()
    expected, _ = harness.unbroken(tmp_path_factory.mktemp("reflected") / "run", faulty.settings())
    yield faulty, expected, faulty.requests
    faulty.over.set()
    faulty.server.close()


@pytest.mark.parametrize("fault", ["hangs", "closes", "busy", "breaks off"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("seed", range(2))
def test_the_reflection_server_fails(
    tmp_path: Path,
    reflected: tuple[FaultyServer, dict[str, Any], int],
    fault: str,
    for_good: bool,
    seed: int,
) -> None:
    """Once: the request is repeated. For good: the prompt step ends, not the run."""
    faulty, expected, requests = reflected
    faulty.requests, faulty.fault, faulty.for_good = 0, fault, for_good
    faulty.number = random.Random(f"server {fault} {for_good} {seed}").randint(1, requests)
    path = tmp_path / "run"
    (end,) = harness.run(path, faulty.settings(), harness.no_waiting)
    faulty.fault = ""
    assert end.code == 0, f"{fault} at {faulty.number} of {requests}: {end}"
    assert "Traceback" not in end.said
    if not for_good:
        assert harness.what_happened(path) == expected


@pytest.mark.parametrize("seed", range(10))
def test_one_of_two_processes_is_killed(
    tmp_path: Path, two_unbroken: tuple[dict[str, Any], int], seed: int
) -> None:
    expected, count = two_unbroken
    path = tmp_path / "run"
    number = random.Random(f"two {seed}").randint(1, count)
    harness.run(path, TWO_PROCESSES, harness.faulty_disk(path, harness.KILL, number), ranks=2)
    check_two_resume(path, expected, TWO_PROCESSES, f"killed at {number} of {count}")


def check_two_resume(path: Path, expected: dict[str, Any], settings: Sequence[str], story: str) -> None:
    """The run of two processes goes on to the unbroken one."""
    ends = harness.run(path, settings, ranks=2)
    assert [end.code for end in ends] == [0, 0], f"{story}: then {ends}"
    assert harness.what_happened(path) == expected, story


def check_one_tells(ends: list[End], story: str) -> None:
    """One process says in one line what it was; the others say nothing, or that they have lost it."""
    if any(end.code != 0 for end in ends):
        assert all(end.code == 2 and (end.refused or not end.said) for end in ends), story
        assert sum(end.refused and end.said.strip() != LOST_PROCESS for end in ends) == 1, story


@pytest.mark.parametrize("kind", [harness.FULL, harness.IO_ERROR], ids=["full", "input-output-error"])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_the_disk_of_one_of_two_processes_fails(
    tmp_path: Path, two_unbroken: tuple[dict[str, Any], int], kind: int, rank: int, seed: int
) -> None:
    expected, count = two_unbroken
    path = tmp_path / "run"
    number = random.Random(f"two disks {kind} {rank} {seed}").randint(1, count)
    fault = harness.faulty_disk(path, kind, number)
    ends = harness.run(path, TWO_PROCESSES, fault, ranks=2, faulty_rank=rank)
    story = f"operation {number} of {count} failed in process {rank}: {ends}"
    check_one_tells(ends, story)
    check_two_resume(path, expected, TWO_PROCESSES, story)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_not_a_number_in_one_of_two_processes(
    tmp_path: Path, two_unbroken: tuple[dict[str, Any], int], rank: int, share: float
) -> None:
    path = tmp_path / "run"
    fault = harness.not_a_number("sample", share)
    ends = harness.run(path, TWO_PROCESSES, fault, ranks=2, faulty_rank=rank)
    story = f"NaN in process {rank}, {share} of the calls: {ends}"
    check_one_tells(ends, story)
    check_two_resume(path, two_unbroken[0], TWO_PROCESSES, story)


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_of_two_processes(
    tmp_path: Path, two_unbroken: tuple[dict[str, Any], int], seed: int
) -> None:
    """One that a process alone reads as well: its part of the optimizer's state."""
    expected, count = two_unbroken
    random_ = random.Random(f"two damages {seed}")
    path = tmp_path / "run"
    while not (path / "checkpoints" / "LATEST").exists():
        number = random_.randint(count // 2, count)
        harness.run(path, TWO_PROCESSES, harness.faulty_disk(path, harness.KILL, number), ranks=2)
    file = random_.choice(harness.used_by_resume(path))
    kind = random_.choice(["bit", "bit", "cut", "empty"])
    harness.damage(file, kind, random_.random())
    ends = harness.run(path, TWO_PROCESSES, ranks=2)
    story = f"killed at {number} of {count}, then {kind} of {file.relative_to(path)}: {ends}"
    if not any(end.refused for end in ends):
        assert [end.code for end in ends] == [0, 0], story
        assert harness.what_happened(path) == expected, story


@pytest.mark.parametrize("fault", ["hangs", "closes", "busy", "breaks off"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_the_reflection_server_of_two_processes_fails(tmp_path: Path, fault: str, for_good: bool) -> None:
    """Only the first process asks it, and both go on alike."""
    faulty = FaultyServer()
    settings = (*TWO_PROCESSES, *faulty.settings())
    expected, _ = harness.unbroken(tmp_path / "unbroken", settings, ranks=2)
    requests = faulty.requests
    faulty.requests, faulty.fault, faulty.for_good = 0, fault, for_good
    faulty.number = random.Random(f"two, server {fault} {for_good}").randint(1, requests)
    path = tmp_path / "run"
    ends = harness.run(path, settings, harness.no_waiting, ranks=2, faulty_rank=0)
    faulty.fault = ""
    faulty.over.set()
    faulty.server.close()
    assert [end.code for end in ends] == [0, 0], f"{fault} at {faulty.number} of {requests}: {ends}"
    assert not any("Traceback" in end.said for end in ends)
    if not for_good:
        assert harness.what_happened(path) == expected
