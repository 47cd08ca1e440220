"""The policy backend `deepspeed`: ZeRO 0-3 over the processes of the run, one or many nodes.

All ranks are given the same rows. Each runs its share of the micro-batches; DeepSpeed exchanges the gradients. Losses
are divided by counts of the whole batch, so a rank's loss is a share of the whole: multiplied by the number of ranks it
undoes DeepSpeed's mean over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from p2o.distributed import Processes
from p2o.errors import CheckpointError
from p2o.policy.deepspeed_config import (
    engine_config,
    load_in_partitions,
    prepare_deepspeed,
    require_deepspeed,
    zero_stage,
)
from p2o.policy.layout import empty_micro_batch
from p2o.policy.lora import add_adapters
from p2o.policy.memory import Memory, memory_estimate
from p2o.policy.optimizer_config import BETAS, OptimizerConfig
from p2o.policy.partitions import Partition, Piece, whole_parameters
from p2o.policy.policy import Policy


class ClippingAdamW(torch.optim.AdamW):  # type: ignore[misc]  # torch is not followed by mypy
    """AdamW that clips, tells the norm, and leaves out a step without a finite one: as DeepSpeed's do from stage 1."""

    overflow = False
    _global_grad_norm = 0.0
    max_grad_norm = 1.0

    def step(self, closure: Any = None) -> None:
        """One step on clipped gradients."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        self._global_grad_norm = norm
        self.overflow = not math.isfinite(norm)
        if not self.overflow:
            super().step(closure)


def restore_rotary_tables(model: Any) -> None:
    """Makes rotary tables anew where they are not float32.

    While DeepSpeed loads a model in partitions every new tensor is of the weights' type. Some versions of transformers
    (5.17, not 5.24) compute the tables there, and in bfloat16 they turn positions by wrong angles.
    """
    for module in model.modules():
        buffers = dict(module.named_buffers(recurse=False))
        if type(module).__name__.endswith("RotaryEmbedding") and any(
            buffer.dtype != torch.float32 for buffer in buffers.values()
        ):
            fresh = dict(type(module)(config=module.config).named_buffers(recurse=False))
            for name, buffer in buffers.items():
                setattr(module, name, fresh[name].to(buffer.device))


class DeepSpeedPolicy(Policy):
    """A causal language model under training in all processes."""

    fused = True

    def __init__(self, model: Any, config: Any, loss: Any, **options: Any) -> None:
        super().__init__(model, config, loss, **options)
        prepare_deepspeed(self.processes)
        import deepspeed

        self.stage = zero_stage(config)
        self.shares_model = self.stage < 3
        self.holds_all = self.stage == 0
        restore_rotary_tables(model)
        dtype = str(model.dtype).removeprefix("torch.")
        values = engine_config(config, dtype, cuda=model.device.type == "cuda")
        if config.lora is not None:
            add_adapters(model, config.lora)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.engine, *_ = deepspeed.initialize(
            model=self.forward, optimizer=self._make_optimizer(), config=values, dist_init_required=False
        )
        model.eval()
        self.forward = self.engine
        self.device = torch.device(self.engine.device)  # offloaded weights are elsewhere between their uses

    @classmethod
    def check(cls, config: OptimizerConfig, dtype: str, ranks: int) -> None:
        """Refuses what DeepSpeed would train otherwise than it is meant, and a missing package."""
        engine_config(config, dtype, cuda=False)
        require_deepspeed()

    @classmethod
    def partitions(cls, config: OptimizerConfig) -> bool:
        """At ZeRO-3."""
        return zero_stage(config) == 3

    @classmethod
    def loading(
        cls, config: OptimizerConfig, dtype: str, processes: Processes
    ) -> AbstractContextManager[None]:
        """At ZeRO-3 transformers loads a model in partitions."""
        return load_in_partitions(config, dtype, processes) if cls.partitions(config) else nullcontext()

    @classmethod
    def memory(
        cls, config: OptimizerConfig, parameters: int, itemsize: int, *, ranks: int, adapters: int
    ) -> Memory:
        """What ZeRO leaves on each process."""
        stage = zero_stage(config)
        return memory_estimate(parameters, itemsize, config, stage=stage, ranks=ranks, adapters=adapters)

    @classmethod
    def label(cls, config: OptimizerConfig) -> str:
        """With the stage."""
        return f"deepspeed, ZeRO-{zero_stage(config)}"

    def _make_optimizer(self) -> Any:
        """AdamW. Fused: on flat partitions of billions of elements the other forms hold copies of them."""
        kind = ClippingAdamW if self.stage == 0 else torch.optim.AdamW
        optimizer = kind(
            self.trained.values(),
            lr=self.config.learning_rate,
            betas=BETAS,
            weight_decay=self.config.weight_decay,
            fused=self.fused,
        )
        if self.stage == 0:
            optimizer.max_grad_norm = self.config.max_grad_norm
        return optimizer

    def _backward(self, loss: Tensor) -> None:
        self.engine.backward(loss * self.processes.size, scale_wrt_gas=False)

    def _step(self, rate: float) -> float:
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        self.engine.step()
        return float(self.engine.get_global_grad_norm())

    def _discard(self) -> None:
        """Makes the gradient one that DeepSpeed refuses and cleans up after: each stage keeps it in other buffers."""
        batch = empty_micro_batch(self.pad_id)
        logp = self.forward(**self.layout.inputs(batch, self.device), chunks=1)
        self._backward(logp.sum() * math.nan)
        self._step(0.0)

    def _gather(self, parameters: list[Any]) -> AbstractContextManager[None]:
        if self.stage < 3:
            return nullcontext()
        import deepspeed

        # Buffers are whole on every rank.
        partitioned = [parameter for parameter in parameters if hasattr(parameter, "ds_id")]
        context: AbstractContextManager[None] = deepspeed.zero.GatheredParameters(partitioned)
        return context

    def _partitions(self) -> list[Partition]:
        """What is this rank's own: flat tensors, or at stage 0 the parameters."""
        optimizer = self.engine.optimizer
        if self.stage == 0:
            return whole_parameters(self.trained)
        names = {id(parameter): name for name, parameter in self.trained.items()}
        if self.stage == 3:
            return [
                Partition(flat, shares_of(group, names, self.processes.rank))
                for flat, group in zip(
                    optimizer.fp32_partitioned_groups_flat, optimizer.fp16_groups, strict=True
                )
            ]
        for attribute in ("single_partition_of_fp32_groups", "fp32_groups_flat_partition"):
            if hasattr(optimizer, attribute):
                partitions = [Partition(flat, []) for flat in getattr(optimizer, attribute)]
                break
        else:
            raise CheckpointError(
                f"{type(optimizer).__name__} of this DeepSpeed keeps its weights in a way not known here: install "
                "0.19.8"
            )
        for name, parameter in self.trained.items():
            if (held := parameter._hp_mapping) is not None:  # None: all of it is with other ranks
                inside, address = held.lp_fragment_address, held.hp_fragment_address
                piece = Piece(name, inside.start, address.start, address.numel)
                partitions[held.param_group_index].pieces.append(piece)
        return partitions

    def _states(self) -> dict[Any, dict[str, Any]]:
        """The state of AdamW by partition."""
        optimizer = self.engine.optimizer
        states: dict[Any, dict[str, Any]] = (optimizer if self.stage == 0 else optimizer.optimizer).state
        return states

    def _refresh(self) -> None:
        """Makes the weights of the forward pass those of the partitions."""
        optimizer = self.engine.optimizer
        if self.stage in (1, 2):
            optimizer.update_lp_params()
        elif self.stage == 3:
            for index in range(len(self._partitions())):
                optimizer._reassign_or_swap_out_partitioned_parameters(index)
            if optimizer.persistent_parameters:
                optimizer.persistent_parameters[0].all_gather(optimizer.persistent_parameters)


def shares_of(group: list[Any], names: Mapping[int, str], rank: int) -> list[Piece]:
    """The pieces of a partition of ZeRO-3: an equal share of each parameter, the last ranks' filled up."""
    pieces, offset = [], 0
    for parameter in group:
        share = int(parameter.ds_tensor.ds_numel)
        start = rank * share
        size = max(0, min(share, int(parameter.ds_numel) - start))
        pieces.append(Piece(names[id(parameter)], start, offset, size))
        offset += share
    return pieces
