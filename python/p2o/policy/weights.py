"""The weights of a model under their Hugging Face names: in groups for samplers, whole for exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from p2o.policy.lora import ADAPTER, Adapter, is_adapter, lora_layers, merged_weight

Gather = Callable[[list[Any]], AbstractContextManager[None]]
"""A context in which the parameters it is called with are whole."""


WEIGHT_GROUP_BYTES = 2**30
"""About how much of a model is gathered at once when its weights move to a sampler."""


class Weights(Protocol):
    """What a sampler takes over."""

    model: Any
    """The module (a transformers model)."""

    shares_model: bool
    """Whether `model` holds the whole current weights, so that a sampler in this process can draw from it."""

    def weights(self, *, merged: bool = True) -> Iterator[list[tuple[str, Any]]]:
        """The current weights and saved buffers under their Hugging Face names, whole, in groups of about
        `WEIGHT_GROUP_BYTES`.

        Tied weights come once. LoRA is merged, or left out. A group's tensors are only good until the next one is asked
        for.
        """
        ...

    def adapter(self) -> Adapter | None:
        """The adapters that `weights(merged=False)` leaves out; None where there are none. All ranks call it."""
        ...


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight of the plain model."""

    name: str
    parameters: tuple[Any, ...]
    """What it is made of: itself, or a weight and its adapters."""
    compute: Callable[[], Tensor]
    """The weight, once its parameters are whole."""

    @property
    def nbytes(self) -> int:
        """Bytes it takes, whole. ZeRO-3 leaves a partitioned parameter's own size empty."""
        weight = self.parameters[0]
        return int(getattr(weight, "ds_numel", weight.numel())) * int(weight.element_size())


class FrozenWeights:
    """A model that is not trained, for a sampler to take over: [`Weights`][]."""

    shares_model = True

    def __init__(self, model: Any) -> None:
        self.model = model

    def weights(self, *, merged: bool = True) -> Iterator[list[tuple[str, Tensor]]]:
        """The model's weights in groups."""
        yield from weight_groups(model_weights(self.model, merged=merged))

    def adapter(self) -> Adapter | None:
        """None."""
        return None


def model_weights(model: Any, *, merged: bool = True) -> list[Weight]:
    """Every weight once, tied ones too, and the buffers that are saved, under the names of the model without adapters,
    which are merged into the weights or left out.

    Buffers are not trained, but an engine has them from here alone: the biases by which a router chooses experts, say.
    """
    layers = lora_layers(model)
    weights = []
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            continue
        module, _, leaf = name.rpartition(".")
        layer = layers.get(module.removesuffix(".base_layer"))
        if merged and layer is not None and leaf == "weight":
            adapters = (layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight)
            weights.append(
                Weight(plain_name(name), (parameter, *adapters), lambda layer=layer: merged_weight(layer))  # type: ignore[misc]
            )
        else:
            weights.append(Weight(plain_name(name), (parameter,), parameter.detach))
    saved = model.state_dict().keys()
    return weights + [
        Weight(plain_name(name), (buffer,), buffer.detach)
        for name, buffer in model.named_buffers()
        if name in saved
    ]


def plain_name(name: str) -> str:
    """The name of a weight in the model without adapters."""
    return name.replace(".base_layer.", ".")


def saved_weights(weights: Weights, *, merged: bool = True) -> Iterator[list[tuple[str, Tensor]]]:
    """The groups of `weights.weights(merged=merged)` as the model's files hold them, which is what engines read.

    transformers keeps the experts of a layer in one tensor, and renames some parts when it loads a model.
    """
    from transformers.core_model_loading import revert_weight_conversion

    groups = weights.weights() if merged else weights.weights(merged=False)
    try:
        for group in groups:
            yield list(revert_weight_conversion(weights.model, dict(group)).items())
    except Exception:
        drain(groups)
        raise


def drain(groups: Iterable[Any]) -> None:
    """Gathers what is not used: gathering is a collective, and the other ranks would wait for this one."""
    for _ in groups:
        pass


def weight_groups(
    weights: Iterable[Weight], gather: Gather = lambda _: nullcontext()
) -> Iterator[list[tuple[str, Tensor]]]:
    """Names and tensors in groups of about `WEIGHT_GROUP_BYTES`; no more than one group is gathered at a time."""
    group: list[Weight] = []
    size = 0

    def gathered() -> Iterator[list[tuple[str, Tensor]]]:
        with gather([parameter for weight in group for parameter in weight.parameters]):
            yield [(weight.name, weight.compute()) for weight in group]

    for weight in weights:
        if group and size + weight.nbytes > WEIGHT_GROUP_BYTES:
            yield from gathered()
            group, size = [], 0
        group.append(weight)
        size += weight.nbytes
    if group:
        yield from gathered()


def host_state(groups: Iterable[list[tuple[str, Tensor]]], *, keep: bool = True) -> dict[str, Tensor]:
    """The groups' tensors on the CPU, as a state dictionary.

    Without `keep` it is empty: every rank of a partitioned model takes part in the gathering, one needs the result.
    """
    return {
        name: torch.empty_like(tensor, device="cpu").copy_(tensor)
        for group in groups
        for name, tensor in group
        if keep
    }
