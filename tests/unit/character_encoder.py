"""An encoder for samplers that are made up: a token a character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Encoder:
    """A token a character."""

    def encode(self, messages: Any) -> tuple[int, ...]:
        return tuple(ord(c) for message in messages for c in message["content"])

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))
