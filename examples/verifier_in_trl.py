"""p2o's answer verifier as the reward of TRL's GRPOTrainer.

pip install "p2o-rl[train]" trl
python verifier_in_trl.py
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from p2o.rewards import make_trl_reward
from p2o.tiny import MODEL_PATH

ROWS = [
    {"prompt": [{"role": "user", "content": f"{a}+{a + 7}=?"}], "answer": str(2 * a + 7)}
    for a in range(100, 164)
]


def main(**changed: Any) -> GRPOTrainer:
    """Trains; `changed` are arguments of GRPOConfig."""
    options = {
        "output_dir": "runs/verifier-in-trl",
        "max_steps": 20,
        "per_device_train_batch_size": 64,
        "num_generations": 8,
        "max_completion_length": 48,
        "learning_rate": 4e-4,
        "activation_checkpointing": False,
        "logging_steps": 5,
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
    }
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(MODEL_PATH, dtype="float32"),
        processing_class=AutoTokenizer.from_pretrained(MODEL_PATH),
        args=GRPOConfig(**{**options, **changed}),
        train_dataset=Dataset.from_list(ROWS),
        # The gold's column, and options of the verifier. Without options: `trl_reward`.
        reward_funcs=make_trl_reward("answer", strict=True),
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    main()
