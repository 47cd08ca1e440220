"""The policy backends by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2o.distributed import ONE_PROCESS, Processes
from p2o.policy.config import LossConfig
from p2o.policy.deepspeed_config import resolve_backend
from p2o.policy.layout import PackedLayout
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.policy import Policy
from p2o.policy.training import TrainingPolicy


def make_policy(
    model: Any,
    config: OptimizerConfig,
    loss: LossConfig,
    *,
    pad_id: int,
    temperature: float,
    planned_steps: int,
    processes: Processes = ONE_PROCESS,
) -> Policy:
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
    backend: Callable[..., TrainingPolicy]
    if resolve_backend(config, processes.size) == "deepspeed":
        from p2o.policy.deepspeed_backend import DeepSpeedPolicy

        backend = DeepSpeedPolicy
    else:
        from p2o.policy.torch_backend import TorchPolicy

        backend = TorchPolicy
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
