"""Runs of the tiny world to compare before and after a change that must not change what a run does.

    python tests/recorded_runs.py record FOLDER           # every run below, by the p2o that this Python imports
    python tests/recorded_runs.py compare BEFORE AFTER    # the runs that differ, and in what

Equal means bit for bit: metrics (times left out), rollouts, the texts of the templates, weights. Both folders have to
come from one machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BASE = (
    "data.train_size=48",
    "data.evaluation_size=24",
    "run.epochs=3",
    "run.batch_problems=16",
    "run.threads=1",
    "mining.min_count=8",
    "evolve.budget=160",
    "evolve.dev_size=12",
    "evolve.parents=4",
    "track.rollouts=1000",
)

RUNS: dict[str, tuple[str, ...]] = {
    **{
        f"loss-{name}": (f"loss.name={name}", "loss.clip=[0.2, 0.2]")
        for name in ("dapo", "grpo", "dr_grpo", "gspo", "cispo")
    },
    **{
        f"context-{mode}": (f"context.mode={mode}", "context.c_low=0.2", "context.c_high=2.0")
        for mode in ("hard", "asymmetric", "soft", "truncated", "none")
    },
    "context-no-distill": ("context.distillation=none", "context.c_low=0.2", "context.c_high=2.0"),
    "grpo": ("run.method=grpo",),
    "kl": ("loss.kl_coef=0.01",),
    "refill": ("loss.zero_variance=refill",),
    "drop": ("loss.zero_variance=drop",),
    "mask-truncated": ("loss.mask_truncated=true", "loss.overlong_buffer=8", "rollout.max_tokens=24"),
    "mini-batches": ("run.mini_batch_problems=4", "optimizer.schedule=cosine", "optimizer.warmup_steps=2"),
    "sequence-correction": ("correction.mode=sequence",),
    "packed": ("optimizer.layout=packed",),
    "lora": ("optimizer.lora.rank=4",),
    "paper": (
        "evolve.acceptance=strict",
        "assign.rule=paper",
        "assign.plain_rollouts=0",
        "evolve.carry_over=false",
    ),
    "crossover": ("evolve.proposer=reflection+crossover", "evolve.rollouts_per_evaluation=2"),
    "random-search": ("evolve.search=random", "evolve.parents=3"),
    "given": ('evolve.templates="tiny"',),
    "given-only": ('evolve.templates="tiny"', "reflection.kind=none"),
    "every-2": ("evaluation.every=2", "checkpoint.every=2"),
    "current": ("reflection.kind=current",),
    "deepspeed": ("optimizer.backend=deepspeed",),
}

TWO_PROCESSES = {"zero-3": ("optimizer.zero_stage=3",), "zero-2": ("optimizer.zero_stage=2",)}


def run(folder: Path, overrides: Sequence[str], *flags: str, processes: int = 1) -> None:
    """One run in a process of its own (or several), unless it is there already."""
    if (folder / "model").exists():
        return
    launch = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        if processes > 1
        else []
    )
    command = [sys.executable, *launch, "-m", "p2o", "train", "quickstart", *flags]
    command += [f"--set={setting}" for setting in (*BASE, *overrides, f"run.output={folder}")]
    environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "DS_ACCELERATOR": "cpu"}
    with folder.with_suffix(".log").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, **environment}, check=False)
    print(f"{folder.name}: {'done' if done.returncode == 0 else f'exit code {done.returncode}'}", flush=True)


def cut(folder: Path) -> None:
    """Makes a finished run one that was killed after its last but one checkpoint."""
    for name in ("model", "report.html"):
        subprocess.run(["rm", "-rf", str(folder / name)], check=True)
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    subprocess.run(["rm", "-rf", str(newest)], check=True)


def record(folder: Path, only: Sequence[str]) -> None:
    """Every run into a directory of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: overrides for name, overrides in RUNS.items() if not only or name in only}
    for name, overrides in wanted.items():
        run(folder.absolute() / name, overrides)
    for name, overrides in TWO_PROCESSES.items():
        if not only or name in only:
            run(folder.absolute() / name, overrides, processes=2)
    if not only or "resumed" in only:
        resumed = folder.absolute() / "resumed"
        if not (folder / "resumed.done").exists():
            run(resumed, ("checkpoint.keep=9", "checkpoint.every=2"))
            cut(resumed)
            run(resumed, ("checkpoint.keep=9", "checkpoint.every=2"), "--resume")
            (folder / "resumed.done").touch()


def what_happened(folder: Path) -> dict[str, Any]:
    """What a run did, as far as no clock has a part in it."""
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    templates = folder / "templates.jsonl"
    lines = [json.loads(line) for line in templates.read_text().splitlines()] if templates.exists() else []
    return {
        "metrics": [
            {k: v for k, v in line.items() if not k.startswith(("time/", "check"))} for line in metrics
        ],
        "rollouts": {f.name: f.read_text() for f in sorted((folder / "rollouts").glob("*"))},
        "templates": [(line["template"]["text"], line["accepted"], line["reason"]) for line in lines],
        "weights": {
            f.name: hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted((folder / "model").glob("*.safetensors"))
        },
    }


def compare(before: Path, after: Path) -> int:
    """Prints what differs; the exit code says whether anything does."""
    different = 0
    for folder in sorted(path for path in before.iterdir() if path.is_dir()):
        if not (after / folder.name / "model").exists():
            print(f"{folder.name}: missing")
            different += 1
            continue
        one, two = what_happened(folder), what_happened(after / folder.name)
        parts = [name for name in one if one[name] != two[name]]
        different += bool(parts)
        accepted = sum(line[1] for line in one["templates"])
        same = f"equal ({len(one['metrics'])} records, {accepted} templates accepted)"
        print(f"{folder.name}: {'differs in ' + ', '.join(parts) if parts else same}")
    return int(different > 0)


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(Path(sys.argv[2]), sys.argv[3:])
    else:
        raise SystemExit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
