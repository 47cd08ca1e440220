"""The sampler `vllm` on the GPU that trains: tokens per second, and training with sync, sleep and the gap probe."""

from __future__ import annotations

import json
import shutil
import sys
import time

from lane_case import Lane, Values, model_folder, require
from step_recipes import one_gpu
from step_sampling import loaded, requests, timed

from bench_train import arithmetic

STEPS = 20


def sampling(lane: Lane, rows: int, *, ends: bool) -> Values:
    """Two calls of the sampler, after a first sync."""
    require("vllm")
    from p2o.policy.backends import make_policy
    from p2o.policy.config import LossConfig
    from p2o.policy.optimizer_config import OptimizerConfig
    from p2o.rollout.config import RolloutConfig
    from p2o.rollout.encode import end_ids, pad_id
    from p2o.rollout.sampler import SamplingParams
    from p2o.rollout.vllm import VllmSampler

    model, tokenizer = loaded(model_folder(lane))
    tokens = 12 if lane.rehearse else 128
    config = RolloutConfig(
        sampler="vllm",
        max_tokens=tokens,
        max_prompt_tokens=512,
        batch_size=min(rows, 1024),
        vllm={"gpu_memory_utilization": 0.5},  # type: ignore[arg-type]
    )
    policy = make_policy(
        model, OptimizerConfig(), LossConfig(), pad_id=pad_id(tokenizer), temperature=1.0, planned_steps=1
    )
    sampler = VllmSampler(model, config, end_ids=end_ids(model, tokenizer) if ends else ())
    started = time.perf_counter()
    sampler.sync(policy)
    sync = time.perf_counter() - started
    asked, params = requests(tokenizer, rows), SamplingParams(tokens)
    return {**timed(lambda: sampler.sample(asked, params), rows), "first sync s": sync}


def training(lane: Lane) -> Values:
    """GRPO with the engine beside the trainer: it sleeps during the updates, and the probe looks after each sync."""
    require("vllm")
    steps, batch = (2, 2) if lane.rehearse else (STEPS, 32)
    folder = lane.scratch("training")
    shutil.rmtree(folder / "run", ignore_errors=True)
    data = folder / "problems.jsonl"
    data.write_text("".join(json.dumps(problem) + "\n" for problem in arithmetic(steps * batch + 4)))
    values = {
        "run.method": "grpo",
        "run.epochs": 1,
        "run.batch_problems": batch,
        "run.output": folder / "run",
        "model.source": model_folder(lane),
        "model.dtype": "float32" if lane.rehearse else "bfloat16",
        "data.train": data,
        "data.train_size": steps * batch,
        "data.evaluation_size": 4,
        "rollout.sampler": "vllm",
        "rollout.n": 2 if lane.rehearse else 8,
        "rollout.batch_size": 256,
        "rollout.max_tokens": 12 if lane.rehearse else 128,
        "rollout.max_prompt_tokens": 512,
        "rollout.vllm.max_model_len": 1024,
        "rollout.vllm.gpu_memory_utilization": 0.3,
        "optimizer.learning_rate": 1e-5,
    }
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    lane.run([sys.executable, "-m", "p2o", "train", "smollm2", *settings], "training")
    records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    stepped = [record for record in records if "reward" in record]
    gaps = {
        f"largest {name}": max(record.get(name, 0.0) for record in stepped)
        for name in stepped[0]
        if "gap" in name and isinstance(stepped[0][name], int | float)
    }
    return {
        "steps": len(stepped),
        "step s": (stepped[-1]["time/total_s"] - stepped[0]["time/total_s"]) / max(1, len(stepped) - 1),
        "mixed groups": 1 - sum(record["frac_reward_zero_std"] for record in stepped) / len(stepped),
        **gaps,
    }


def main() -> None:
    lane = Lane()
    rows = 8 if lane.rehearse else 2048
    lane.case(f"vllm, {rows:,} rows, full length", lambda: sampling(lane, rows, ends=False), 150)
    lane.case("20 steps with sync, sleep and probe", lambda: training(lane), 180)
    lane.case("one_gpu, vllm", lambda: recipe(lane), 150)


def recipe(lane: Lane) -> Values:
    """The recipe `one_gpu` with its own sampler."""
    require("vllm")
    return one_gpu(lane, "vllm", steps=2, prompt_step=True)


if __name__ == "__main__":
    main()
