"""The trainer's model, as p2o's sampler and scoring take it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def own_model(trainer: Any) -> Any:
    """The trainer's model without what accelerate and peft put around it; adapters stay in it."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def frozen_copy(model: Any) -> Any:
    """A copy with weights of its own."""
    found = copy.deepcopy(model).eval()
    # accelerate puts a function in the place of `forward`: that of a copy would go on calling the model.
    vars(found).pop("forward", None)
    return found


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model without dropout and gradient checkpointing."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
