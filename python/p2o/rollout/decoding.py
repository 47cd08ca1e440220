"""How the sampler `hf` reads prompts and goes on token by token: a decoder holds a batch's cache.

`GrowingDecoder` appends to transformers' own cache, which any model has. On a GPU a step of a small model is then bound
by the launch of its kernels; `FixedDecoder` (`fixed_decoding.py`) replays a step as one CUDA graph instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from p2o.errors import ModelError


class RecordingError(Exception):
    """A decoding step could not be taken on a fixed cache, or not recorded as a CUDA graph."""


class Decoder(Protocol):
    """The cache of a batch of rows, and the step from one token to the next."""

    shrink_at: float
    """Share of rows still wanted at which the others are worth leaving out."""

    def step(self, tokens_R: Tensor) -> Tensor:
        """Appends a token to each row; the logits [rows, vocabulary] after it, valid until the next step."""
        ...

    def keep(self, positions: Tensor) -> None:
        """Goes on with the rows at these positions."""
        ...


@dataclass(frozen=True, slots=True)
class ReadPrompts:
    """Distinct prompts, padded on the left and read by the model, and the rows that go on from them."""

    logits_R: Tensor
    """After each row's prompt, [rows, vocabulary]."""

    cache: Any
    """transformers' cache of the distinct prompts."""

    attention_mask: Tensor
    """[prompts, width]."""

    prompt_of_R: Tensor
    """The prompt of each row."""


def cache_argument(model: Any) -> str:
    """The name under which the model takes and returns a cache: `cache` from transformers 5.24 on.

    Raises:
        ModelError: if it has none.
    """
    known = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    for name in ("cache", "past_key_values", "cache_params"):
        if name in known:
            return name
    raise ModelError(f'{type(model).__name__} takes no cache to decode on: set rollout.sampler = "vllm"')


def read_prompts(model: Any, prompts_R: Sequence[tuple[int, ...]], pad_id: int) -> ReadPrompts:
    """Reads the prompts of all rows; equal ones once."""
    prompts = list(dict.fromkeys(prompts_R))
    width = max(map(len, prompts))
    input_ids = torch.full((len(prompts), width), pad_id)
    attention_mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
        attention_mask[row, width - len(prompt) :] = 1
    attention_mask = attention_mask.to(model.device)
    output = model(
        input_ids=input_ids.to(model.device),
        attention_mask=attention_mask,
        position_ids=(attention_mask.cumsum(1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    number_of = {prompt: number for number, prompt in enumerate(prompts)}
    prompt_of_R = torch.tensor([number_of[prompt] for prompt in prompts_R], device=model.device)
    cache = output.get(cache_argument(model))
    if not hasattr(cache, "reorder_cache"):
        raise ModelError(
            f"{type(model).__name__} returns no cache whose rows can be chosen among: set rollout.sampler = "
            '"vllm"'
        )
    return ReadPrompts(output.logits[prompt_of_R, -1], cache, attention_mask, prompt_of_R)


class GrowingDecoder:
    """Decodes on transformers' cache, which grows with every token."""

    shrink_at = 0.75

    def __init__(self, model: Any, prompts: ReadPrompts) -> None:
        self.model = model
        self.cache = prompts.cache
        self.cache.reorder_cache(prompts.prompt_of_R)
        self.attention_mask = prompts.attention_mask[prompts.prompt_of_R]
        self.argument = cache_argument(model)
        # State-space models have read the padding by now, and would take the mask for that of the new tokens.
        layers = getattr(self.cache, "layers", None)
        self.takes_mask = not layers or any(hasattr(layer, "keys") for layer in layers)

    def step(self, tokens_R: Tensor) -> Tensor:
        """See [`Decoder`][p2o.rollout.decoding.Decoder]."""
        seen = self.attention_mask
        self.attention_mask = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
        output = self.model(
            input_ids=tokens_R[:, None],
            attention_mask=self.attention_mask if self.takes_mask else None,
            position_ids=self.attention_mask.sum(1, keepdim=True) - 1,
            use_cache=True,
            **{self.argument: self.cache},
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def keep(self, positions: Tensor) -> None:
        """See [`Decoder`][p2o.rollout.decoding.Decoder]."""
        self.cache.reorder_cache(positions)
        self.attention_mask = self.attention_mask[positions]
