"""`import p2o` is light."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "vllm", "deepspeed", "openai", "datasets"]


@pytest.mark.parametrize(
    "module",
    [
        "p2o",
        "p2o.config",
        "p2o.data",
        "p2o.evolution",
        "p2o.api",
        "p2o.cli.main",
        "p2o.cli.train",
        "p2o.cli.study",
        "p2o.cli.eval",
    ],
)
def test_importing_does_not_pull_in_the_training_stack(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_names_that_are_imported_later() -> None:
    """A submodule of a function's name would hide it as soon as it is imported."""
    code = "import p2o, p2o.loop; assert all(hasattr(p2o, name) for name in p2o.__all__); assert callable(p2o.train)"
    subprocess.run([sys.executable, "-c", code], check=True)
