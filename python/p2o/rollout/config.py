"""Settings of the rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from p2o.settings import Settings

Decoding = Literal["auto", "growing", "fixed"]


class VllmConfig(Settings):
    """The engine of the sampler `vllm`."""

    mode: Literal["colocate", "server"] = "colocate"
    """`colocate`: an engine in every training process (or group of `tensor_parallel_size` of them), on the same
    device. `server`: an engine of its own at `url`, started with `p2o serve`."""

    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the engine's weights and activations; unset, `model.dtype`. A server has its own (`p2o serve
    --dtype`)."""

    max_model_len: int | None = Field(None, ge=1)
    """Longest prompt and response together; unset, `rollout.max_prompt_tokens` + `rollout.max_tokens`. A server has
    its own."""

    max_num_seqs: int = Field(256, ge=1)
    """Sequences generated at once; of a server, requests sent at once."""

    gpu_memory_utilization: float = Field(0.4, gt=0, lt=1)
    """Share of a GPU's memory the engine beside the trainer may take, weights and KV cache together."""

    kv_cache_gib: float | None = Field(None, gt=0)
    """Size of the KV cache in GiB; unset, 1 on a CPU and what `gpu_memory_utilization` leaves on a GPU."""

    tensor_parallel_size: int = Field(1, ge=1)
    """Training processes that hold one engine together (`colocate`); neighbouring ranks, all given the same
    requests."""

    enforce_eager: bool | None = None
    """Run without compilation and CUDA graphs: a faster start, slower sampling. Unset, on the CPU only."""

    sleep: bool = True
    """Give the engine's GPU memory to the trainer between rollouts (`colocate` on a GPU)."""

    url: str = Field("http://127.0.0.1:8000", pattern=r"^https?://[^/]+/?$")
    """Where the server listens (`server`)."""

    transfer: Literal["shared-memory", "nccl"] = "shared-memory"
    """How weights get to a server: a file in shared memory on the same node, or NCCL to GPUs of any node. As given to
    `p2o serve --transfer`."""

    transfer_folder: Path = Field(Path("/dev/shm"), strict=False)
    """Where `shared-memory` puts its file: about 1 GiB, or the largest weight if that is more."""

    transfer_address: str = "127.0.0.1"
    """Address of rank 0 as the server sees it (`nccl`)."""

    transfer_port: int = Field(29600, ge=1, le=65535)
    """Port of the rendezvous on rank 0 (`nccl`)."""

    timeout: float = Field(600.0, gt=0)
    """Seconds without an answer after which a server counts as dead."""


class RolloutConfig(Settings):
    """How completions are sampled in training."""

    sampler: Literal["hf", "vllm"] = "hf"
    """Who samples: `hf` is transformers, in the training process; `vllm` is a vLLM engine (`rollout.vllm`)."""

    vllm: VllmConfig = VllmConfig()
    """The engine of the sampler `vllm`."""

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
    """Longest templated prompt. A longer problem is an error; a template that makes one longer is not used."""

    batch_size: int | None = Field(None, ge=1)
    """Completions sampled at once by `hf`; unset, 64 on a CPU, and on a GPU as many as a fifth of its memory holds the
    keys and values of, at most 4,096."""

    decoding: Decoding = "auto"
    """How `hf` decodes. `growing`: on transformers' own cache, which any model has. `fixed`: on a cache of fixed size,
    on a GPU with CUDA graphs; a model that cannot goes on with `growing` and says why. `auto`: `fixed` on a GPU."""
