"""Bytes: of a weight by its type, and of what takes memory on a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Place = Literal["GPU", "host"]

ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a weight, by `model.dtype`."""

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Item:
    """What takes memory on a process."""

    name: str
    place: Place
    size: int | None
    """Bytes; None where they are not known: the name then says as much as there is to say."""

    apart: bool = False
    """Not in memory all the time a step takes: a sampler's, where it sleeps while the trainer works."""


def largest(config: Any, name: str) -> int | None:
    """A size of a configuration, None where it has none. Where layers have sizes of their own, in a list or each in a
    configuration (Gemma 4), the largest: transformers refuses to name one for all of them."""
    layers = config.per_layer_config if getattr(config, "is_heterogeneous", False) else (config,)
    found = [getattr(layer, name, None) for layer in layers]
    sizes = [each for size in found for each in (size if isinstance(size, list | tuple) else (size,))]
    return max((size for size in sizes if size is not None), default=None)


def attention_sizes(config: Any) -> tuple[int, int, int] | None:
    """Query heads, key/value heads and their size in a model's widest layer; None for one without attention."""
    config = config.get_text_config(decoder=True)
    heads = largest(config, "num_attention_heads")
    if not heads:
        return None
    keys = largest(config, "num_key_value_heads") or heads
    return heads, keys, largest(config, "head_dim") or config.hidden_size // heads
