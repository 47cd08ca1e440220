"""Settings of the rollouts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import Field, field_serializer, field_validator

from p2o.masking import mask_url
from p2o.plugins import ImportPath
from p2o.settings import Settings

SamplerName = Literal["hf", "vllm", "vllm-server"]
Decoding = Literal["auto", "growing", "fixed"]

SAMPLERS: dict[SamplerName, str] = {
    "hf": "p2o.rollout.hf:HfSampler",
    "vllm": "p2o.rollout.vllm:VllmSampler",
    "vllm-server": "p2o.rollout.vllm_server:ServerSampler",
}
"""Where the classes are: their modules import torch."""

SHARED_MEMORY = Path("/dev/shm")

_TRANSFER = re.compile(r"shared-memory(?P<folder>:/.*)?|nccl:(?P<address>\[.+\]|[^:\s]+):(?P<port>\d{1,5})")


class SharedMemory(NamedTuple):
    """Weights travel in a file of `folder`: about 1 GiB, or the largest weight if that is more."""

    folder: Path


class Nccl(NamedTuple):
    """Weights are broadcast; the rendezvous is at this address and port of rank 0, as the server sees it."""

    address: str
    port: int


def parse_transfer(text: str) -> SharedMemory | Nccl:
    """The way of `rollout.vllm.transfer`.

    Raises:
        ValueError: if it is none.
    """
    match = _TRANSFER.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 1) < 65_536:
        raise ValueError(
            f"transfer is {text!r}: write shared-memory, shared-memory:/FOLDER or nccl:ADDRESS:PORT"
        )
    if match["port"]:
        return Nccl(match["address"].strip("[]"), int(match["port"]))
    return SharedMemory(Path(match["folder"].removeprefix(":")) if match["folder"] else SHARED_MEMORY)


SET_ELSEWHERE = {
    "model": "model.source",
    "trust_remote_code": "model.trust_remote_code",
    "dtype": "rollout.vllm.dtype",
    "max_model_len": "rollout.vllm.max_model_len",
    "max_num_seqs": "rollout.batch_size",
    "gpu_memory_utilization": "rollout.vllm.gpu_memory_utilization",
    "tensor_parallel_size": "rollout.vllm.tensor_parallel_size",
}
"""Arguments of vLLM's engine that have a setting of their own."""

FIXED = frozenset(
    {
        "tokenizer",
        "skip_tokenizer_init",
        "load_format",
        "generation_config",
        "enable_sleep_mode",
        "logprobs_mode",
        "worker_extension_cls",
        "weight_transfer_config",
        "distributed_executor_backend",
        "enable_lora",
        "max_loras",
        "max_lora_rank",
        "lora_target_modules",
    }
)
"""Arguments of vLLM's engine on which weight pushes, log-probs or the processes of a run depend."""


class VllmConfig(Settings):
    """The engine of the samplers `vllm` and `vllm-server`."""

    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the engine's weights and activations; unset, `model.dtype`. A server has its own (`p2o serve
    --dtype`)."""

    max_model_len: int | None = Field(None, ge=1)
    """Longest prompt and response together; unset, `rollout.max_prompt_tokens` + `rollout.max_tokens`. A server has
    its own."""

    gpu_memory_utilization: float = Field(0.4, gt=0, lt=1)
    """Share of a GPU's memory the engine beside the trainer may take, weights and KV cache together. On a CPU the cache
    takes 1 GiB, or what vLLM's environment variable `VLLM_CPU_KVCACHE_SPACE` says."""

    tensor_parallel_size: int = Field(1, ge=1)
    """Training processes that hold one engine together (`vllm`); neighbouring ranks, all given the same requests."""

    lora: Literal["merged", "adapter"] = "merged"
    """What the engine gets of a policy with `optimizer.lora`: `merged` weights, all of them at each push, or those of
    the start once and then the `adapter`, a few MB. The engine without it then reflects as the policy at the start,
    with no further push. A server must have room for it (`p2o serve --lora RANK`)."""

    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the engine, as vLLM names them (`vllm`), e.g. `{ kv_cache_dtype = "fp8" }`. A server takes
    them from `p2o serve --vllm`. What widens the gap between sampler and trainer may need a larger
    `correction.max_gap`."""

    url: str = Field("http://127.0.0.1:8000", pattern=r"^https?://[^/]+/?$")
    """Where the server listens (`vllm-server`)."""

    transfer: str = "shared-memory"
    """How weights get to a server, as given to `p2o serve --transfer`: `shared-memory`, a file on the same node in
    /dev/shm (`shared-memory:/FOLDER`: elsewhere), or `nccl:ADDRESS:PORT`, to GPUs of any node; the address is that of
    rank 0 as the server sees it."""

    timeout_s: float = Field(600.0, gt=0)
    """Seconds until a request to the server counts as failed (`vllm-server`). A failure that may pass is met with two
    further attempts."""

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if (setting := SET_ELSEWHERE.get(name)) is not None:
                raise ValueError(f"{name} is not one of them: set {setting}")
            if name in FIXED:
                raise ValueError(f"{name} cannot be set: p2o's own value is needed for training")
        return value

    @field_validator("url")
    @classmethod
    def _can_be_called(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            whole = parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
        except ValueError:  # a port that is no number, or too large
            whole = False
        if not whole or not value.isprintable() or " " in value:
            raise ValueError("that is no address of a server: write http://HOST:PORT")
        return value

    @field_serializer("url")
    def _mask_url(self, value: str) -> str:
        return mask_url(value)

    @field_validator("transfer")
    @classmethod
    def _known_transfer(cls, value: str) -> str:
        parse_transfer(value)
        return value


class RolloutConfig(Settings):
    """How completions are sampled in training."""

    sampler: SamplerName | ImportPath = "hf"
    """Who samples: `hf` is transformers, in the training process; `vllm` a vLLM engine in every training process, on
    the same device; `vllm-server` an engine of its own, started with `p2o serve`. Else an import path `module:class`
    of a `p2o.rollout.sampler.Sampler`."""

    vllm: VllmConfig = VllmConfig()
    """The engine of the samplers `vllm` and `vllm-server`."""

    n: int = Field(6, ge=2)
    """Rollouts per problem and step (the group)."""

    temperature: float = Field(1.0, gt=0)
    """Sampling temperature. The trainer scores tokens at the same temperature."""

    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling; 1 is off. Anything else widens the gap between sampler and trainer."""

    top_k: int = Field(0, ge=0)
    """Sample among the k most likely tokens; 0 is off."""

    max_tokens: int = Field(512, ge=1)
    """Longest response, in tokens."""

    max_prompt_tokens: int = Field(1024, ge=1)
    """Longest templated prompt. A template that makes a prompt longer has failed on that problem."""

    long_problems: Literal["refuse", "skip"] = "refuse"
    """What to do with a problem that is longer without a template: refuse the data, or leave it out."""

    batch_size: int | None = Field(None, ge=1)
    """Completions sampled at once; of a server, requests sent at once. Unset, 256 with vLLM; with `hf` 64 on a CPU, and
    on a GPU as many as a fifth of its memory holds the keys and values of, at most 4,096."""

    ahead: int = Field(0, ge=0, le=1)
    """Steps by which rollouts are ahead of the update. With 1 the next batch is drawn while the policy learns from this
    one (`vllm-server`), and its weights are one step older."""

    decoding: Decoding = "auto"
    """How `hf` decodes. `growing`: on transformers' own cache, which any model has. `fixed`: on a cache of fixed size,
    on a GPU with CUDA graphs; a model that cannot goes on with `growing` and says why. `auto`: `fixed` on a GPU."""
