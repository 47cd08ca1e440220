"""Runs with prompt steps in forked processes, and the faults that are put into them.

A fork costs no imports, so that a run takes seconds. The file system's faults come from `disk.c`, which
`make test-faults` loads before libc: it sees what Python, safetensors and anything else do with files.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import load_file

from p2o.cli.main import LOST_PROCESS, main
from p2o.evolution.endpoint import chat
from p2o.files import read_jsonl
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout import server_client
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import Ended

SETTINGS = (
    *(
        "data.train_size=16",
        "data.evaluation_size=4",
        "run.batch_problems=8",
        "run.epochs=3",
        "run.threads=1",
    ),
    *("rollout.n=2", "rollout.max_tokens=16", "mining.min_count=2", "track.rollouts=4", "checkpoint.every=1"),
    *("evolve.budget=40", "evolve.dev_size=4", "evolve.parents=2", "evolve.acceptance=strict"),
    "guidance.spend=fixed",  # a step that plain rollouts end asks no reflection model
    *('evolve.templates="tiny"', "reward.function=reward_by_coin:coin"),
)
"""Six steps, two prompt steps, seven checkpoints."""

TWO_PROCESSES = ("optimizer.backend=deepspeed", "optimizer.zero_stage=2")

KILL, FULL, IO_ERROR = 1, 2, 3
"""What happens at the chosen operation: the process is killed, the disk is full from then on, the operation fails."""

GRACE = 5
"""Seconds that the processes of a launch have when one of them has failed."""

SECONDS = 60
"""After this a run hangs."""


@dataclass(frozen=True)
class End:
    """How a process ended."""

    code: int | None
    """None: killed."""
    said: str
    """What it wrote to stderr."""

    @property
    def refused(self) -> bool:
        """Whether it ended as a user's mistake or a broken machine should: exit code 2 and one line."""
        lines = self.said.splitlines()
        return self.code == 2 and len(lines) == 1 and lines[0].startswith("error: ")


