"""Gradient checkpointing: activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from p2o.errors import ModelError


def enable_checkpointing(model: Any) -> None:
    """Prepares `model` for [`checkpointing`][].

    Raises:
        ModelError: if the architecture cannot.
    """
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ModelError(
            f"{type(model).__name__} cannot compute activations again: set optimizer.gradient_checkpointing = false"
        )
    if hasattr(model, "activation_checkpointing_enable"):  # its name since transformers 5.24
        model.activation_checkpointing_enable({"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable({"use_reentrant": False})


@contextmanager
def checkpointing(model: Any, enabled: bool) -> Iterator[None]:
    """Computes the layers' activations again in the backward passes of the block.

    transformers asks a layer's own `training` flag. While the layer computes it is off, since some drop out inputs by
    it; outside the block too, since it would cost a sampler its cache.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    flagged = [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
    # What holds such layers is flagged as well, and leaves the work to them. Code of a model's own may have none.
    layers = [module for module in flagged if isinstance(module, GradientCheckpointingLayer)] or flagged
    asked = [(layer, layer._gradient_checkpointing_func) for layer in layers] if enabled else []
    for layer, checkpoint in asked:
        layer.training = True
        if isinstance(layer, GradientCheckpointingLayer):
            layer._gradient_checkpointing_func = _evaluating(layer, checkpoint)
    try:
        yield
    finally:
        for layer, checkpoint in asked:
            layer.training = False
            layer._gradient_checkpointing_func = checkpoint


def _evaluating(layer: Any, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """`checkpoint`, by which the layer computes in evaluation mode, at first and again."""

    def checkpointed(compute: Callable[..., Any], *inputs: Any) -> Any:
        def evaluated(*given: Any) -> Any:
            layer.training = False
            try:
                return compute(*given)
            finally:
                layer.training = True

        return checkpoint(evaluated, *inputs)

    return checkpointed
