"""Recipes for GPUs, run for a few steps."""

from __future__ import annotations

import json
import shutil
import sys
import time

from lane_case import Lane, Values, model_folder

from bench_train import arithmetic


def one_gpu(lane: Lane, sampler: str, *, steps: int, prompt_step: bool) -> Values:
    """The recipe `one_gpu` with a small model, `steps` optimizer batches an epoch."""
    problems, batch = (8, 4) if lane.rehearse else (32 * steps, 32)
    folder = lane.scratch(f"one_gpu-{sampler}")
    data = folder / "problems.jsonl"
    made = arithmetic(problems + 8)
    data.write_text("".join(json.dumps(problem) + "\n" for problem in made))
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    tokens = 12 if lane.rehearse else 256
    values: dict[str, object] = {
        "model.source": model_folder(lane),
        "data.train": data,
        "data.train_size": problems,
        "data.evaluation_size": 8,
        "run.epochs": 2 if prompt_step else 1,
        "run.batch_problems": batch,
        "run.mini_batch_problems": batch // 2,
        "run.output": run,
        "rollout.sampler": sampler,
        "rollout.max_tokens": tokens,
        "rollout.max_prompt_tokens": 768,
        "rollout.vllm.max_model_len": 2048,
        "reflection.max_tokens": tokens,
        "evolve.dev_size": 4 if lane.rehearse else 16,
        "evolve.budget": 8 if lane.rehearse else 64,
        "mining.min_count": 2,
    }
    if lane.rehearse:
        values |= {
            "evolve.acceptance": "strict",
            "model.device": "cpu",
            "run.threads": 1,
            "reflection.prompt": "tiny",
        }
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    started = time.perf_counter()
    lane.run([sys.executable, "-m", "p2o", "train", "one_gpu", *settings], f"one_gpu-{sampler}")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps_s = [record["time/total_s"] for record in records if "reward" in record]
    return {
        "steps": len(steps_s),
        "run s": time.perf_counter() - started,
        "step s": (steps_s[-1] - steps_s[0]) / max(1, len(steps_s) - 1),
        "templates": len((run / "templates.jsonl").read_text().splitlines()) if prompt_step else None,
        "generated tokens": records[-1]["num_tokens"],
    }


def main() -> None:
    lane = Lane()
    lane.case(
        "one_gpu, hf, GRPO and a prompt step", lambda: one_gpu(lane, "hf", steps=2, prompt_step=True), 140
    )


if __name__ == "__main__":
    main()
