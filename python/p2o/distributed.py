"""The processes of a run: one, or as many as `torchrun` or `deepspeed` started, over any number of nodes.

Every rank holds the same problems, rollouts and loop state; what is shared out is the work: scoring, forward and
backward passes in equal shares; sampling from one queue, since nobody knows how long a completion will be. Objects
travel over a gloo group of their own, so that a rank may wait for a slow reflection API without running into NCCL's
timeout.
"""

from __future__ import annotations

import os
import pickle
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast
from zlib import crc32

from p2o.errors import (
    ConfigError,
    P2oError,
    ReflectionError,
    RunDirectoryError,
    TrainingError,
    brief,
    in_one_line,
)
from p2o.heartbeat import start_heartbeat, stop_heartbeat
from p2o.store import CONTROL_TIMEOUT, Notices, WorkQueue

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Processes:
    """This process among the others. Every method that talks to them must be called by all ranks, in one order."""

    rank: int = 0
    size: int = 1
    group: Any = None
    """The process group that objects travel over; None in a run of one process."""
    store: Any = None
    """The launch's key-value store (`torch.distributed.Store`), see `p2o.store`; None in a run of one process."""
    _names: Iterator[int] = field(default_factory=count, init=False, repr=False, compare=False)

    def apart(self) -> Processes:
        """The same processes over a group of their own, for a thread that talks to the others beside this one."""
        if self.size == 1:
            return self
        return replace(self, group=_control_group(), store=_control_store())

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and talks to the console."""
        return self.rank == 0

    def share(self, items: Sequence[T], team: int = 1) -> Sequence[T]:
        """The items that are this rank's work: neighbours, so that the rollouts of a group stay together.

        `team` neighbouring ranks work as one, on the same items.
        """
        teams = self.size // team
        start, end = (len(items) * rank // teams for rank in (self.rank // team, self.rank // team + 1))
        return items[start:end]

    def map(
        self, function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T], team: int = 1
    ) -> list[R]:
        """`function` of the items, each rank (or `team` of ranks) doing its share; every rank gets the whole, in order.

        What it raises on one rank is raised on all: none is left waiting.
        """
        parts = self._each(lambda: function(self.share(items, team)))
        return [result for part in parts[::team] for result in part]

    def deal(
        self, function: Callable[[Iterator[int]], Mapping[K, R]], pieces: int, team: int = 1
    ) -> dict[K, R]:
        """Deals out the numbers of `pieces` of work: each rank (or `team` of ranks) gets the next when it asks for it.

        `function` asks for as many as it has room for; the first number is always that of the rank or team. Every rank
        gets what all of them found. What one raises is raised on all, none of which gets another number.
        """
        if self.size == team:
            parts = self._each(lambda: function(iter(range(pieces))))
        else:
            queue = WorkQueue(f"queue {next(self._names)}", self.store, pieces, self.rank, self.size, team)
            parts = self._each(lambda: queue.drawn_by(function))
            queue.clear()
        return {key: found for part in parts[::team] for key, found in part.items()}

    def notices(self) -> Notices[Any]:
        """What ranks tell each other while each is at work on its own."""
        return Notices(f"notices {next(self._names)}", self.store, self.size)

    def _each(self, function: Callable[[], T]) -> list[T]:
        """What `function` returns on each rank. What it raises on one is raised on all: none is left waiting."""
        if self.size == 1:
            return [function()]
        found: Any = None
        failure: Exception | None = None
        try:
            found = function()
        except Exception as error:
            failure = error
        outcomes = self.gather((found, None if failure is None else _sendable(failure)))
        for _, raised in outcomes:
            if raised is not None:
                raise _everywhere(raised) from failure  # whose traceback tells where it was raised
        return [found for found, _ in outcomes]

    def on_main(self, function: Callable[[], T]) -> T:
        """What `function` returns on rank 0, on every rank. What it raises there is raised everywhere."""
        return self.lead({}, lambda _: function())

    def lead(
        self, actions: Mapping[str, Callable[..., Any]], main: Callable[[Mapping[str, Callable[..., Any]]], T]
    ) -> T:
        """Runs `main` on rank 0 alone, but whenever it calls one of the `actions`, all ranks perform it together.

        Args:
            actions: by name; they may talk to the other ranks, and are called with rank 0's arguments.
            main: gets the actions as they are to be called.

        Returns:
            What `main` returned, on every rank.
        """
        if self.size == 1:
            return main(actions)
        if not self.is_main:
            while True:
                kind, name, values = self.broadcast(("", "", ()))
                if kind == "return":
                    return cast("T", values)
                if kind == "raise":
                    raise _everywhere(cast("BaseException", values))
                # Rank 0 has met the same error, and may go on: a failed reflection ends the prompt step, not the run.
                with suppress(ReflectionError):
                    actions[name](*values)

        def called(name: str) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                self.broadcast(("call", name, arguments))
                return actions[name](*arguments)

            return call

        try:
            result = main({name: called(name) for name in actions})
        except BaseException as error:
            # Where an action failed on all ranks the others are gone, and what that does here must not hide the error.
            with suppress(Exception):
                self.broadcast(("raise", "", _sendable(error)))
            raise
        self.broadcast(("return", "", result))
        return result

    def require_same(self, facts: Mapping[str, Any]) -> None:
        """Compares what every rank must have alike: ranks that differ would train different models, or wait for ever.

        Raises:
            ConfigError: on all ranks, naming the first fact that differs and a rank that has another value.
        """
        everyone = self.gather(dict(facts))
        first = everyone[0]
        for rank, theirs in enumerate(everyone):
            for name in sorted(first.keys() | theirs.keys()):
                if theirs.get(name) != first.get(name):
                    raise _everywhere(
                        ConfigError(
                            f"rank {rank} has another {name} than rank 0 ({brief(theirs.get(name))}, not "
                            f"{brief(first.get(name))}): start all ranks with the same settings, files and packages"
                        )
                    )

    def require_shared(self, folder: Path) -> None:
        """Makes sure that a folder is the same one for every rank: what rank 0 writes there the others find.

        Raises:
            RunDirectoryError: on all ranks, naming a rank and its node.
        """
        if self.size == 1:
            return
        mark = folder / f".p2o-launch-{self.broadcast(secrets.token_hex(8))}"

        def write() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch()

        self.on_main(write)
        seen = self.gather((_appears(mark), socket.gethostname()))
        if self.is_main:
            mark.unlink(missing_ok=True)
        for rank, (found, node) in enumerate(seen):
            if not found:
                raise _everywhere(
                    RunDirectoryError(
                        f"{folder}: not the same folder on every node, for rank {rank} on {node} does not find what "
                        "rank 0 writes there: set run.output to a folder that all nodes share"
                    )
                )

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    @contextmanager
    def raising_on_all(self) -> Iterator[None]:
        """What of p2o's errors is raised within on any rank is raised at the end on every rank: the others would wait
        for it at the next collective."""
        error: P2oError | None = None
        try:
            yield
        except P2oError as raised:
            error = raised
        failures = [failure for failure in self.gather(error) if failure is not None]
        if failures:
            raise _everywhere(failures[0]) from error

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group)
        return box[0]


def is_told_elsewhere(error: BaseException) -> bool:
    """Whether another rank of this node says the same.

    What all have met together its first rank says, and so it is with p2o's errors before they have joined, which are
    about settings that all have read. Later each may meet one by itself: who is the first to meet it says it.
    """
    if getattr(error, "everywhere", False):
        return local_rank() > 0
    if not _joined():
        return local_rank() > 0 and isinstance(error, P2oError)
    import torch.distributed as dist

    node, text = dist.get_rank() - local_rank(), repr(error).encode(errors="replace")
    with suppress(RuntimeError):  # torch's: the store has gone with its process
        store = dist.distributed_c10d._get_default_store()
        return int(store.add(f"p2o/told/{node}/{crc32(text)}", 1)) > 1
    return False


def _joined() -> bool:
    """Whether this process is among others that it can talk to."""
    if "torch" not in sys.modules:
        return False
    import torch.distributed as dist

    return bool(dist.is_available() and dist.is_initialized())


def _everywhere(error: BaseException) -> BaseException:
    error.everywhere = True  # type: ignore[attr-defined]
    return error


def _sendable(error: BaseException) -> BaseException:
    """The error, or what it says, where it is of a class of others whose objects cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # what its class may raise
        return RuntimeError(in_one_line(error))
    return error


