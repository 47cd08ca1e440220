"""Settings of the optimizer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from p2o.settings import Settings


class OptimizerConfig(Settings):
    """The optimizer and its schedule."""

    backend: Literal["torch"] = "torch"
    """Who trains: `torch` is one process on one device."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up: constant, or down to 0 at the last planned step."""

    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps in which the learning rate rises linearly to its peak."""

    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""

    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's decay of the gradient mean."""

    beta2: float = Field(0.999, ge=0, lt=1)
    """AdamW's decay of the squared gradient mean."""

    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""

    micro_batch_tokens: int = Field(16384, ge=1)
    """Tokens in one forward pass, padding included. A longer row goes alone."""
