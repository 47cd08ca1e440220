"""Decoding on a cache of fixed size, where a step has the same shapes and addresses as the one before.

On a GPU the step is recorded once as a CUDA graph and replayed: a forward pass of a small model is hundreds of kernels,
and launching them takes several times as long as running them. Attention reads the cache up to a length that grows in
strides; each stride has a graph of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from p2o.policy.attention import VARLEN_ATTENTION, supports_varlen, use_varlen
from p2o.rollout.decoding import ReadPrompts, RecordingError, cache_argument

_STRIDE = 64
"""Columns by which a short cache grows; a long one by a sixteenth to an eighth of its length."""


def why_not_fixed(model: Any, prompts: ReadPrompts) -> str | None:
    """What keeps `model` from decoding on a fixed cache; None if nothing does."""
    if not getattr(model, "_can_compile_fullgraph", False):
        return "its forward pass depends on its input"
    if model.config._attn_implementation not in ("sdpa", "eager", VARLEN_ATTENTION):
        return f"its attention is {model.config._attn_implementation}"
    layers = getattr(prompts.cache, "layers", ())
    if not layers or any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return "its cache is more than keys and values"
    if any(not layer.is_initialized for layer in layers):
        return "its layers share their keys and values"
    kinds = getattr(_text_config(model), "layer_types", None)
    if len(set(_windows(prompts))) > 1 and kinds is None:
        return "it does not tell which layers have a sliding window"
    if "chunked_attention" in (kinds or ()):  # whose cache is that of a window, but not its mask
        return "its layers attend within chunks"
    return None


def stride_up(columns: int) -> int:
    """The length of cache that attention reads where `columns` are filled."""
    stride = _STRIDE << max(0, (columns // (8 * _STRIDE)).bit_length() - 1)
    return -(-columns // stride) * stride


class FixedLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not followed by mypy
    """Keys and values of one layer, [rows, heads, columns, size], written column by column."""

    def __init__(self, read: Any, prompt_of_R: Tensor, width: int, columns: int, column: Tensor) -> None:
        super().__init__()
        self.column = column
        self.length = columns
        self.keys, self.values = (
            _placed(states, prompt_of_R, width, columns) for states in (read.keys, read.values)
        )
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes the current column and returns the columns that attention reads."""
        self.keys.index_copy_(2, self.column, key_states)
        self.values.index_copy_(2, self.column, value_states)
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def keep(self, positions: Tensor) -> None:
        """Goes on with the rows at these positions."""
        self.keys, self.values = self.keys[positions], self.values[positions]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns read and the first of them."""
        return self.length, 0

    def get_seq_length(self) -> int:
        """Columns read; positions are always given."""
        return self.length

    def get_max_length(self) -> int:
        """Columns there are."""
        return int(self.keys.shape[2])

    def get_max_cache_shape(self) -> int:
        """The same under its name before transformers 5.14."""
        return self.get_max_length()


def _placed(states: Tensor, prompt_of_R: Tensor, width: int, columns: int) -> Tensor:
    """The prompts' states in front of empty columns. A sliding layer has kept only the last ones."""
    _, heads, kept, size = states.shape
    placed = states.new_zeros(len(prompt_of_R), heads, columns, size)
    placed[:, :, width - kept : width] = states[prompt_of_R]
    return placed


