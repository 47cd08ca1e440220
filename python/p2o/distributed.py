"""The processes of a run: one, or as many as `torchrun` or `deepspeed` started, over any number of nodes.

Every rank holds the same problems, rollouts and loop state; what is shared out is the work (sampling, scoring,
forward and backward passes). Objects travel over a gloo group of their own, so that a rank may wait for a slow
reflection API without running into NCCL's timeout.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from p2o.errors import TrainingError

T = TypeVar("T")

CONTROL_TIMEOUT = timedelta(hours=12)
"""How long a rank waits for the others: a prompt step may sit on a teacher's API for hours."""


@dataclass(frozen=True)
class World:
    """This process among the others. Every method that talks to them must be called by all ranks, in one order."""

    rank: int = 0
    size: int = 1
    group: Any = None
    """The process group that objects travel over; None in a run of one process."""

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and talks to the console."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """The items that are this rank's work."""
        return list(items[self.rank :: self.size])

    def merge(self, parts: Sequence[Sequence[T]]) -> list[T]:
        """Puts the shares of all ranks back into the order of the whole: undoes `share`."""
        merged: list[Any] = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            merged[rank :: self.size] = part
        return merged

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group)
        return box[0]


SINGLE = World()
"""A run of one process."""


def launched_size() -> int:
    """How many processes the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start_world() -> World:
    """Joins the processes started by `torchrun` or `deepspeed`; one process where there was no launcher.

    The process group is set up here and nowhere else, before DeepSpeed or vLLM see it: an engine that comes first
    would leave DeepSpeed alone in a world of one, without an error.

    Raises:
        TrainingError: if the group that forms is not the one that was launched.
    """
    size = launched_size()
    if size == 1:
        return SINGLE
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group("cpu:gloo,cuda:nccl", timeout=CONTROL_TIMEOUT)
        else:
            dist.init_process_group("gloo", timeout=CONTROL_TIMEOUT)
    if dist.get_world_size() != size:
        raise TrainingError(
            f"{size} processes were launched, but the process group has {dist.get_world_size()}: something set it up "
            "before p2o did"
        )
    control = dist.new_group(backend="gloo", timeout=CONTROL_TIMEOUT)
    return World(rank=dist.get_rank(), size=size, group=control)
