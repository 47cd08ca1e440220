"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processor import this_one_emulates_bfloat16

# Read when OpenMP starts, so before torch is imported: spinning threads starve the tests' own subprocesses.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # one core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read when trackio is imported, which others do as well.
os.environ["TRACKIO_DIR"] = str(Path(tempfile.gettempdir()) / f"p2o-trackio-{os.getpid()}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves the tests marked `bfloat16` to `make test-slow` where the processor emulates it."""
    if this_one_emulates_bfloat16():
        for item in items:
            if item.get_closest_marker("bfloat16"):
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What engines leave behind (vLLM's sockets, torchrun's logs) goes away with the tests' own folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)  # found anew, from TMPDIR
        yield
    shutil.rmtree(os.environ["TRACKIO_DIR"], ignore_errors=True)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For tests that compare bits: a forked child has one thread, and sums in another order round differently."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The tokenizer of p2o-tiny."""
    from p2o.tiny.tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.fixture(scope="session")
def shipped_tiny() -> tuple[Any, Any]:
    """The shipped model and tokenizer. Don't train it: copy it."""
    from p2o.model.load import load_model
    from p2o.tiny import MODEL_PATH

    return load_model(MODEL_PATH)


@pytest.fixture
def random_model(tokenizer: Any) -> Any:
    """A freshly initialised Llama, the same in every test."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        initializer_range=0.15,
    )
    return LlamaForCausalLM(config).eval()
