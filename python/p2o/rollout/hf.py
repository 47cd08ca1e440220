"""The sampler `hf`: any causal language model of transformers, batched, in the training process.

Prompts are padded on the left. Equal prompts (the n rollouts of a group) are read once and share their cache. Rows
that have ended leave the batch once they are a quarter of it. Each request draws from its own random stream, so its
completion does not depend on the batch it is in (bit for bit up to the rounding of batched matrix products).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from p2o.errors import TrainingError
from p2o.model.load import longest_sequence
from p2o.rollout.sampler import Progress, Sample, SampleRequest, SamplingParams

if TYPE_CHECKING:
    from p2o.policy.policy import Weights


class HfSampler:
    """Samples from `model` in batches of `batch_size` completions.

    The model is the trainer's own, and `sync` has nothing to copy; where the trainer's weights are partitioned (ZeRO-3)
    it is a copy of the model in this process.
    """

    ranks_per_engine = 1

    def __init__(self, model: Any, *, end_ids: Sequence[int], pad_id: int, batch_size: int = 64) -> None:
        self.model = model
        self.end_ids = frozenset(end_ids)
        self.pad_id = pad_id
        self.batch_size = batch_size
        self.max_model_len = longest_sequence(model)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def sync(self, policy: Weights) -> None:
        """Samples from the policy's own model from now on, or copies its weights where it is partitioned."""
        if policy.shares_model:
            self.model = policy.model
            return
        own = dict(self.model.named_parameters())
        for group in policy.weights():
            for name, weight in group:
                own[name].copy_(weight)

    def sleep(self) -> None:
        """Holds nothing but the trainer's own weights: nothing to give back."""

    @torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """Draws one completion per request; see [`p2o.rollout.sampler.Sampler`][]."""
        # Similar lengths together waste least padding; equal prompts stay together.
        order = sorted(
            range(len(requests)), key=lambda i: (len(requests[i].prompt_ids), requests[i].prompt_ids, i)
        )
        samples: dict[int, Sample] = {}
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = self._sample_batch([requests[i] for i in rows], params, progress)
            samples.update(zip(rows, batch, strict=True))
        return [samples[i] for i in range(len(requests))]

    def _sample_batch(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None
    ) -> list[Sample]:
        device = self.model.device
        uniforms = torch.from_numpy(
            np.stack(
                [np.random.Generator(np.random.Philox(r.seed)).random(params.max_tokens) for r in requests]
            )
        )
        logits, cache, attention_mask = self._read_prompts(requests)
        tokens: list[list[int]] = [[] for _ in requests]
        logprobs: list[list[float]] = [[] for _ in requests]
        ended = [False] * len(requests)
        rows = list(range(len(requests)))  # the request of each row still in the batch
        for step in range(params.max_tokens):
            drawn, drawn_logprobs = draw(logits, uniforms[rows, step].to(device), params)
            for row, token, logprob in zip(rows, drawn.tolist(), drawn_logprobs.tolist(), strict=True):
                if not ended[row]:
                    if not math.isfinite(logprob):
                        raise TrainingError(
                            "the model's logits are not finite: its weights are damaged, or optimizer.learning_rate "
                            "was too high; an earlier checkpoint may be sound"
                        )
                    tokens[row].append(token)
                    logprobs[row].append(logprob)
                    ended[row] = token in self.end_ids
                    if ended[row] and progress is not None:
                        progress(1)
            active = [position for position, row in enumerate(rows) if not ended[row]]
            if not active or step + 1 == params.max_tokens:
                break
            if len(active) <= 0.75 * len(rows):
                keep = torch.tensor(active, device=device)
                cache.reorder_cache(keep)
                attention_mask, drawn = attention_mask[keep], drawn[keep]
                rows = [rows[position] for position in active]
            attention_mask = torch.cat([attention_mask, attention_mask.new_ones(len(rows), 1)], dim=1)
            output = self.model(
                input_ids=drawn[:, None],
                attention_mask=attention_mask,
                position_ids=attention_mask.sum(1, keepdim=True) - 1,
                use_cache=True,
                **{cache_name(self.model): cache},
            )
            logits = output.logits[:, -1]
        if progress is not None:
            progress(ended.count(False))
        return [
            Sample(tokens[row], logprobs[row], "stop" if ended[row] else "length")
            for row in range(len(requests))
        ]

    def _read_prompts(self, requests: Sequence[SampleRequest]) -> tuple[Tensor, Any, Tensor]:
        """Logits after each prompt [rows, vocabulary], the cache, and the attention mask [rows, tokens]."""
        device = self.model.device
        prompts = list(dict.fromkeys(request.prompt_ids for request in requests))
        width = max(map(len, prompts))
        input_ids = torch.full((len(prompts), width), self.pad_id)
        attention_mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            attention_mask[row, width - len(prompt) :] = 1
        attention_mask = attention_mask.to(device)
        output = self.model(
            input_ids=input_ids.to(device),
            attention_mask=attention_mask,
            position_ids=(attention_mask.cumsum(1) - 1).clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
        )
        row_of = {prompt: row for row, prompt in enumerate(prompts)}
        expand = torch.tensor([row_of[request.prompt_ids] for request in requests], device=device)
        cache = getattr(output, cache_name(self.model))
        cache.reorder_cache(expand)
        return output.logits[expand, -1], cache, attention_mask[expand]


def cache_name(model: Any) -> str:
    """What `model` calls its key/value cache, as an argument and in its output: transformers 5.24 renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def draw(logits: Tensor, uniforms: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Draws one token a row by inverting the cumulative distribution at `uniforms`.

    Args:
        logits: [rows, vocabulary].
        uniforms: [rows], in [0, 1).

    Returns:
        Tokens [rows] and their log-probs [rows] under the distribution that was sampled (after temperature, top-k
        and top-p), in float32.
    """
    logits = logits.float()
    if params.temperature == 0:
        logprobs = logits.log_softmax(-1)
        tokens = logits.argmax(-1)
        return tokens, logprobs.gather(1, tokens[:, None])[:, 0]
    logits = logits / params.temperature
    if params.top_k or params.top_p < 1:
        logits = _truncate(logits, params)
    logprobs = logits.log_softmax(-1)
    cumulative = logprobs.double().exp().cumsum(-1)
    # The sum is not exactly 1: scale the draw by what it is, so that the last token cannot be overrun.
    targets = uniforms.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, targets, right=True).clamp(max=logits.shape[-1] - 1)
    return tokens[:, 0], logprobs.gather(1, tokens)[:, 0]


def _truncate(logits: Tensor, params: SamplingParams) -> Tensor:
    """Logits with everything outside the top-k and the nucleus at minus infinity."""
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    keep = torch.ones_like(ranked, dtype=torch.bool)
    if params.top_k:
        keep[:, params.top_k :] = False
    if params.top_p < 1:
        before = ranked.masked_fill(~keep, -torch.inf).softmax(-1).cumsum(-1)
        keep &= before - ranked.masked_fill(~keep, -torch.inf).softmax(-1) < params.top_p
    return logits.masked_fill(~torch.zeros_like(keep).scatter(1, order, keep), -torch.inf)
