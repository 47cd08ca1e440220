"""A push of a LoRA policy to a vLLM engine in process: merged weights beside the adapter alone.

    .venv-engines/bin/python benches/bench_push.py [MODEL] [--rank 16] [--dtype float32]

Prints a table: seconds of the first push and the median of five further ones, MB that are passed to the engine in each
of these, and generated tokens a second of 64 completions of 64 tokens, which an adapter slows down.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from p2o.model.fetch import resolve_source
from p2o.model.load import load_model
from p2o.policy.config import LossConfig
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout.config import RolloutConfig
from p2o.rollout.sampler import SampleRequest, SamplingParams
from p2o.rollout.vllm import VllmSampler

PUSHES = 5
TOKENS = 64
COMPLETIONS = 64


def seconds(action: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Measures both, one engine after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    lora = LoraConfig(rank=args.rank)
    engines = []  # vLLM takes down what is shared with the others when one is collected
    print(
        "| `rollout.vllm.lora` | first push, s | push, s | MB | tokens/s |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for way in ("merged", "adapter"):
        model, _ = load_model(resolve_source(args.model), dtype=args.dtype)
        config = RolloutConfig(
            sampler="vllm",
            max_tokens=TOKENS,
            max_prompt_tokens=64,
            batch_size=COMPLETIONS,
            vllm={"lora": way},
        )
        engine = VllmSampler(model, config, end_ids=[], lora=lora if way == "adapter" else None)
        engines.append(engine)
        policy = TorchPolicy(
            model, OptimizerConfig(lora=lora), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
        )
        with torch.no_grad():
            for parameter in policy.trained.values():
                parameter.normal_(std=0.01)
        first = seconds(lambda: engine.sync(policy))  # noqa: B023  # called at once
        push = median(seconds(lambda: engine.sync(policy)) for _ in range(PUSHES))  # noqa: B023
        if way == "adapter":
            adapter = policy.adapter()
            assert adapter is not None
            size = sum(tensor.nbytes for tensor in adapter.tensors.values())
        else:
            size = sum(tensor.nbytes for group in policy.weights() for _, tensor in group)
        requests = [SampleRequest(tuple(range(5, 45)), seed) for seed in range(COMPLETIONS)]
        took = seconds(lambda: engine.sample(requests, SamplingParams(TOKENS)))  # noqa: B023
        rate = COMPLETIONS * TOKENS / took
        print(f"| `{way}` | {first:.2f} | {push:.2f} | {size / 1e6:.1f} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
