"""The sampler `hf`: any causal language model of transformers, batched, in the training process.

Prompts are padded on the left. Equal prompts (the n rollouts of a group) are read once and share their cache. Rows
that have ended leave the batch once there are enough of them. Each request draws from its own random stream, so its
completion does not depend on the batch it is in (bit for bit up to the rounding of batched matrix products).
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from p2o.errors import TrainingError
from p2o.model.load import longest_sequence
from p2o.rollout.config import Decoding
from p2o.rollout.decoding import Decoder, GrowingDecoder, ReadPrompts, RecordingError, read_prompts
from p2o.rollout.draw import draw
from p2o.rollout.encode import end_ids, pad_id
from p2o.rollout.sampler import Ended, Progress, Sample, Sampler, SampleRequest, SamplingParams, in_order
from p2o.sizes import ITEMSIZE, Item, attention_sizes

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.distributed import Processes
    from p2o.policy.weights import Weights

logger = logging.getLogger(__name__)

_STEPS_UNSEEN = 8
"""Steps of a GPU between two looks at which rows have ended: a look waits for the GPU."""

CPU_BATCH = 64
"""Rows at once on a CPU."""

GPU_BATCH = 4096
"""Most rows at once on a GPU."""

GPU_CACHE_SHARE = 0.2
"""Share of a GPU's memory that keys and values of the rows may take, where the batch size is not set."""

NOT_FINITE = (
    "the model's logits are not finite: its weights are damaged, or optimizer.learning_rate was too high; an earlier "
    "checkpoint may be sound"
)


