"""Log-probabilities of chosen tokens from logits, with a backward pass that needs no further memory of their size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CACHED = 1 << 19
"""Logits that a processor takes up at a time: in float32 they stay in its cache."""


class ChosenLogprobs(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
    """log softmax(logits / temperature) at one place of each row: `apply(logits_NV, targets_N, temperature)`.

    Reduced in float32, whatever type the logits have. The gradient, (1 at the target - probability) / temperature a
    row, is written over the logits, which must have no other use in a backward pass; autograd refuses a second one.
    """

    @staticmethod
    def forward(ctx: Any, logits_NV: Tensor, targets_N: Tensor, temperature: float) -> Tensor:
        """float32 log-probabilities in nats, shape [N]."""
        normalizers_N = torch.empty(len(targets_N), device=logits_NV.device)
        for rows in _parts(logits_NV):
            normalizers_N[rows] = (logits_NV[rows].float() / temperature).logsumexp(dim=1)
        ctx.save_for_backward(logits_NV, targets_N, normalizers_N)
        ctx.temperature = temperature
        chosen_N = logits_NV.gather(1, targets_N[:, None]).squeeze(1)
        return chosen_N.float() / temperature - normalizers_N

    @staticmethod
    def backward(ctx: Any, gradient_N: Tensor) -> tuple[Tensor, None, None]:
        """The gradient by the logits, in their own memory."""
        logits_NV, targets_N, normalizers_N = ctx.saved_tensors
        gradient_N1 = (gradient_N / ctx.temperature)[:, None]
        for rows in _parts(logits_NV):
            part = logits_NV[rows].float()  # itself, where it is float32
            if ctx.temperature != 1.0:
                part.div_(ctx.temperature)
            part.sub_(normalizers_N[rows, None]).exp_().mul_(-gradient_N1[rows])
            part.scatter_add_(1, targets_N[rows, None], gradient_N1[rows])
            if part.dtype != logits_NV.dtype:
                logits_NV[rows] = part.to(logits_NV.dtype)
        return logits_NV, None, None


def _parts(logits_NV: Tensor) -> Iterator[slice]:
    """Rows to go through together: on a device all, on a processor as many as its cache holds."""
    count, vocabulary = logits_NV.shape
    size = max(1, CACHED // vocabulary) if logits_NV.device.type == "cpu" else max(1, count)
    return (slice(start, start + size) for start in range(0, count, size))
