"""Bytes: of a weight by its type, and of what takes memory on a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
