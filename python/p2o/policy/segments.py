"""Attention over pieces of one row: prompts, and responses that go on from one of them.

Each piece is a call of `scaled_dot_product_attention` on its own queries, so that what a piece must not see is not
computed at all. A mask of all tokens by all tokens would cost the square of the row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


class Segments:
    """The pieces of a row, in their order.

    Args:
        lengths: tokens of each piece; together the row.
        parents: for each piece the place in `lengths` of the one that it goes on from, which stands before it; its own
            place if it begins a sequence.
    """

    def __init__(self, lengths: Sequence[int], parents: Sequence[int]) -> None:
        self.lengths = list(lengths)
        self.parents = list(parents)
        self.seen = [
            0 if parent == place else self.lengths[parent] for place, parent in enumerate(self.parents)
        ]
        self._masks: dict[int | None, Tensor] = {}

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None
    ) -> Tensor:
        """Causal attention of each piece to its parent and itself.

        Args:
            query: shape [1, heads, tokens, head size].
            key: shape [1, key/value heads, tokens, head size]; query heads share them in groups.
            value: like `key`.
            scaling: factor of the scores; None: 1 / sqrt(head size).
            window: tokens a token sees, itself included; None: all before it.

        Returns:
            Shape [1, tokens, heads, head size].
        """
        grouped = query.shape[1] != key.shape[1]
        # One node each in the backward pass; a slice of its own for each piece would be a row of zeros each.
        queries, keys, values = (states.split(self.lengths, dim=2) for states in (query, key, value))
        outputs = []
        for place, (length, parent, seen) in enumerate(
            zip(self.lengths, self.parents, self.seen, strict=True)
        ):
            asked, known, found = queries[place], keys[place], values[place]
            if seen:
                known = torch.cat([keys[parent], known], dim=2)
                found = torch.cat([values[parent], found], dim=2)
            narrow = window is not None and window < seen + length
            mask = None
            # Half the square of parent and piece together is less than the piece's rectangle if the piece is longer.
            square = not narrow and seen < length
            if square and seen:
                asked = torch.cat([queries[parent], asked], dim=2)
            elif not square:
                mask = self._mask(query, window if narrow else None, length, seen)
            output = scaled_dot_product_attention(
                asked, known, found, mask, is_causal=square, scale=scaling, enable_gqa=grouped
            )
            outputs.append(output[:, :, -length:])
        return torch.cat(outputs, dim=2).transpose(1, 2).contiguous()  # some models take a view of it

    def _mask(self, like: Tensor, window: int | None, length: int, seen: int) -> Tensor:
        """What is added to the scores of `length` queries that have `seen` tokens before them, [length, seen + length].

        All masks are parts of one, since they depend only on the distance of query and key. It is made once for all
        layers, which keep it for the backward pass.
        """
        before = max(self.seen)
        if window not in self._masks:
            longest = max(self.lengths)
            distance = torch.arange(longest)[:, None] + before - torch.arange(before + longest)[None]
            hidden = distance < 0
            if window is not None:
                hidden |= distance >= window
            mask = torch.zeros(hidden.shape, dtype=like.dtype).masked_fill_(hidden, -torch.inf)
            self._masks[window] = mask.to(like.device)
        return self._masks[window][:length, before - seen : before + length]
