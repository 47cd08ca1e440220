"""One process of `test_evaluations.py`: an evaluation that is shared out."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

from p2o.cli.main import main
from p2o.distributed import local_rank
from p2o.rollout.hf import HfSampler


def evaluate(folder: str, arguments: list[str]) -> list[str]:
    """What `p2o` with these arguments prints in `folder`."""
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    return [str(code), out.getvalue(), err.getvalue()]


def evaluate_until_one_ends(folder: str, arguments: list[str]) -> list[str]:
    """The same, but rank 1 ends, as if killed, when it is to draw for the second time."""
    if local_rank() == 1:
        draws = 0
        stream = HfSampler.stream

        def once(*given: Any, **options: Any) -> Any:
            nonlocal draws
            draws += 1
            if draws == 2:
                Path(sys.argv[-1]).write_text("[]")  # its result, for the launcher
                os._exit(0)
            return stream(*given, **options)

        HfSampler.stream = once  # type: ignore[method-assign]
    return evaluate(folder, arguments)
