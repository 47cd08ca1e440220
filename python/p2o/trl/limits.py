"""What is TRL's to decide, and what of TRL's is not carried over: refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2o.errors import ConfigError
from p2o.policy.context import ContextConfig

OWNED = {
    "rollout.n": "set GRPOConfig(num_generations=...)",
    "rollout.temperature": "set GRPOConfig(temperature=...)",
    "rollout.top_p": "set GRPOConfig(top_p=...)",
    "rollout.top_k": "set GRPOConfig(top_k=...)",
    "rollout.max_tokens": "set GRPOConfig(max_completion_length=...)",
    "run.seed": "set GRPOConfig(seed=...)",
    **dict.fromkeys(
        ("data.train", "data.evaluation", "data.train_size", "data.evaluation_size", "data.seed"),
        "the problems are the dataset",
    ),
    "data.suffix": "write it into the prompts of the dataset",
    "data.system": "write it into the prompts of the dataset",
    "context.distillation": "TRL trains on one prompt, the plain one",
    "guidance.train_on_evaluations": "TRL trains on what rollout_func returns",
    "guidance.every": "prompt steps take place between epochs",
}
"""Settings that are not p2o's to decide here, and why."""

OF_ROLLOUT = ("rollout.max_prompt_tokens", "rollout.batch_size", "rollout.decoding")
"""What is left of the section `rollout`."""

OWNED_SECTIONS = ("run", "model", "optimizer", "loss", "correction", "evaluation", "checkpoint", "track")
"""Sections that GRPOConfig has arguments of its own for."""

MASKS = ("hard", "asymmetric", "none")
"""Values of `context.mode` whose weights are 0 and 1, which is what TRL's `env_mask` takes."""

WHOLE_MODELS = ("NO", "MULTI_GPU", "MULTI_CPU")
"""accelerate's names of one process, and of several with a model each."""


def refuse_owned(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting that is not p2o's to decide."""
    for name in settings:
        section = name.partition(".")[0]
        reason = OWNED.get(name)
        if reason is None and section in OWNED_SECTIONS:
            reason = "GRPOConfig has arguments for it"
        if reason is None and section == "rollout" and name not in OF_ROLLOUT:
            reason = "completions are drawn by p2o's own sampler from the trainer's model"
        if reason is not None:
            raise ConfigError(f"{name} cannot be set in p2o.trl: {reason}")


def refuse_weights(context: ContextConfig) -> None:
    """Raises ConfigError for a context mode with other weights than 0 and 1."""
    if context.mode not in MASKS:
        raise ConfigError(
            f"context.mode = {context.mode!r} weighs tokens, and TRL's env_mask only leaves some out: set one of "
            f"{', '.join(MASKS)}"
        )


def refuse_part(trainer: Any, guide: Any) -> None:
    """Raises ConfigError for a trainer that was given a part of the guide: without its callback no prompt step would
    take place, without its reward another one would be learnt than that by which problems are hard."""
    given = {
        "reward_funcs=guide.reward": guide.reward in trainer.reward_funcs,
        "callbacks=[guide]": guide in trainer.callback_handler.callbacks,
    }
    for argument, is_given in given.items():
        if not is_given:
            raise ConfigError(
                f"the trainer has the guide's rollout, and not all of the guide: give {argument}"
            )


def learns_from_all(trainer: Any) -> bool:
    """Whether completions may have a gradient though their group's rewards by p2o are equal: by other rewards, the KL
    term or an entropy bonus."""
    args = trainer.args
    bonus = args.entropy_coef != 0 or args.use_adaptive_entropy
    return len(trainer.reward_funcs) > 1 or trainer.beta != 0 or bonus


def refuse_trainer(trainer: Any) -> None:
    """Raises ConfigError for a trainer that draws completions in a way that p2o's sampler does not."""
    args = trainer.args
    kind = trainer.accelerator.distributed_type.value
    if kind not in WHOLE_MODELS:
        raise ConfigError(
            f"p2o.trl draws from a model that is whole in each process, not by {kind}: launch plain DDP"
        )
    wrong = {
        'vllm_mode="server"': trainer.use_vllm and args.vllm_mode != "colocate",
        "vllm_tensor_parallel_size": trainer.use_vllm and args.vllm_tensor_parallel_size > 1,
        "vllm_enable_sleep_mode": trainer.use_vllm and args.vllm_enable_sleep_mode,
        "min_p": args.min_p is not None,
        "repetition_penalty": args.repetition_penalty != 1.0,
        "generation_kwargs": bool(args.generation_kwargs),
        "tools": bool(trainer.tools),
    }
    for name, is_set in wrong.items():
        if is_set:
            raise ConfigError(
                f"p2o.trl draws completions itself, from the trainer's model or its engine: leave out {name}"
            )
