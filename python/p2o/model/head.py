"""The output matrix of a bfloat16 model, multiplied in float32 (`model.head_dtype`).

bfloat16 rounds logits from 8 to 16 to multiples of 1/16, and sampler and trainer round theirs differently. The weights
stay as they are; the setting is written into the model's configuration under the name that vLLM reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from p2o.errors import ModelError

SLICE = 2048
"""Rows of the matrix that are in float32 at a time, where no kernel adds up 16-bit products in float32."""


class Float32Head(nn.Linear):  # type: ignore[misc]  # torch is not followed by mypy
    """A linear layer with float32 outputs, whatever type its weights have."""

    def forward(self, hidden: Tensor) -> Tensor:
        """float32 logits, [..., V] from hidden states [..., D]."""
        logits: Tensor = Float32Product.apply(hidden.flatten(0, -2), self.weight)
        if self.bias is not None:
            logits = logits + self.bias.float()
        return logits.unflatten(0, hidden.shape[:-1])


class Float32Product(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
    """hidden @ weight.T in float32: `apply(hidden_ND, weight_VD)`, without a float32 copy of the whole matrix.

    Products of two 16-bit numbers are exact in float32, and so only their sums are rounded. In the backward pass the
    gradient is rounded to the weights' type, as in every other layer.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor) -> Tensor:
        """float32, shape [N, V]."""
        ctx.save_for_backward(hidden_ND, weight_VD)
        if hidden_ND.is_cuda:
            product: Tensor = torch.mm(hidden_ND, weight_VD.T, out_dtype=torch.float32)
            return product
        hidden_ND = hidden_ND.float()
        logits_NV = hidden_ND.new_empty(len(hidden_ND), len(weight_VD))
        for rows in _slices(len(weight_VD)):
            torch.mm(hidden_ND, weight_VD[rows].float().T, out=logits_NV[:, rows])
        return logits_NV

    @staticmethod
    def backward(ctx: Any, gradient_NV: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gradients by hidden states and weights, in their type."""
        hidden_ND, weight_VD = ctx.saved_tensors
        gradient_NV = gradient_NV.to(weight_VD.dtype)
        by_hidden = gradient_NV @ weight_VD if ctx.needs_input_grad[0] else None
        by_weight = gradient_NV.T @ hidden_ND if ctx.needs_input_grad[1] else None
        return by_hidden, by_weight


def set_head_dtype(model: Any, head_dtype: str | None = None) -> None:
    """Makes the head of `model` compute in `head_dtype`; None: in what its configuration asks for, if anything.

    Raises:
        ModelError: if its head is no linear layer.
    """
    if (head_dtype or getattr(model.config, "head_dtype", None)) != "float32":
        return
    matrix = model.get_output_embeddings()
    if type(matrix) not in (nn.Linear, Float32Head):
        raise ModelError(
            f"the output matrix of {type(model).__name__} is a {type(matrix).__name__}, not a linear layer: its "
            "product cannot be taken in float32; leave out model.head_dtype"
        )
    model.config.head_dtype = "float32"
    if model.dtype != torch.float32:
        # In place: the layer keeps its weights, which may be tied or partitioned, its name and its hooks.
        matrix.__class__ = Float32Head


def logits_dtype(model: Any) -> torch.dtype:
    """The type of a model's logits."""
    float32 = getattr(model.config, "head_dtype", None) == "float32"
    dtype: torch.dtype = torch.float32 if float32 else model.dtype
    return dtype


def _slices(rows: int) -> Iterator[slice]:
    return (slice(start, start + SLICE) for start in range(0, rows, SLICE))
