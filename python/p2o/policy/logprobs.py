"""Log-probabilities of given tokens from hidden states, in chunks: logits are held in the model's own type, and only as
long as they are few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from p2o.errors import InputError, ModelError, in_one_line
from p2o.policy.logits import ChosenLogprobs

CHUNK_TOKENS = 512
"""Tokens of a chunk: CHUNK_TOKENS x vocabulary logits at a time (50 MB at 50k in bfloat16), in float32 on a GPU."""

KEPT_BYTES = 1 << 30
"""Logits of a micro-batch that are kept for the backward pass; of a larger one they are computed again."""


def token_logprobs(
    hidden_ND: Tensor,
    targets_N: Tensor,
    head: Callable[[Tensor], Tensor],
    *,
    temperature: float = 1.0,
    chunks: int = 1,
    keep: bool = False,
) -> Tensor:
    """log p(target) under softmax(head(hidden) / temperature), differentiable in `hidden_ND` and the head.

    Logits are computed and reduced a chunk at a time. The backward pass finds them again with `keep`, or where there is
    one chunk; else it computes them anew.

    Args:
        hidden_ND: last hidden states at the positions that predict the targets, shape [N, hidden size].
        targets_N: token ids, shape [N].
        head: hidden states to logits, shape [n, D] -> [n, V]: `output_head(model)`.
        temperature: the sampling temperature, for the distribution that was sampled from.
        chunks: how many, some of them empty where there are fewer tokens. Where a call of the head gathers its weights
            from other processes, all of them must make as many.
        keep: whether logits are held for the backward pass: see `kept`.

    Returns:
        float32 log-probabilities in nats, shape [N].

    Raises:
        InputError: if shapes disagree, or the temperature is not positive.
    """
    if hidden_ND.dim() != 2 or targets_N.shape != hidden_ND.shape[:1]:
        raise InputError(
            "hidden states of shape [N, D] and targets of shape [N] are needed, "
            f"not {tuple(hidden_ND.shape)} and {tuple(targets_N.shape)}"
        )
    if temperature <= 0.0:
        raise InputError(
            f"the temperature must be positive, not {temperature}: greedy decoding has no log-probabilities"
        )
    parts_ND = list(zip(hidden_ND.tensor_split(chunks), targets_N.tensor_split(chunks), strict=True))

    def one_chunk(hidden: Tensor, targets: Tensor) -> Tensor:
        logprobs: Tensor = ChosenLogprobs.apply(head(hidden), targets, temperature)
        return logprobs

    if keep or chunks == 1 or not torch.is_grad_enabled():
        parts = [one_chunk(hidden, targets) for hidden, targets in parts_ND]
    else:
        parts = [
            # The head draws no random numbers, so there is no generator state to restore.
            checkpoint(one_chunk, hidden, targets, use_reentrant=False, preserve_rng_state=False)
            for hidden, targets in parts_ND
        ]
    return torch.cat(parts)


def kept(chunks: int, vocabulary: int, itemsize: int) -> bool:
    """Whether the logits of so many chunks are few enough to be held. It does not depend on a rank's own tokens."""
    return chunks * CHUNK_TOKENS * vocabulary * itemsize <= KEPT_BYTES


def output_head(model: Any) -> Callable[[Tensor], Tensor]:
    """The map from last hidden states to logits of a causal language model of transformers.

    Beside the output matrix it applies what some architectures do to logits afterwards: a factor (`logit_scale` of
    Cohere), a divisor (`logits_scaling` of Granite), a soft cap (`final_logit_softcapping` of Gemma).

    Raises:
        ModelError: if the model has no output matrix.
    """
    matrix = model.get_output_embeddings()
    if matrix is None:
        raise ModelError(f"{type(model).__name__} has no output embeddings: give a causal language model")
    config = model.config.get_text_config(decoder=True)
    factor = float(getattr(config, "logit_scale", None) or 1.0)
    divisor = float(getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)

    def head(hidden: Tensor) -> Tensor:
        logits: Tensor = matrix(hidden)
        if factor != divisor:
            logits = logits * (factor / divisor)
        if cap:
            logits = torch.tanh(logits / cap) * cap
        return logits

    return head


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def check_output_head(model: Any, *, tolerance: float = 1e-3) -> None:
    """Compares `output_head` with the model's own logits on a few tokens.

    Raises:
        ModelError: if they differ by more than `tolerance` (relative to the largest logit): the architecture
            changes its logits in a way `output_head` does not know; or if it is built in another way altogether.
    """
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    tokens = torch.arange(4, device=next(model.parameters()).device)[None] % vocabulary
    was_training = model.training
    model.eval()
    try:
        own = model(input_ids=tokens, use_cache=False).logits.float()
        hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        ours = output_head(model)(hidden).float()
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a model that is built in another way can raise anything
        reason = in_one_line(error)
        raise ModelError(
            f"{type(model).__name__} is not built like a causal text model with one output matrix ({reason}): use "
            "another architecture"
        ) from error
    finally:
        model.train(was_training)
    if (own - ours).abs().max() > tolerance * own.abs().max().clamp(min=1.0):
        raise ModelError(
            f"{type(model).__name__} changes its logits after the output matrix in a way not known here: "
            "use another architecture"
        )
