"""What starting vLLM in the trainer's process takes: the process stays as it was, and other engines are left alone."""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections import UserDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from p2o.distributed import Processes


@contextmanager
def undisturbed() -> Iterator[None]:
    """Lets vLLM start in this process and without its log, unless the environment says otherwise, and keeps what it
    resets there: seeds, `torch.set_num_threads`, LOCAL_WORLD_SIZE."""
    set_num_threads, threads = torch.set_num_threads, torch.get_num_threads()
    variables = {
        name: os.environ.get(name) for name in ("LOCAL_WORLD_SIZE", "VLLM_ENABLE_V1_MULTIPROCESSING")
    }
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpu_states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if gpu_states:
            torch.cuda.set_rng_state_all(gpu_states)
        torch.set_num_threads = set_num_threads
        set_num_threads(threads)
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def plain_modules() -> Iterator[None]:
    """Keeps vLLM's search for kernels, in the attributes of all modules, away from objects that cannot be searched.

    vLLM 0.32 takes `__dict__` of every attribute for a dictionary. That of llvmlite's library is a function of it.
    numba loads llvmlite, and vLLM's n-gram guessing loads numba: after that, no engine started in the process.
    """
    from vllm.triton_utils import dispatcher

    dispatcher.sys = SimpleNamespace(modules=_SearchableModules())
    try:
        yield
    finally:
        dispatcher.sys = sys


class _SearchableModules(UserDict[str, Any]):
    """`sys.modules`, whose values are the modules that vLLM can search."""

    def __init__(self) -> None:
        self.data = sys.modules

    def values(self) -> Any:
        return [module for module in list(self.data.values()) if _can_be_searched(module)]


def _can_be_searched(module: Any) -> bool:
    values = list(getattr(module, "__dict__", {}).values())
    return all(isinstance(getattr(value, "__dict__", {}), Mapping) for value in values)


@contextmanager
def own_shared_memory(processes: Processes) -> Iterator[None]:
    """Gives the shared memory of engines on a CPU a name of this launch.

    vLLM 0.32 calls it the same in every launch of several processes: a second launch on the machine does not start, and
    none does after one that was killed while it started, which leaves its memory in `/dev/shm`.
    """
    if processes.size == 1:
        yield
        return
    from vllm.distributed.device_communicators.cpu_communicator import _CPUSHMDistributed

    launch = processes.broadcast(uuid.uuid4().hex)
    name = _CPUSHMDistributed.make_group_name

    def own_name(communicator: Any) -> str:
        return f"p2o-{launch}-{name(communicator).lstrip('/')}"

    _CPUSHMDistributed.make_group_name = staticmethod(own_name)
    try:
        yield
    finally:
        _CPUSHMDistributed.make_group_name = staticmethod(name)