def default_batch_size(cache_bytes: int, gpu_memory: int | None) -> int:
    """Rows at once where `rollout.batch_size` is not set.

    Args:
        cache_bytes: keys and values of one row at its longest.
        gpu_memory: bytes of the whole GPU, so that the same card takes the same batches; None: a CPU.
    """
    if gpu_memory is None:
        return CPU_BATCH
    return max(1, min(GPU_BATCH, int(GPU_CACHE_SHARE * gpu_memory) // cache_bytes))


def cache_bytes_per_token(config: Any, itemsize: int) -> int:
    """Bytes of the keys and values of a token in all layers of a model of this configuration; 1 if it has none."""
    sizes = attention_sizes(config)
    if sizes is None:
        return 1
    _, keys, size = sizes
    return int(2 * config.get_text_config(decoder=True).num_hidden_layers * keys * size * itemsize)


class HfSampler(Sampler):
    """Samples from `model` in batches of `batch_size` completions (None: what `default_batch_size` says).

    The model is the trainer's own, and `sync` has nothing to copy; where the trainer's weights are partitioned (ZeRO-3)
    it is a copy of the model in this process.
    """

    shares_weights = True

    def __init__(
        self,
        model: Any,
        *,
        end_ids: Sequence[int],
        pad_id: int,
        batch_size: int | None = None,
        decoding: Decoding = "auto",
    ) -> None:
        self.model = model
        self.end_ids = frozenset(end_ids)
        self.pad_id = pad_id
        self.batch_size = batch_size
        self.max_model_len = longest_sequence(model)
        on_gpu = model.device.type == "cuda"
        self.fixed = decoding == "fixed" or (decoding == "auto" and on_gpu)
        self.at_once = batch_size or (GPU_BATCH if on_gpu else CPU_BATCH)

    @classmethod
    def make(cls, config: Config, model: Any, tokenizer: Any, processes: Processes) -> Self:
        """The sampler over `model`."""
        return cls(
            model,
            end_ids=end_ids(model, tokenizer),
            pad_id=pad_id(tokenizer),
            batch_size=config.rollout.batch_size,
            decoding=config.rollout.decoding,
        )

    @classmethod
    def memory(cls, config: Config, model: Any, *, gpu: bool, gpu_memory: int | None) -> list[Item]:
        """On a GPU the cache of as many rows as are sampled at once, at their longest.

        Where the batch size follows from a GPU that is not known it is taken as the largest.
        """
        if not gpu:
            return []
        rollout = config.rollout
        longest = rollout.max_prompt_tokens + rollout.max_tokens
        row = longest * cache_bytes_per_token(model.config, ITEMSIZE[config.model.dtype])
        rows = rollout.batch_size
        if rows is None:
            rows = GPU_BATCH if gpu_memory is None else default_batch_size(row, gpu_memory)
        rows = min(rows, config.run.batch_problems * rollout.n)
        return [Item("keys and values of a step's rollouts", "GPU", rows * row)]

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def sync(self, policy: Weights) -> None:
        """Samples from the policy's own model from now on, or copies its weights where it is partitioned."""
        if policy.shares_model:
            self.model = policy.model
            return
        own = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        for group in policy.weights():
            for name, weight in group:
                own[name].copy_(weight)

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """Draws one completion per request; see [`p2o.rollout.sampler.Sampler`][]."""
        return in_order(HfSampler.stream(self, requests, params, progress))

    @torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        """Draws batch by batch; see [`p2o.rollout.sampler.Sampler.stream`][]. A batch takes no further requests."""
        known = list(requests)
        # Similar lengths together waste least padding; equal prompts stay together.
        order = sorted(range(len(known)), key=lambda i: (len(known[i].prompt_ids), known[i].prompt_ids, i))
        size = self._batch_size(known, params)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            for ended in self._draw([known[i] for i in rows], params, progress):
                yield [(rows[row], sample) for row, sample in ended]

    def _draw(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None
    ) -> Generator[Ended]:
        left = dict(enumerate(requests))
        try:
            for ended in self._draw_batch(requests, params, progress):
                for row, _ in ended:
                    del left[row]
                yield ended
            return
        except RecordingError as error:
            # At the first step, or where one on a longer cache or with fewer rows is recorded.
            self._give_up_fixed(str(error))
        rows = list(left)  # out here, since the error holds the cache of the batch
        for ended in self._draw_batch([*left.values()], params, progress):
            yield [(rows[row], sample) for row, sample in ended]

    def _batch_size(self, requests: Sequence[SampleRequest], params: SamplingParams) -> int:
        if self.batch_size is not None or not requests:
            return self.batch_size or 1
        if self.model.device.type != "cuda":
            return default_batch_size(1, None)
        longest = max(len(request.prompt_ids) for request in requests) + params.max_tokens
        per_token = cache_bytes_per_token(self.model.config, self.model.dtype.itemsize)
        memory = torch.cuda.get_device_properties(self.model.device).total_memory
        return default_batch_size(longest * per_token, memory)

    def _draw_batch(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None
    ) -> Generator[Ended]:
        """What ends of one batch, at each look."""
        device = self.model.device
        uniforms = torch.from_numpy(
            np.stack(
                [np.random.Generator(np.random.Philox(r.seed)).random(params.max_tokens) for r in requests]
            )
        ).to(device)
        prompts = read_prompts(self.model, [request.prompt_ids for request in requests], self.pad_id)
        logits = prompts.logits_R
        decoder = self._make_decoder(prompts, params.max_tokens)
        del prompts  # the decoder has what it needs of them
        end_ids = torch.tensor(sorted(self.end_ids), device=device)
        drawn_RT = torch.zeros(uniforms.shape, dtype=torch.long, device=device)
        logprobs_RT = torch.zeros(uniforms.shape, dtype=torch.float32, device=device)
        rows = torch.arange(len(requests), device=device)  # the request of each row still in the batch
        ended = torch.zeros_like(rows, dtype=torch.bool)
        left = set(range(len(requests)))  # requests that have not been handed on
        for step in range(params.max_tokens):
            drawn, logprobs = draw(logits, uniforms[rows, step], params)
            drawn_RT[rows, step], logprobs_RT[rows, step] = drawn, logprobs
            ended = ended | torch.isin(drawn, end_ids)
            if step + 1 == params.max_tokens:
                break
            looks = device.type == "cpu" or (step + 1) % _STEPS_UNSEEN == 0
            if looks:
                active = (~ended).nonzero()[:, 0]
                if not bool(logprobs[active].isfinite().all()):
                    raise TrainingError(NOT_FINITE)
                new = sorted(left - set(rows[active].tolist()))
                if not len(active):
                    break
                if len(active) <= decoder.shrink_at * len(rows):
                    decoder.keep(active)
                    rows, drawn, ended = rows[active], drawn[active], ended[active]
            logits = decoder.step(drawn)
            if looks:
                left -= set(new)
                if progress is not None and new:
                    progress(len(new))
                yield self._to_samples(new, drawn_RT, logprobs_RT)
        if progress is not None:
            progress(len(left))
        yield self._to_samples(sorted(left), drawn_RT, logprobs_RT)

    def _make_decoder(self, prompts: ReadPrompts, max_tokens: int) -> Decoder:
        """The decoder of a batch: recorded steps on a GPU where the model can, else transformers' growing cache."""
        if not self.fixed:
            return GrowingDecoder(self.model, prompts)
        from p2o.rollout.fixed_decoding import FixedDecoder, why_not_fixed

        reason = why_not_fixed(self.model, prompts)
        if reason is not None:
            self._give_up_fixed(reason)
            return GrowingDecoder(self.model, prompts)
        return FixedDecoder(self.model, prompts, max_tokens)

    def _give_up_fixed(self, reason: str) -> None:
        self.fixed = False
        logger.warning(
            "%s decodes step by step: %s",
            type(self.model).__name__,
            (reason.splitlines() or ["no reason given"])[0],
        )

    def _to_samples(self, rows: list[int], drawn_RT: Tensor, logprobs_RT: Tensor) -> Ended:
        """These rows, each up to its first end token.

        Raises:
            TrainingError: if a log-prob is no number.
        """
        if not rows:
            return []
        drawn, logprobs = drawn_RT[rows].cpu().numpy(), logprobs_RT[rows].cpu().numpy()
        ends = np.isin(drawn, list(self.end_ids))
        stopped_R = ends.sum(axis=1) > 0
        length_R = np.where(stopped_R, ends.argmax(1) + 1, drawn.shape[1])
        inside = np.arange(drawn.shape[1]) < length_R[:, None]
        if not np.isfinite(logprobs[inside]).all():
            raise TrainingError(NOT_FINITE)
        return [
            (
                row,
                Sample(
                    drawn[i, :length].tolist(), logprobs[i, :length].tolist(), "stop" if stopped else "length"
                ),
            )
            for i, (row, length, stopped) in enumerate(zip(rows, length_R, stopped_R, strict=True))
        ]
