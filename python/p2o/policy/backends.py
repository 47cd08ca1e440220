"""The policy backends by name."""

from __future__ import annotations

from typing import Any

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ModelError
from p2o.plugins import look_up
from p2o.policy.config import LossConfig
from p2o.policy.logprobs import check_output_head
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.policy import Policy

BACKENDS: dict[str, type[Policy] | str] = {
    "torch": "p2o.policy.torch_backend:TorchPolicy",
    "deepspeed": "p2o.policy.deepspeed_backend:DeepSpeedPolicy",
}
"""Where the classes are: their packages may be missing."""


def backend_name(config: OptimizerConfig, ranks: int) -> str:
    """What `optimizer.backend` stands for: `auto` is deepspeed where there are several processes, or its settings."""
    if config.backend != "auto":
        return config.backend
    return "deepspeed" if ranks > 1 or config.zero_stage is not None or config.offload != "none" else "torch"


def backend_class(config: OptimizerConfig, ranks: int) -> type[Policy]:
    """The class of `optimizer.backend` in a run of so many processes."""
    return look_up(BACKENDS, backend_name(config, ranks), "optimizer.backend")


def make_policy(
    model: Any,
    config: OptimizerConfig,
    loss: LossConfig,
    *,
    processes: Processes = ONE_PROCESS,
    **options: Any,
) -> Policy:
    """The policy of `config.backend` over `model` (for ZeRO-3 loaded in the backend's context), which it takes over.

    `options` are those of [`p2o.policy.policy.Policy`][].

    Raises:
        ConfigError: if settings do not go with each other, the model or the number of processes.
        ModelError: if the architecture's output head is not known, or it cannot be packed or checkpointed as asked.
        MissingDependencyError: if DeepSpeed or peft is needed and missing.
    """
    backend = backend_class(config, processes.size)
    backend.check(config, str(model.dtype).removeprefix("torch."), processes.size)
    policy = backend(model, config, loss, processes=processes, **options)
    check_output_head(policy.model)  # not before: partitioned weights cannot run until DeepSpeed has them
    if policy.layout.shares_rows:
        try:
            policy.check_layout()
        except ModelError:
            if config.layout != "auto":
                raise
            policy.set_layout("padded")
    return policy
