"""P²O in TRL's own trainer: the tiny world, with the model that ships with p2o. Minutes on a CPU.

pip install "p2o-rl[train]" trl
python p2o_in_trl.py
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from p2o.tiny import MODEL_PATH
from p2o.tiny.world import make_problems
from p2o.trl import Guide

SETTINGS = {
    "reflection.kind": "self",  # the model itself writes the instructions, as it was at the start
    "reflection.prompt": "tiny",
    "reflection.max_tokens": 64,
    "mining.min_count": 24,  # with fewer hard problems there is no prompt step
    "evolve.budget": 700,  # rollouts of a prompt step
    "evolve.dev_size": 60,
    "evolve.parents": 8,
    "evolve.carry_over": True,
    "rollout.max_prompt_tokens": 256,
    "rollout.batch_size": 576,
}
"""p2o's part; what is not named has its default, as in a recipe."""


def main(size: int = 384, settings: dict[str, Any] = SETTINGS, **changed: Any) -> GRPOTrainer:
    """Trains; `changed` are arguments of GRPOConfig."""
    problems = make_problems(size, seed=0)
    dataset = Dataset.from_list([{"prompt": list(each.messages), "answer": each.gold} for each in problems])
    guide = Guide(dataset, settings)
    options = {
        "output_dir": "runs/trl",
        "num_train_epochs": 6,
        "per_device_train_batch_size": 144,  # 24 problems
        "num_generations": 6,
        "max_completion_length": 48,
        "learning_rate": 4e-4,
        "lr_scheduler_type": "constant",
        "epsilon_high": 0.28,
        "activation_checkpointing": False,
        "logging_steps": 4,
        "save_strategy": "epoch",
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
    }
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(MODEL_PATH, dtype="float32"),
        processing_class=AutoTokenizer.from_pretrained(MODEL_PATH),
        args=GRPOConfig(**{**options, **changed}),
        train_dataset=dataset,
        reward_funcs=guide.reward,
        rollout_func=guide.rollout,
        callbacks=[guide],
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    main()