def disk() -> Any:
    """The functions of `disk.c`.

    Raises:
        RuntimeError: if it is not loaded.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "faulty_disk_arm"):
        raise RuntimeError("the faulty disk is not loaded: make test-faults")
    library.faulty_disk_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long]
    library.faulty_disk_count.restype = ctypes.c_long
    return library


def observed(path: Path) -> Callable[[], None]:
    """Nothing fails. When the process ends it writes down the number of its operations on files below `path`, and
    the modules that it has imported."""

    def arm() -> None:
        library = disk()
        library.faulty_disk_arm(f"{path}/".encode(), 0, 0)
        calls: Counter[str] = Counter()
        _count_calls(TorchPolicy, "score", calls)
        _count_calls(TorchPolicy, "update", calls)

        def counted(ended: Ended) -> Ended:
            calls["sample"] += 1
            return ended

        _change_streams(counted)

        def write() -> None:
            found = {
                "operations": library.faulty_disk_count(),
                "modules": list(sys.modules),
                "calls": calls,
            }
            path.with_suffix(".seen").write_text(json.dumps(found))

        _at_end.append(write)

    return arm


def unbroken(path: Path, settings: Sequence[str] = (), *, ranks: int = 1) -> tuple[dict[str, Any], int]:
    """What a run does without a fault, and its number of operations on the disk.

    This process then imports what that one has, so that later forks do not.
    """
    ends = run(path, settings, observed(path), ranks=ranks)
    assert [end.code for end in ends] == [0] * ranks, ends
    seen = json.loads(path.with_suffix(".seen").read_text())
    for module in seen["modules"]:
        with suppress(Exception):
            import_module(module)
    CALLS.update(seen["calls"])
    return what_happened(path), seen["operations"]


def faulty_disk(path: Path, kind: int, number: int) -> Callable[[], None]:
    """The disk fails at an operation on files below `path`."""
    return lambda: disk().faulty_disk_arm(f"{path}/".encode(), kind, number)


def not_a_number(where: str, share: float) -> Callable[[], None]:
    """NaN at a call of the sampler or the policy: in the log-probs drawn, the log-probs scored, or the weights updated.

    `share` in [0, 1) says at which of the calls that the unbroken run makes.
    """
    chosen = int(share * CALLS[where])

    def arm() -> None:
        calls = count()

        def poison(ended: Ended) -> Ended:
            if next(calls) != chosen:
                return ended
            (number, sample), *others = ended
            return [(number, replace(sample, logprobs=[math.nan] * len(sample.logprobs))), *others]

        def poisoned(self: Any, *arguments: Any, **options: Any) -> Any:
            if where == "update" and next(calls) == chosen:
                with torch.no_grad():
                    next(iter(self.model.parameters()))[0] = math.nan
            result = original(self, *arguments, **options)
            if where == "score" and len(result) > 0 and next(calls) == chosen:
                result[0][:] = math.nan
            return result

        if where == "sample":
            _change_streams(poison)
        else:
            original = getattr(TorchPolicy, where)
            setattr(TorchPolicy, where, poisoned)

    return arm


def _change_streams(change: Callable[[Ended], Ended]) -> None:
    """Changes what ends first of each stream of `hf`."""
    original = HfSampler.stream

    def stream(*arguments: Any, **options: Any) -> Generator[Ended]:
        seen = False
        for ended in original(*arguments, **options):
            yield change(ended) if ended and not seen else ended
            seen = seen or bool(ended)

    HfSampler.stream = stream  # type: ignore[method-assign]


CALLS: dict[str, int] = {}
"""Calls of `HfSampler.stream`, `TorchPolicy.score` and `.update` in the last unbroken run."""


def _count_calls(owner: type, name: str, calls: Counter[str]) -> None:
    original = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        calls[name] += len(result) > 0  # groups without signal are not scored
        return result

    setattr(owner, name, counted)


def no_waiting() -> None:
    """Requests are repeated at once, and once only."""
    chat.BACKOFF_S = server_client.BACKOFF_S = 0.0
    chat.RETRIES = server_client.RETRIES = 1


_at_end: list[Callable[[], Any]] = []


def run(
    path: Path,
    settings: Sequence[str] = (),
    fault: Callable[[], None] | None = None,
    *,
    ranks: int = 1,
    faulty_rank: int | None = -1,
) -> list[End]:
    """Runs in forked processes, one for each rank, or resumes what is in `path`.

    `fault` is put into one, the last; with a `faulty_rank` of None into all.
    """
    resume = ["--resume"] if (path / "config.toml").exists() else []
    arguments = ["train", "quickstart", *resume]
    arguments += [f"--set={setting}" for setting in (*SETTINGS, *settings, f"run.output={path}")]
    port = str(20000 + os.getpid() % 10000)
    children = []
    for rank in range(ranks):
        child = os.fork()
        if child == 0:
            if ranks > 1:
                place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
                os.environ.update({name: str(value) for name, value in place.items()})
                os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
            faulty = faulty_rank is None or rank == faulty_rank % ranks
            _child(path.with_suffix(f".{rank}.err"), arguments, fault if faulty else None)
        children.append(child)
    return _ends(path, children)


def _child(errors: Path, arguments: list[str], fault: Callable[[], None] | None) -> NoReturn:
    code = 1
    try:
        signal.alarm(SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        if fault is not None:
            fault()
        code = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            for action in _at_end:
                action()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _ends(path: Path, children: list[int]) -> list[End]:
    """Waits for all; when one has failed the others are killed after a while, as a launcher does."""
    codes: dict[int, int | None] = {}
    last = math.inf
    while len(codes) < len(children):
        child, status = os.waitpid(-1, 0 if last == math.inf else os.WNOHANG)
        if child == 0:
            time.sleep(0.02)
            if time.monotonic() > last:
                for other in children:
                    if other not in codes:
                        os.kill(other, signal.SIGKILL)
                last = math.inf
            continue
        killed = os.WIFSIGNALED(status)
        assert not killed or os.WTERMSIG(status) == signal.SIGKILL, f"signal {os.WTERMSIG(status)}"
        codes[child] = None if killed else os.WEXITSTATUS(status)
        if codes[child] != 0:
            last = time.monotonic() + GRACE
    said = [path.with_suffix(f".{rank}.err").read_text(errors="replace") for rank in range(len(children))]
    return [End(codes[child], text) for child, text in zip(children, said, strict=True)]


def what_happened(path: Path) -> dict[str, Any]:
    """What a finished run has on the disk, as far as no clock has a part in it."""
    return {
        "metrics": [
            {key: value for key, value in record.items() if not key.startswith(("time/", "sync/"))}
            for record in read_jsonl(path / "metrics.jsonl")
        ],
        "templates": read_jsonl(path / "templates.jsonl"),
        "rollouts": {file.name: file.read_text() for file in sorted((path / "rollouts").iterdir())},
        "model": {
            name: tensor.tolist() for name, tensor in load_file(path / "model" / "model.safetensors").items()
        },
    }


def damage(file: Path, kind: str, position: float) -> None:
    """Flips a bit, cuts off the end, or empties a file; `position` is in [0, 1)."""
    data = bytearray(file.read_bytes())
    place = int(position * len(data))
    if kind == "bit" and data:
        data[place] ^= 1 << (place % 8)
    file.write_bytes({"bit": bytes(data), "cut": bytes(data[:place]), "empty": b""}[kind])


def used_by_resume(path: Path) -> list[Path]:
    """Files that a resumed run reads."""
    newest = (path / "checkpoints" / "LATEST").read_text().strip()
    files = [
        path / "config.toml",
        path / "facts.json",
        path / "metrics.jsonl",
        path / "templates.jsonl",
        path / "checkpoints" / "LATEST",
        *(path / "checkpoints" / newest).rglob("*"),
        *(path / "evolve").glob("*.jsonl"),
    ]
    return sorted(file for file in files if file.is_file())


def short(values: Any) -> str:
    """For a failure's message."""
    return json.dumps(values, default=str)[:400]


def check_resumes(path: Path, expected: dict[str, Any], story: str, settings: Sequence[str] = ()) -> None:
    """The run goes on to the unbroken one."""
    (end,) = run(path, settings)
    assert end == End(0, ""), f"{story}: then {end}"
    assert what_happened(path) == expected, story


def check_two_resume(path: Path, expected: dict[str, Any], settings: Sequence[str], story: str) -> None:
    """The run of two processes goes on to the unbroken one."""
    ends = run(path, settings, ranks=2)
    assert [end.code for end in ends] == [0, 0], f"{story}: then {ends}"
    assert what_happened(path) == expected, story


def check_one_tells(ends: list[End], story: str) -> None:
    """One process says in one line what it was; the others say nothing, or that they have lost it."""
    if any(end.code != 0 for end in ends):
        assert all(end.code == 2 and (end.refused or not end.said) for end in ends), story
        assert sum(end.refused and end.said.strip() != LOST_PROCESS for end in ends) == 1, story
