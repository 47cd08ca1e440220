"""Policies, requests and updates shared by the tests of the sampler `vllm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2o.packing import Rows
from p2o.policy.config import LossConfig
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.streams import GlobalCounts
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout import vllm as engine
from p2o.rollout.config import RolloutConfig
from p2o.rollout.sampler import Sample, SampleRequest

engine.CPU_KV_CACHE = 2**28  # the tests hold several engines at once


def tiny_llama(seed: int = 7, *, heads: int = 4, vocabulary: int = 96) -> Any:
    """A random Llama with a tied head, of a size that vLLM's kernels take."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32 * heads,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.3,
        eos_token_id=None,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def tiny_experts(name: str, seed: int = 7) -> Any:
    """A random mixture of experts of a class of transformers."""
    import torch
    import transformers

    torch.manual_seed(seed)
    found = getattr(transformers, name)
    sizes = {
        "vocab_size": 96,
        "hidden_size": 128,
        "intermediate_size": 64,
        "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "num_experts": 4,
        "num_local_experts": 4,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    usual = found.config_class()
    config = found.config_class(
        **{size: value for size, value in sizes.items() if size == "head_dim" or hasattr(usual, size)},
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=None,
        architectures=[name],
    )
    return found(config).eval()


def tiny_vision(seed: int = 7) -> Any:
    """A random Gemma 3 with a vision part."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    torch.manual_seed(seed)
    sizes = {"hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": 96, "num_key_value_heads": 2, "head_dim": 32, "initializer_range": 0.1}
    config = Gemma3Config(
        text_config={**text, "max_position_embeddings": 512, "sliding_window": 16},
        vision_config={**sizes, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
        architectures=["Gemma3ForConditionalGeneration"],
        **dict.fromkeys(("image_token_index", "boi_token_index", "eoi_token_index"), 95),
    )
    return Gemma3ForConditionalGeneration(config).eval()


VLLM_WARNINGS = [
    pytest.mark.filterwarnings(warning)
    for warning in (
        "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning",  # torch's own, on importing vllm
        "ignore:`torch.distributed.reduce_op` is deprecated:FutureWarning",  # vllm's triton dispatcher
        "ignore:TensorFloat32 tensor cores:UserWarning",  # torch's compiler, on a GPU with float32 weights
    )
]


def make_policy(
    model: Any, *, temperature: float = 1.0, learning_rate: float = 1e-3, lora: LoraConfig | None = None
) -> TorchPolicy:
    return TorchPolicy(
        model,
        OptimizerConfig(learning_rate=learning_rate, lora=lora),
        LossConfig(),
        pad_id=0,
        temperature=temperature,
        planned_steps=10,
    )


def rollout_config(max_tokens: int = 24, max_prompt_tokens: int = 104, **vllm: Any) -> RolloutConfig:
    return RolloutConfig(
        sampler="vllm",
        max_tokens=max_tokens,
        max_prompt_tokens=max_prompt_tokens,
        batch_size=64,
        vllm=vllm,
    )


def tiny_requests(copies: int = 3) -> list[SampleRequest]:
    """Prompts of different lengths, one of them longer than two blocks of the cache; `copies` seeds each."""
    prompts = [(5, 9, 11), tuple(range(20, 90)), (5, 9, 12, 60), (7,) * 40]
    return [
        SampleRequest(prompt, seed=2**62 + 1000 * number + copy)
        for number, prompt in enumerate(prompts)
        for copy in range(copies)
    ]


def optimizer_step(policy: TorchPolicy, requests: Sequence[SampleRequest], samples: Sequence[Sample]) -> None:
    """One real update on the samples, every other one with a negative advantage."""
    sequences = [(r.prompt_ids, s.response_ids) for r, s in zip(requests, samples, strict=True)]
    old = np.concatenate(policy.score(sequences))
    ones = np.ones_like(old)
    rows = Rows.of(
        [prompt for prompt, _ in sequences],
        [response for _, response in sequences],
        advantages=[1.0 if index % 2 == 0 else -1.0 for index in range(len(sequences))],
        streams={"old_logp": old, "context_weight": ones, "engine_weight": ones},
    )
    policy.update(rows, GlobalCounts(tokens=float(len(old)), sequences=float(len(sequences)), max_tokens=64))


def gaps(
    policy: TorchPolicy, requests: Sequence[SampleRequest], samples: Sequence[Sample]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """|sampler - trainer| log-prob of every token."""
    scored = policy.score([(r.prompt_ids, s.response_ids) for r, s in zip(requests, samples, strict=True)])
    return np.concatenate(
        [np.abs(np.asarray(s.logprobs) - logp) for s, logp in zip(samples, scored, strict=True)]
    )
