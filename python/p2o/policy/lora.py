"""Low-rank adapters by `peft`, in place: the model stays a transformers model, with a few more parameters.

A wrapped model would hide its body and its head from samplers and scoring, so the adapters are injected instead. Every
other parameter is frozen. Adapters have the weights' type: on bfloat16 weights both backends train float32 copies.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2o.errors import ConfigError, MissingDependencyError
from p2o.policy.optimizer_config import LoraConfig

ADAPTER = "default"
"""peft's name of the one adapter."""


def add_adapters(model: Any, config: LoraConfig) -> None:
    """Freezes `model` and injects trainable adapters, the second factor 0: at first nothing changes.

    Raises:
        ConfigError: if no layer has one of the names in `target_modules`, or one that has cannot be merged.
        MissingDependencyError: if peft is missing.
    """
    try:
        from peft import inject_adapter_in_model
    except ImportError as error:
        raise MissingDependencyError("optimizer.lora needs peft: pip install 'p2o-rl[lora]'") from error
    try:
        with warnings.catch_warnings():
            # Of what it does about Conv1D, and of targets in layers that have no experts.
            warnings.simplefilter("ignore")
            inject_adapter_in_model(peft_config(config), model, adapter_name=ADAPTER)
    except ValueError as error:
        raise ConfigError(f"optimizer.lora.target_modules: {str(error).splitlines()[0]}") from error
    check_mergeable(model)
    for name, parameter in model.named_parameters():
        adapter = is_adapter(name)
        parameter.requires_grad_(adapter)
        if adapter:
            parameter.data = parameter.data.to(model.dtype)


def check_mergeable(model: Any) -> None:
    """Refuses adapters whose product is not simply added to the weight of one linear layer.

    peft adapts experts (stacked parameters), embeddings and convolutions in forms of their own. A weight that another
    module uses too (tied embeddings) would be changed there by a merge.

    Raises:
        ConfigError: naming the layer and those that can be adapted.
    """
    from transformers.pytorch_utils import Conv1D

    users = defaultdict(list)
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            users[id(parameter)].append(name.removesuffix(".base_layer"))
    refused, mergeable = {}, set()
    for name, layer in lora_layers(model).items():
        base = layer.get_base_layer()
        if ADAPTER not in layer.lora_A or not isinstance(layer.base_layer, nn.Linear | Conv1D):
            refused[name] = f"a {type(base).__name__}, not a linear layer"
        elif len(shared := users[id(base.weight)]) > 1:
            refused[name] = f"tied to {next(other for other in shared if other != name)}"
        else:
            mergeable.add(name.rpartition(".")[2])
    for name, reason in refused.items():
        others = ", ".join(f'"{other}"' for other in sorted(mergeable - {name.rpartition(".")[2]}))
        raise ConfigError(
            f"optimizer.lora.target_modules: {name.removesuffix('.base_layer')} is {reason}: an adapter on it cannot "
            f"be merged into the model; {f'set it to some of [{others}]' if others else 'name other layers'}"
        )


def uncalled(model: Any, run: Callable[[], Any]) -> str | None:
    """An adapter that has no part in what `run` computes, since the model takes the weight from the layer (Mamba's
    `dt_proj`); None if there is none. A layer counts if one of its name is called: not every expert is."""
    called = set()
    layers = lora_layers(model)
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: called.add(name.rpartition(".")[2]))
        for name, layer in layers.items()
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return next((name for name in layers if name.rpartition(".")[2] not in called), None)


def peft_config(config: LoraConfig) -> Any:
    """The same settings as peft writes them."""
    from peft import LoraConfig as PeftConfig

    return PeftConfig(
        r=config.rank,
        lora_alpha=2 * config.rank,
        target_modules=list(config.target_modules) or "all-linear",
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )


def linear_shapes(model: Any) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of every linear layer of a plain model but the output matrix, by name."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    shapes = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            shapes[name] = (module.out_features, module.in_features)
        elif isinstance(module, Conv1D):
            shapes[name] = (module.nf, module.nx)
    return shapes


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return ".lora_A." in name or ".lora_B." in name


def lora_layers(model: Any) -> dict[str, Any]:
    """The layers with an adapter by name; none in a model without."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def merged_weight(layer: Any) -> Tensor:
    """W + alpha / rank · B A, added in float32 and rounded once to the weight's type."""
    weight: Tensor = layer.base_layer.weight
    product = layer.lora_B[ADAPTER].weight.float() @ layer.lora_A[ADAPTER].weight.float()
    if layer.fan_in_fan_out:  # Conv1D keeps its weight as [inputs, outputs]
        product = product.T
    return (weight.float() + layer.scaling[ADAPTER] * product).to(weight.dtype)


@dataclass(frozen=True, slots=True)
class Adapter:
    """The adapters of a model as they are now, on the CPU."""

    config: LoraConfig
    tensors: dict[str, Tensor]
    """By `adapter_name`."""
    source: str
    """The start model's name or folder."""

    def write(self, folder: Path) -> None:
        """Makes the folder, with what peft (and vLLM) load over the start model."""
        from safetensors.torch import save_file

        folder.mkdir()
        written = peft_config(self.config)
        written.base_model_name_or_path = self.source
        written.inference_mode = True
        written.save_pretrained(folder)
        save_file(self.tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def adapter_name(name: str) -> str:
    """peft's name on disk of an adapter's parameter."""
    return "base_model.model." + name.replace(f".{ADAPTER}.", ".")
