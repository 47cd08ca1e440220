"""A training step beside TRL's: `benches/bench_train.py` at the sizes of a GPU, each side in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lane_case import Failed, Lane, Values, model_folder, require

import bench_train

SIZES = ((32, 6), (128, 16))
"""Problems a step, and rollouts a problem."""


def measure(lane: Lane, side: str, problems: int, n: int) -> Values:
    """Medians of a side's steps."""
    if side.startswith("TRL"):
        require("trl", "datasets")
    if side.endswith("vllm"):
        require("vllm")
    rows = problems * n
    options: dict[str, Any] = {
        "--model": model_folder(lane),
        "--dtype": "float32" if lane.rehearse else "bfloat16",
        "--steps": 1 if lane.rehearse else 3,
        "--problems-per-step": problems,
        "--n": n,
        "--max-tokens": 8 if lane.rehearse else 128,
        "--sampling-batch": rows,
        "--trl-batch": max(size for size in range(1, 129) if rows % size == 0),
        "--micro-batch-tokens": 512 if lane.rehearse else 16384,
        "--threads": 1,
    }
    args = bench_train.make_parser().parse_args([str(x) for pair in options.items() for x in pair])
    file = lane.scratch("problems") / f"{problems}.jsonl"
    made = bench_train.arithmetic((args.steps + 1) * problems + 1)
    file.write_text("".join(json.dumps(problem) + "\n" for problem in made))
    result = bench_train.measure(args, file, side, args.dtype[0])
    if "error" in result:
        raise Failed(result["error"])
    phases = ("total", "generation", "scoring", "update", "sync", "bookkeeping")
    return {
        "rollouts": rows,
        **{
            ("step s" if phase == "total" else f"{phase} s"): result[phase]
            for phase in phases
            if phase in result
        },
        "response tokens": result["response_tokens"],
        "tokens/s": result["tokens"] / result["total"],
        **({"peak GiB": result["peak_gib"]} if "peak_gib" in result else {}),
    }


def main() -> None:
    lane = Lane()
    for problems, n in ((2, 2),) if lane.rehearse else SIZES:
        for side in ("p2o hf", "TRL"):
            name = f"{side}, {problems} problems x {n}"
            lane.case(name, lambda s=side, p=problems, n=n: measure(lane, s, p, n), 120)  # type: ignore[misc]


if __name__ == "__main__":
    assert Path(bench_train.__file__).parent == Path(__file__).parents[2], sys.path
    main()
