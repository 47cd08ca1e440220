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


def largest(size: Any) -> int | None:
    """A size of a configuration; the largest where layers have sizes of their own, None where it has none."""
    return (max(size) if size else None) if isinstance(size, list | tuple) else size


def attention_sizes(config: Any) -> tuple[int, int, int] | None:
    """Query heads, key/value heads and their size in a model's widest layer; None for one without attention."""
    config = config.get_text_config(decoder=True)
    heads = largest(getattr(config, "num_attention_heads", None))
    if not heads:
        return None
    keys = largest(getattr(config, "num_key_value_heads", None)) or heads
    return heads, keys, largest(getattr(config, "head_dim", None)) or config.hidden_size // heads
