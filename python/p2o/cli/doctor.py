"""`p2o doctor`: what is installed, what works, and what to install."""

from __future__ import annotations

import argparse
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from p2o import __version__

PARTS = (
    ("torch", "training", "p2o-rl[train]"),
    ("transformers", "training", "p2o-rl[train]"),
    ("safetensors", "training", "p2o-rl[train]"),
    ("gguf", "models from .gguf files", "p2o-rl[gguf]"),
    ("openai", "reflection by an API", "p2o-rl[api]"),
    ("tensorboard", "track.tensorboard", "tensorboard"),
)
"""Package, what it is for, what to pip install."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`p2o doctor` takes no arguments."""


def run(args: argparse.Namespace) -> int:
    """Prints the report. Exit code 1 if training cannot work here."""
    print(f"p2o {__version__}, Python {platform.python_version()}, {platform.platform()}")
    usable = True
    for package, purpose, requirement in PARTS:
        try:
            print(f"  {package} {version(package)}")
        except PackageNotFoundError:
            print(f"  {package} is missing, needed for {purpose}: pip install '{requirement}'")
            usable = usable and purpose != "training"
    if usable:
        usable = _check_training_stack()
    print(
        "training works here"
        if usable
        else "training does not work here; the verifier, the front and the packer do"
    )
    return 0 if usable else 1


def _check_training_stack() -> bool:
    """Imports the training stack for real and prints the devices."""
    try:
        import torch

        import_module("transformers.models.llama.modeling_llama")
    except Exception as error:  # whatever a broken installation raises is the finding
        print(
            f"  importing torch and transformers fails: {type(error).__name__}: {str(error).splitlines()[0]}"
        )
        if find_spec("torchvision") is not None:
            print(
                "  a torchvision that does not match torch breaks transformers: pip uninstall torchvision, or match it"
            )
        return False
    print(f"  CPU threads of torch: {torch.get_num_threads()}")
    if not torch.cuda.is_available():
        print("  no GPU that torch can use")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        print(f"  GPU {index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    return True
