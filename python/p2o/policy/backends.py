"""The policy backends by name."""

from __future__ import annotations

from typing import Any

from p2o.distributed import ONE_PROCESS, Processes
from p2o.plugins import look_up
from p2o.policy.config import LossConfig
from p2o.policy.layout import PackedLayout
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.training import TrainingPolicy

BACKENDS: dict[str, type[TrainingPolicy] | str] = {
    "torch": "p2o.policy.torch_backend:TorchPolicy",
    "deepspeed": "p2o.policy.deepspeed_backend:DeepSpeedPolicy",
}
"""Where the classes are: their packages may be missing."""


def backend_name(config: OptimizerConfig, ranks: int) -> str:
    """What `optimizer.backend` stands for: `auto` is deepspeed where there are several processes, or its settings."""
    if config.backend != "auto":
        return config.backend
    return "deepspeed" if ranks > 1 or config.zero_stage is not None or config.offload != "none" else "torch"


def backend_class(config: OptimizerConfig, ranks: int) -> type[TrainingPolicy]:
    """The class of `optimizer.backend` in a run of so many processes."""
    return look_up(BACKENDS, backend_name(config, ranks), "optimizer.backend")


def make_policy(
    model: Any,
    config: OptimizerConfig,
    loss: LossConfig,
    *,
    pad_id: int,
    temperature: float,
    planned_steps: int,
    processes: Processes = ONE_PROCESS,
) -> TrainingPolicy:
    """The policy of `config.backend` over `model`, which it takes over.

    Args:
        model: a causal language model of transformers; for ZeRO-3 loaded in `deepspeed_context`.
        config: settings of the optimizer.
        loss: settings of the loss.
        pad_id: the token that fills up.
        temperature: the sampling temperature, at which log-probs are taken.
        planned_steps: optimizer steps of the run, for the schedule.
        processes: the processes of the run.

    Raises:
        ConfigError: if settings do not go with each other, the model or the number of processes.
        ModelError: if the architecture cannot be packed or checkpointed as the settings say.
        MissingDependencyError: if DeepSpeed or peft is needed and missing.
    """
    backend = backend_class(config, processes.size)
    backend.check(config, str(model.dtype).removeprefix("torch."), processes.size)
    policy = backend(
        model,
        config,
        loss,
        pad_id=pad_id,
        temperature=temperature,
        planned_steps=planned_steps,
        processes=processes,
    )
    if isinstance(policy.layout, PackedLayout):
        policy.check_layout()
    return policy