class FixedDecoder:
    """Decodes on a fixed cache; on a GPU a step is the replay of a CUDA graph."""

    shrink_at = 0.5  # a new number of rows is a new graph

    def __init__(self, model: Any, prompts: ReadPrompts, max_tokens: int) -> None:
        if supports_varlen(model):
            use_varlen(model)  # its decoding step shares keys and values among the query heads
        self.model = model
        self.argument = cache_argument(model)
        mask = prompts.attention_mask[prompts.prompt_of_R]
        rows, width = mask.shape
        columns = stride_up(width + max_tokens)
        device = mask.device
        self.column = torch.tensor([width], device=device)
        self.layers = [
            FixedLayer(layer, prompts.prompt_of_R, width, columns, self.column)
            for layer in prompts.cache.layers
        ]
        self.cache = Cache(layers=list(self.layers))
        self.windows = _windows(prompts)
        self.hidden = torch.finfo(model.dtype).min
        self.mask = torch.full((rows, 1, 1, columns), self.hidden, dtype=model.dtype, device=device)
        self.mask[:, 0, 0, :width].masked_fill_(mask.bool(), 0)
        self.columns = torch.arange(columns, device=device)
        self.positions = mask.sum(1, keepdim=True)
        self.tokens = torch.zeros((rows, 1), dtype=torch.long, device=device)
        self.filled = width
        self.graph: Any = None
        self.warm = False
        self.logits = prompts.logits_R

    def step(self, tokens_R: Tensor) -> Tensor:
        """See [`Decoder`][p2o.rollout.decoding.Decoder].

        Raises:
            RecordingError: if the model cannot be called so, or its forward pass holds what a graph cannot.
        """
        self.tokens.copy_(tokens_R[:, None])
        try:
            self._append()
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a model that does not take such a mask or cache can raise anything
            raise RecordingError(str(error)) from error
        self.filled += 1
        return self.logits

    def _append(self) -> None:
        length = stride_up(self.filled + 1)
        if length != self.layers[0].length or self.graph is None:
            for layer in self.layers:
                layer.length = length
            if self.tokens.is_cuda:
                self._record()
        if self.graph is not None:
            self.graph.replay()
        else:
            self._forward()
            self._advance()

    def keep(self, positions: Tensor) -> None:
        """See [`Decoder`][p2o.rollout.decoding.Decoder]."""
        self.graph = None
        for layer in self.layers:
            layer.keep(positions)
        self.mask, self.positions = self.mask[positions], self.positions[positions]
        self.tokens = self.tokens[positions]

    def _forward(self) -> None:
        self.mask.index_fill_(3, self.column, 0)
        output = self.model(
            input_ids=self.tokens,
            attention_mask=self._masks(),
            position_ids=self.positions,
            use_cache=True,
            **{self.argument: self.cache},
        )
        self.logits = output.logits[:, -1]

    def _advance(self) -> None:
        self.column += 1
        self.positions += 1

    def _masks(self) -> Any:
        """A mask of four dimensions, which transformers passes on as it is; one by kind where layers differ."""
        length = self.layers[0].length
        by_window = {window: self._mask(window, length) for window in set(self.windows)}
        if len(by_window) == 1:
            return by_window[self.windows[0]]
        kinds = _text_config(self.model).layer_types
        return {kind: by_window[window] for kind, window in zip(kinds, self.windows, strict=False)}

    def _mask(self, window: int | None, length: int) -> Tensor:
        mask = self.mask[..., :length]
        if window is None:
            return mask
        return mask.masked_fill(self.columns[:length] <= self.column - window, self.hidden)

    def _record(self) -> None:
        """Records a step for the present rows and length. The step is not taken."""
        self.graph = None  # its memory is free for the next
        if not self.warm:
            self._warm_up()
            self.warm = True
        graph = torch.cuda.CUDAGraph()
        # What other threads do meanwhile (NCCL's watchdog) is none of the graph's.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._forward()
            self._advance()
        self.graph = graph

    def _warm_up(self) -> None:
        """Libraries set themselves up at their first call, which must not be recorded; the column is written again."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._forward()
        torch.cuda.current_stream().wait_stream(side)


def _windows(prompts: ReadPrompts) -> list[int | None]:
    """The sliding window of each layer; None where it sees all tokens."""
    return [layer.sliding_window if layer.is_sliding else None for layer in prompts.cache.layers]


def _text_config(model: Any) -> Any:
    return model.config.get_text_config(decoder=True)
