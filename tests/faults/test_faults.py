"""At any moment of a run it is killed, the disk is full, a number is none, a file is damaged. What is
left resumes to the unbroken run, bit for bit, or is refused in one line.

    make test-faults
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import harness
import pytest
from harness import TWO_PROCESSES, End

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What the run does without a fault, and its number of operations on the disk."""
    return harness.unbroken(tmp_path_factory.mktemp("one") / "run")


@pytest.fixture(scope="module")
def two_unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """The same in two processes."""
    return harness.unbroken(tmp_path_factory.mktemp("two") / "run", TWO_PROCESSES, ranks=2)


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
    harness.check_resumes(path, expected, f"killed at operation {first} of {count}, then at {second}")


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
    harness.check_resumes(path, expected, story)


@pytest.mark.parametrize("where", ["sample", "score", "update"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 0.99])
def test_not_a_number(tmp_path: Path, unbroken: tuple[dict[str, Any], int], where: str, share: float) -> None:
    path = tmp_path / "run"
    (end,) = harness.run(path, fault=harness.not_a_number(where, share))
    assert end.refused, end
    harness.check_resumes(path, unbroken[0], f"NaN in {where}, {share} of the calls: {end}")


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


@pytest.mark.parametrize("seed", range(10))
def test_one_of_two_processes_is_killed(
    tmp_path: Path, two_unbroken: tuple[dict[str, Any], int], seed: int
) -> None:
    expected, count = two_unbroken
    path = tmp_path / "run"
    number = random.Random(f"two {seed}").randint(1, count)
    harness.run(path, TWO_PROCESSES, harness.faulty_disk(path, harness.KILL, number), ranks=2)
    harness.check_two_resume(path, expected, TWO_PROCESSES, f"killed at {number} of {count}")


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
    harness.check_one_tells(ends, story)
    harness.check_two_resume(path, expected, TWO_PROCESSES, story)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_not_a_number_in_one_of_two_processes(
    tmp_path: Path, two_unbroken: tuple[dict[str, Any], int], rank: int, share: float
) -> None:
    path = tmp_path / "run"
    fault = harness.not_a_number("sample", share)
    ends = harness.run(path, TWO_PROCESSES, fault, ranks=2, faulty_rank=rank)
    story = f"NaN in process {rank}, {share} of the calls: {ends}"
    harness.check_one_tells(ends, story)
    harness.check_two_resume(path, two_unbroken[0], TWO_PROCESSES, story)


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