SHARED_WITHIN = (0.1, 0.4, 1.5, 3.0)
"""Seconds between looks for a file that another node has written: network file systems may show it late."""


def _appears(path: Path) -> bool:
    """Whether a file is there, now or soon."""
    for wait in SHARED_WITHIN:
        if path.exists():
            return True
        time.sleep(wait)
    return path.exists()


ONE_PROCESS = Processes()
"""A run of one process."""


def leave_processes() -> None:
    """Leaves the process group, if there is one: torch warns of one that is left open at the end."""
    stop_heartbeat()
    if _joined():
        import torch.distributed as dist

        dist.destroy_process_group()


def launched_size() -> int:
    """How many processes the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_size() -> int:
    """Processes of the run on this node: torchrun and deepspeed have a name each for it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("LOCAL_SIZE") or "1")


def local_rank() -> int:
    """This process among those of its node; 0 without a launcher."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def let_threads_sleep() -> None:
    """Torch's threads wait for each other asleep unless the environment says otherwise; before torch is imported.

    By OpenMP's default they spin: on two cores that others used too, small matrix products took 11 times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_STORES = count()


def join_processes() -> Processes:
    """Joins the processes started by `torchrun` or `deepspeed`; one process where there was no launcher.

    The process group is set up here and nowhere else, before DeepSpeed or vLLM see it: an engine that comes first
    would leave DeepSpeed alone in a group of one, without an error.

    Raises:
        TrainingError: if the group that forms is not the one that was launched.
    """
    size = launched_size()
    if size == 1:
        return ONE_PROCESS
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if torch.cuda.is_available():
            if local_rank() < torch.cuda.device_count():  # beyond, only model.device = "cpu" can be meant
                torch.cuda.set_device(local_rank())
            dist.init_process_group("cpu:gloo,cuda:nccl")
        else:
            dist.init_process_group("gloo")
    if dist.get_world_size() != size:
        raise TrainingError(
            f"{size} processes were launched, but the process group has {dist.get_world_size()}: something set it up "
            "before p2o did"
        )
    processes = Processes(dist.get_rank(), size, _control_group(), _control_store())
    if size > local_size():
        found = processes.gather((local_rank(), socket.gethostname()))
        nodes = {rank: name for rank, (local, name) in enumerate(found) if local == 0}
        if processes.rank in nodes:
            start_heartbeat(processes.rank, nodes)
    return processes


def _control_group() -> Any:
    """A group of all processes for what travels between them beside tensors."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=CONTROL_TIMEOUT)


def _control_store() -> Any:
    """A part of its own of the store by which the processes found each other, for which torch has no public name."""
    import torch.distributed as dist

    return dist.PrefixStore(f"p2o {next(_STORES)}", dist.distributed_c10d._get_default_store())
