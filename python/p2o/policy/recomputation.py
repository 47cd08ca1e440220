"""Gradient checkpointing: activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Iterator
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

    transformers asks a layer's own `training` flag. It stands for nothing else here: modules within, dropout among
    them, stay in evaluation mode. Outside the block it is off, since it would cost a sampler its cache.
    """
    layers = (
        [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
        if enabled
        else []
    )
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
