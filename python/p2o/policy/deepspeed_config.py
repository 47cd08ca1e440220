"""DeepSpeed's own configuration from ours, and the context in which a model is loaded in partitions (ZeRO-3)."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from p2o.distributed import Processes
from p2o.errors import ConfigError, MissingDependencyError
from p2o.policy.optimizer_config import OptimizerConfig

WHOLE_PARAMETERS = 100_000
"""ZeRO-3 keeps parameters of fewer elements (norms, biases) whole on every rank: gathering them costs more."""

EXCHANGE_ELEMENTS = 100_000_000
"""Gradients are exchanged in buffers of so many elements (DeepSpeed's default would take 2 GB of float32)."""


def require_deepspeed() -> None:
    """Raises `MissingDependencyError` if DeepSpeed is not installed."""
    if find_spec("deepspeed") is None:
        raise MissingDependencyError(
            "optimizer.backend = \"deepspeed\" needs deepspeed: pip install 'p2o-rl[gpu]'"
        )


def zero_stage(config: OptimizerConfig) -> int:
    """The ZeRO stage under DeepSpeed."""
    return 2 if config.zero_stage is None else config.zero_stage


def engine_config(config: OptimizerConfig, dtype: str, *, cuda: bool) -> dict[str, Any]:
    """DeepSpeed's configuration (https://www.deepspeed.ai/docs/config-json/).

    Weights of bfloat16 are trained as the backend `torch` trains them: the forward pass sees bfloat16 weights that
    are rounded from float32 copies, and micro-batches' gradients add up in float32. (`torch_autocast` would keep
    float32 weights instead: another function than the one that samplers run, at twice the memory.)

    Args:
        config: our settings.
        dtype: type of the weights, `float32` or `bfloat16`.
        cuda: whether the model is on a GPU.

    Raises:
        ConfigError: for bfloat16 without ZeRO, which DeepSpeed trains without float32 copies of the weights.
    """
    stage = zero_stage(config)
    if stage == 0 and dtype != "float32":
        raise ConfigError(
            f"optimizer.zero_stage = 0 cannot train {dtype} on float32 copies: set it to 1 or more"
        )
    zero: dict[str, Any] = {
        "stage": stage,
        # Beside unmanaged accumulation DeepSpeed overlaps from stage 2 on; on a CPU there is nothing to overlap.
        "overlap_comm": cuda and stage >= 2,
        "stage3_param_persistence_threshold": WHOLE_PARAMETERS,
        "reduce_bucket_size": EXCHANGE_ELEMENTS,
        "allgather_bucket_size": EXCHANGE_ELEMENTS,
    }
    if config.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": cuda}
    if config.offload == "all":
        zero["offload_param"] = {"device": "cpu", "pin_memory": cuda}
    values: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        # The number of micro-batches changes from step to step: `step` is the boundary, whatever came before it.
        "managed_gradient_accumulation": False,
        # At stage 0 there is no clipping that says what the norm was: `ClippingAdamW` clips.
        "gradient_clipping": config.max_grad_norm if stage else 0.0,
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }
    if dtype == "bfloat16":
        values["bf16"] = {"enabled": True, "check_grad_overflow": True}
        values["data_types"] = {"grad_accum_dtype": "fp32"}
        values["communication_data_type"] = "fp32"
    return values


def prepare_deepspeed(processes: Processes) -> None:
    """Imports DeepSpeed: quiet, on the CPU where there is no GPU, with a process group even for one process."""
    import torch
    import torch.distributed as dist

    cuda = torch.cuda.is_available()
    if not cuda:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("LOCAL_RANK", "0")
    # DeepSpeed calls collectives by names that torch has renamed; each call would print a line.
    warnings.filterwarnings("ignore", "`torch.distributed.* is deprecated", FutureWarning)
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    if not cuda:
        # Its shared-memory exchange would be compiled at the first start; gloo does without a compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if processes.size == 1 and not dist.is_initialized():
        # A launcher's rendezvous is not needed for a group of one.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo", store=dist.HashStore(), rank=0, world_size=1
        )


@contextmanager
def load_in_partitions(config: OptimizerConfig, dtype: str, processes: Processes) -> Iterator[None]:
    """While it is open, transformers loads models in partitions (ZeRO-3): never whole on any rank.

    Raises:
        MissingDependencyError: if accelerate, which transformers then needs, is missing.
    """
    if find_spec("accelerate") is None:
        raise MissingDependencyError("optimizer.zero_stage = 3 needs accelerate: pip install 'p2o-rl[gpu]'")
    prepare_deepspeed(processes)
    import torch
    from transformers.integrations.deepspeed import HfDeepSpeedConfig, unset_hf_deepspeed_config

    values = engine_config(config, dtype, cuda=torch.cuda.is_available())
    handle = HfDeepSpeedConfig(values)  # transformers keeps a weak reference: the name keeps it alive
    try:
        yield
    finally:
        unset_hf_deepspeed_config()
        del handle
