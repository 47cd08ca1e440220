"""Starts the processes of a distributed run, as `torchrun` would, and collects what a function returns in each.

`launch(2, worker_file, "function", *arguments)` runs `function(*arguments)` of `worker_file` in two processes on the
CPU (gloo). Arguments and results are JSON. If one process fails, the others are stopped and the test fails with its
output.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

TAIL = 4000
"""Characters of a failed process's output that are shown."""


def launch(ranks: int, worker: Path, function: str, *arguments: Any, timeout: float = 240.0) -> list[Any]:
    """What `function` of the file `worker` returned in each of `ranks` processes, in the order of ranks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for rank in range(ranks):
            environment = {
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(ranks),
                "LOCAL_WORLD_SIZE": str(ranks),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "DS_ACCELERATOR": "cpu",
                "CUDA_VISIBLE_DEVICES": "",
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "PASSIVE",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            }
            command = [
                sys.executable,
                __file__,
                str(worker),
                function,
                json.dumps(arguments),
                f"{folder}/{rank}.json",
            ]
            with Path(folder, f"{rank}.log").open("w") as output:
                processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))

        def finish(rank: int) -> None:
            code = processes[rank].wait(timeout)
            if code != 0:
                raise RuntimeError(f"rank {rank} of {ranks} exited with {code}")

        with ThreadPoolExecutor(ranks) as pool:
            futures = [pool.submit(finish, rank) for rank in range(ranks)]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                for process in processes:
                    if process.poll() is None:
                        process.kill()
        failures = [str(error) for future in done if (error := future.exception()) is not None]
        if failures:
            logs = [f"--- rank {r}\n{Path(folder, f'{r}.log').read_text()[-TAIL:]}" for r in range(ranks)]
            raise AssertionError("\n".join([*failures, *logs]))
        return [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(ranks)]


def main() -> None:
    """One process of a launch."""
    from importlib.util import module_from_spec, spec_from_file_location

    worker, function, arguments, result = sys.argv[1:]
    spec = spec_from_file_location(Path(worker).stem, worker)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    returned = getattr(module, function)(*json.loads(arguments))
    Path(result).write_text(json.dumps(returned))
    # The result is what counts: threads of process groups that are still open may abort an ordinary exit.
    os._exit(0)


if __name__ == "__main__":
    main()
