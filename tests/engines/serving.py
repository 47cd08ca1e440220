"""Starts `p2o serve` for the tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def served(model: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server of `model`, which ends with the block; `arguments` may end with vLLM's."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "p2o",
        "serve",
        str(model),
        "--port",
        str(port),
        "--max-model-len",
        "128",
    ]
    small = ["--kv-cache-memory-bytes", str(2**26), "--max-num-seqs", "64"]
    process = subprocess.Popen(
        [*command, *arguments, *small],
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"},
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Application startup complete" in line:
            break
    else:
        pytest.fail("the server did not start:\n" + "".join(lines[-20:]))
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    reader.start()
    while not accepts(port):  # uvicorn listens only after it has said so
        assert process.poll() is None, "the server ended"
        time.sleep(0.01)  # polling another process, not waiting for a race
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
        reader.join()
        process.stdout.close()
