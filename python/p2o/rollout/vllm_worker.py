"""What p2o adds to vLLM's own workers: a weight-transfer backend, and answers about the model they hold.

vLLM imports this module where its workers run (in the training process, or in those of `p2o serve`), so it imports vllm
at once; nothing else of p2o may import it outside a function. The trainer's half is [`p2o.rollout.vllm_weights`][].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info

from p2o.rollout.vllm_weights import BACKEND, TensorPlace


@dataclass
class InitInfo(WeightTransferInitInfo):  # type: ignore[misc]  # vllm is not typed
    """Nothing has to be agreed on beforehand."""


@dataclass
class UpdateInfo(WeightTransferUpdateInfo):  # type: ignore[misc]
    """One group of weights: tensors of this process, or places in a file of shared memory."""

    tensors: list[tuple[str, Tensor]] | None = None
    path: str | None = None
    places: list[TensorPlace] | None = None
    """JSON has no tuples: places arrive as lists."""

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Names and tensors of the group; the tensors are the sender's own memory."""
        if self.tensors is not None:
            yield from self.tensors
            return
        places = [TensorPlace(*place) for place in self.places or ()]
        size = max((place.offset + place.size for place in places), default=0)
        if self.path is None or not places:
            return
        buffer = torch.from_file(self.path, shared=True, size=size, dtype=torch.uint8)
        for place in places:
            flat = buffer[place.offset : place.offset + place.size].view(getattr(torch, place.dtype))
            yield place.name, flat.view(place.shape)


class TransferEngine(WeightTransferEngine[InitInfo, UpdateInfo]):  # type: ignore[misc]
    """Loads pushed weights into a running model, layer by layer, on CPU and GPU."""

    init_info_cls = InitInfo
    update_info_cls = UpdateInfo

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.updating = False
        self.expected: set[str] = set()
        self.loaded: set[str] = set()

    def init_transfer_engine(self, init_info: InitInfo) -> None:
        """Nothing to set up."""

    def start_weight_update(self) -> None:
        """Makes the layers ready to be loaded anew."""
        self.abandon()
        initialize_layerwise_reload(self.model)
        self.updating = True
        self.expected = {checkpoint_name(name) for name, _ in self.model.named_parameters()}
        self.loaded = set()

    def receive_weights(self, update_info: UpdateInfo) -> None:
        """Loads one group.

        A layer keeps what it has been given until all its weights are there, which may take several groups, and the
        sender's memory is good for one group only: every tensor is copied.
        """
        loaded = self.model.load_weights(
            (name, tensor.to(self.device, copy=True)) for name, tensor in update_info.weights()
        )
        # Few models don't say what they have loaded: nothing can be missing there.
        self.loaded |= self.expected if loaded is None else loaded

    def finish_weight_update(self) -> None:
        """Puts the layers back into service."""
        self.loaded -= lost_weights(self.model)
        finalize_layerwise_reload(self.model, self.model_config)
        self.updating = False
        repack_shared_weights(self.model)
        if self.device.type == "cpu":
            repack_experts(self.model)

    def abandon(self) -> None:
        """Ends an update that failed half-way.

        Its layers would keep half their weights, and take them for weights of the next update.
        """
        if self.updating:
            self.finish_weight_update()

    def missing_weights(self) -> list[str]:
        """Parameters that the last update left as they were, save those that share the memory of another."""
        parameters = {
            checkpoint_name(name): parameter
            for name, parameter in self.model.named_parameters(remove_duplicate=False)
        }

        def memory(name: str) -> int | None:
            """Where the parameter lies; None if nowhere (CPU kernels keep packed weights elsewhere)."""
            parameter = parameters.get(name)
            return None if parameter is None or parameter.numel() == 0 else parameter.data_ptr()

        updated = {memory(name) for name in self.loaded} - {None}
        return sorted(name for name in self.expected - self.loaded if memory(name) not in updated)

    def shutdown(self) -> None:
        """Holds nothing."""


def checkpoint_name(name: str) -> str:
    """The name of a parameter as its model's loader has it: without the wrapper of an engine that takes adapters."""
    return name.replace(".base_layer.", ".")


def lost_weights(model: torch.nn.Module) -> set[str]:
    """Parameters of layers that nothing has reached since the reload began.

    During a reload only what goes through a parameter's loader is kept. GPT-OSS's model copies into the parameters
    itself, and reports them as loaded.
    """
    return {
        checkpoint_name(f"{prefix}.{name}".removeprefix("."))
        for prefix, layer in model.named_modules()
        if (progress := get_layerwise_info(layer)).can_load() and progress.load_numel == 0
        for name in layer._parameters
    }


def repack_shared_weights(model: torch.nn.Module) -> None:
    """Packs anew what CPU kernels hold of a weight that an earlier module owns (a tied output head).

    A reload packs a weight for the module whose name it came under, and no other: without this the head goes on with
    the old weights. On a GPU modules share the one tensor and nothing is packed.
    """
    owners: set[int] = set()
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.numel() == 0 or hasattr(module, "base_layer"):
            continue  # a wrapper only hands on the weight of its layer
        quant_method: Any = getattr(module, "quant_method", None)
        if weight.data_ptr() in owners and hasattr(module, "cpu_linear"):
            quant_method.process_weights_after_loading(module)
        owners.add(weight.data_ptr())


def repack_experts(model: torch.nn.Module) -> None:
    """Packs experts for vLLM's CPU kernels, which it does when it loads a model and leaves out when one is reloaded."""
    for module in model.modules():
        kernel = getattr(getattr(module, "quant_method", None), "moe_kernel", None)
        if kernel is not None:
            kernel.fused_experts.process_weights_after_loading(module)


class WorkerExtension:
    """Methods that vLLM mixes into its worker class, to be called with `collective_rpc`."""

    weight_transfer_engine: Any
    model_runner: Any
    vllm_config: Any

    def p2o_describe(self) -> dict[str, Any]:
        """What is served: compared with the policy before anything is pushed."""
        model = self.vllm_config.model_config
        text = model.hf_text_config
        return {
            "architecture": (model.hf_config.architectures or [""])[0],
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden_size,
            "num_hidden_layers": text.num_hidden_layers,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": self.vllm_config.device_config.device_type,
            "max_model_len": model.max_model_len,
            "logprobs_mode": str(model.logprobs_mode),
            "lora_rank": lora.max_lora_rank if (lora := self.vllm_config.lora_config) is not None else 0,
            "transfer": self.vllm_config.weight_transfer_config.backend,
        }

    def p2o_missing_weights(self) -> list[str]:
        """Parameters that the last update left as they were (known for p2o's own backend)."""
        engine = self.weight_transfer_engine
        return engine.missing_weights() if isinstance(engine, TransferEngine) else []

    def p2o_abandon_update(self) -> None:
        """Ends an update that failed half-way, so that the next one can start."""
        if isinstance(self.weight_transfer_engine, TransferEngine):
            self.weight_transfer_engine.abandon()
        self._weight_update_active = False


WeightTransferEngineFactory.register_engine(BACKEND, TransferEngine)
