"""SIGKILL at random moments of every phase: whatever is left on disk resumes to the unbroken run, bit for bit.

The run is forked. Its moments are counted at every file it opens to write, creates, renames or removes and at every
call of the sampler and the policy; at a random one of them it kills itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from test_train import small_run, what_happened

from p2o.loop import train
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import Ended

pytestmark = pytest.mark.usefixtures("one_thread")

FILE_EVENTS = frozenset({"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"})


class Moments:
    """Counts moments and kills the process at moment `last`."""

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.count = 0
        self.compute = 0

    def tick(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, folder: str) -> None:
        """Ticks from now on, to the end of the process."""

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            if event in FILE_EVENTS and arguments and folder in str(arguments[0]):
                self.tick()

        sys.addaudithook(audit)
        for name in ("score", "update"):
            setattr(TorchPolicy, name, self._ticking(getattr(TorchPolicy, name)))
        stream = HfSampler.stream

        def ticking(*arguments: Any, **options: Any) -> Generator[Ended]:
            self.tick()
            yield from stream(*arguments, **options)
            self.tick()

        HfSampler.stream = ticking  # type: ignore[method-assign]

    def _ticking(self, function: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self.tick()
            result = function(*arguments, **options)
            self.tick()
            return result

        return wrapper


def run_in_fork(path: Path, last: int | None) -> int | None:
    """Runs or resumes in a child. Returns the number of its moments, or None if it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run_child(path, last, writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert said.isdecimal(), said
    return int(said)


def _run_child(path: Path, last: int | None, writer: int) -> NoReturn:
    try:
        moments = Moments(last)
        moments.watch(str(path))
        train(small_run(path, resume=(path / "config.toml").exists()))
        os.write(writer, str(moments.count).encode())
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
    finally:
        os._exit(0)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    path = tmp_path_factory.mktemp("unbroken") / "run"
    moments = run_in_fork(path, None)
    assert moments is not None
    return what_happened(path), moments


def check_kills(path: Path, unbroken: tuple[dict[str, Any], int], seed: int) -> None:
    """Kills a run at two random moments, one after the other, and lets it finish."""
    expected, moments = unbroken
    rng = random.Random(seed)
    first = rng.randint(1, moments)
    assert run_in_fork(path, first) is None
    run_in_fork(path, rng.randint(1, moments - first + 30))
    run_in_fork(path, None)
    assert what_happened(path) == expected, f"seed {seed}: killed at moment {first} of {moments}"


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_at_random_resumes_to_the_unbroken_run(
    tmp_path: Path, unbroken: tuple[dict[str, Any], int], seed: int
) -> None:
    check_kills(tmp_path / "run", unbroken, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_kills(tmp_path: Path, unbroken: tuple[dict[str, Any], int], seed: int) -> None:
    check_kills(tmp_path / "run", unbroken, seed)
