"""P²O in TRL's trainer over TRL's own vLLM engine, in a process of its own: run by test_trl_vllm.py."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
import vllm.model_executor.layers.utils as layers
from datasets import Dataset
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from trl.generation import vllm_generation
from vllm_world import tiny_llama

from p2o.rollout.vllm import VllmSampler
from p2o.tiny import MODEL_PATH
from p2o.tiny.world import make_problems
from p2o.trl import Guide

SETTINGS = {
    "reward.function": "p2o_test_rewards:odd",
    "mining.min_count": 2,
    "evolve.templates": "tiny",
    "evolve.dev_size": 4,
    "evolve.budget": 60,
    "evolve.search": "random",  # takes the templates without judging them
    "guidance.spend": "fixed",
    "reflection.kind": "none",
}


class Watched(Guide):
    """Measures how far the log-probs that TRL is given are from the trainer's, where there is a gradient."""

    gaps: list[float]

    @torch.no_grad()
    def rollout(self, prompts: Any, trainer: Any) -> dict[str, list[Any]]:
        columns = super().rollout(prompts, trainer)
        rewards, gaps = columns["p2o_reward"], []
        for row, (prompt, completion) in enumerate(
            zip(columns["prompt_ids"], columns["completion_ids"], strict=True)
        ):
            start = row - row % 4
            if len(set(rewards[start : start + 4])) > 1:
                logits = self.model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0]
                logprobs = logits[len(prompt) - 1 : -1].log_softmax(-1)
                own = logprobs.gather(1, torch.tensor(completion)[:, None])[:, 0]
                gaps.append(float((own - torch.tensor(columns["logprobs"][row])).abs().max()))
        self.gaps.append(max(gaps))
        return columns


def keep_weights(layer: Any, remove_weight: bool) -> None:
    """On a CPU vLLM packs weights away, and TRL's push finds none: it is made for GPUs."""
    layer.cpu_linear = torch.nn.functional.linear


def train(folder: str) -> dict[str, Any]:
    """Seven steps, four of them an epoch; what was logged, and whether the engine was up to date at each draw."""
    layers.dispatch_cpu_unquantized_gemm = keep_weights
    vllm_generation.LLM = partial(vllm_generation.LLM, dtype="float32")  # TRL leaves it to vLLM: bfloat16
    Path(folder, "p2o_test_rewards.py").write_text(
        "def odd(problem, completion):\n    return float(len(completion) % 2)\n"
    )
    source = Path(folder, "model")
    tokenizer = AutoTokenizer.from_pretrained(MODEL_PATH)
    tiny_llama(vocabulary=len(tokenizer)).save_pretrained(source)
    tokenizer.save_pretrained(source)
    fresh: list[bool] = []
    stream = VllmSampler.stream

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        fresh.append(self.trainer._last_loaded_step == self.trainer.state.global_step)
        return stream(self, *arguments, **options)

    VllmSampler.stream = watched  # type: ignore[method-assign]
    rows = [{"prompt": list(problem.messages), "answer": problem.gold} for problem in make_problems(24, 3)]
    dataset = Dataset.from_list(rows)
    guide = Watched(dataset, SETTINGS)
    guide.gaps = []
    args = GRPOConfig(
        output_dir=f"{folder}/run",
        max_steps=7,
        per_device_train_batch_size=24,
        num_generations=4,
        max_completion_length=16,
        learning_rate=1e-2,
        use_vllm=True,
        vllm_mode="colocate",
        vllm_max_model_length=512,
        vllm_gpu_memory_utilization=0.05,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=str(source),
        args=args,
        train_dataset=dataset,
        reward_funcs=guide.reward,
        rollout_func=guide.rollout,
        callbacks=[guide],
    )
    trainer.train()
    steps = [record for record in trainer.state.log_history if "reward" in record]
    assert guide.run is not None
    return {
        "fresh": fresh,
        "sampler": type(guide.run.collector.sampler).__name__,
        "templated": [step["p2o/templated"] for step in steps],
        "gaps": guide.gaps,
        "finite": all(math.isfinite(step["loss"]) for step in steps),
    }
