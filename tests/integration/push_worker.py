"""Two ranks whose server refuses pushes: what each rank of the sampler `vllm-server` finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from p2o.distributed import Processes, join_processes
from p2o.errors import P2oError
from p2o.rollout import server_client
from p2o.rollout.server_client import ServerError
from p2o.rollout.vllm_lora import AdapterPush, MergedPush
from p2o.rollout.vllm_server import ServerSampler
from p2o.rollout.vllm_weights import SentTypes, SharedMemoryTransfer

server_client.BACKOFF_S = 0.0

GROUPS = 3


class Policy:
    """Weights in groups that all ranks must ask for together, as under ZeRO-3, which gathers them."""

    def __init__(self, processes: Processes, *, broken: bool) -> None:
        sizes = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
        self.model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=1, num_key_value_heads=1))
        self.processes, self.broken, self.gathered = processes, broken, 0

    def adapter(self) -> Any:
        self.processes.gather(None)
        self.gathered += 1
        return SimpleNamespace(write=Path.mkdir)

    def weights(self, *, merged: bool = True) -> Iterator[Any]:
        for number in range(GROUPS):
            self.processes.gather(None)
            self.gathered += 1
            if self.broken and self.processes.is_main and number == 0:
                yield ["no pair of a name and a tensor"]
            else:
                yield [("lm_head.weight", torch.zeros(8, 8))]


class Control:
    """A server that answers 503 to the update of number `fails` (-1: to the start of the push; None: to nothing)."""

    def __init__(self, fails: int | None) -> None:
        self.fails, self.updates = fails, 0

    def _answer(self, number: int) -> None:
        if number == self.fails:
            raise ServerError("overloaded", 503)

    def start_weight_update(self) -> None:
        self._answer(-1)

    def update_weights(self, update: dict[str, Any]) -> None:
        self._answer(self.updates)
        self.updates += 1

    def finish_weight_update(self, version: str) -> None:
        self._answer(GROUPS)

    def call(self, method: str) -> list[str]:
        return []


class Transfer:
    """A `SharedMemoryTransfer` to one server after another: each attempt meets the next."""

    def __init__(self, failures: list[int | None]) -> None:
        self.controls = map(Control, failures)

    def push(self, groups: Any, version: str) -> None:
        SharedMemoryTransfer(
            next(self.controls), SentTypes(torch.float32, torch.float32), Path("/dev/shm")
        ).push(groups, version)  # type: ignore[arg-type]


class Slot:
    """A place for adapters on a server that is overloaded the first `failures` times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def load(self, folder: Path, name: str) -> str:
        self.failures -= 1
        if self.failures >= 0:
            raise ServerError("overloaded", 503)
        return name


def pushes(
    processes: Processes,
    failures: list[int | None],
    *,
    dropped: bool = True,
    broken: bool = False,
    slot: Slot | None = None,
) -> dict[str, Any]:
    """What a `sync` comes to whose attempts meet `failures`; `dropped`: whether the server drops its prefix cache.
    With a `slot` for adapters, where there are weights already."""
    policy = Policy(processes, broken=broken)
    sampler: Any = object.__new__(ServerSampler)
    sampler.processes, sampler.url, sampler.way = processes, "http://host", None
    sampler.version, sampler.pushes, transfer = "p2o-0", 0, Transfer(failures)
    sampler.pusher = (
        MergedPush(transfer) if slot is None else AdapterPush(transfer, slot, Path("/dev/shm"))  # type: ignore[arg-type]
    )
    sampler.client = SimpleNamespace(post=lambda path, body, read: read({"success": dropped}))
    try:
        sampler.sync(policy)
        said = ""
    except P2oError as error:
        said = f"{type(error).__name__}: {error}"
    return {"version": sampler.version, "said": said, "gathered": policy.gathered}


def everything() -> list[dict[str, Any]]:
    """One `sync` after another."""
    processes = join_processes()
    return [
        pushes(processes, [None]),
        pushes(processes, [-1, None]),
        pushes(processes, [0, GROUPS, None]),
        pushes(processes, [1, 2, 0]),
        pushes(processes, [None], dropped=False),
        pushes(processes, [None], broken=True),
        pushes(processes, [], slot=Slot(0)),
        pushes(processes, [None], slot=Slot(1)),
        pushes(processes, [1, None], slot=Slot(1)),
    ]
