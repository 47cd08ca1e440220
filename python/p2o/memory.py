"""How much memory a run takes on each of its processes, from its settings and the model's shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from p2o.config import Config
from p2o.errors import MissingDependencyError
from p2o.policy.deepspeed_config import engine_config, resolve_backend, zero_stage
from p2o.policy.memory import adapter_parameters, memory_estimate

Place = Literal["GPU", "host"]

ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a weight, by `model.dtype`."""

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Item:
    """What takes memory on a process."""

    name: str
    place: Place
    size: int
    """Bytes."""

    apart: bool = False
    """Not in memory all the time a step takes: vLLM's, where it sleeps while the trainer works."""


@dataclass(frozen=True, slots=True)
class RunMemory:
    """The memory of each process of a run."""

    parameters: int
    """Weights of the model."""

    adapters: int
    """Trained weights of LoRA's adapters; 0 without."""

    backend: str
    """`torch` or `deepspeed`."""

    items: tuple[Item, ...]

    def total(self, place: Place) -> int:
        """Bytes at `place`, without what is `apart`."""
        return sum(item.size for item in self.items if item.place == place and not item.apart)


def run_memory(
    config: Config, model: Any, *, ranks: int, gpu: bool, gpu_memory: int | None = None
) -> RunMemory:
    """The memory of each process of a run, in the order in which it is taken.

    Args:
        config: the run.
        model: shapes of its model, as `load_outline` returns it.
        ranks: processes of the run.
        gpu: whether each has a GPU.
        gpu_memory: bytes of that GPU; None: not known, and vLLM's share is left out if it is a share of it.

    Raises:
        ConfigError: if the backend cannot train with these settings or that many processes.
    """
    try:
        backend = resolve_backend(config.optimizer, ranks)
    except MissingDependencyError:
        backend = "deepspeed"  # what it takes elsewhere can be told without it
    if backend == "deepspeed":
        engine_config(config.optimizer, config.model.dtype, cuda=gpu)  # refuses what it cannot train
    itemsize = ITEMSIZE[config.model.dtype]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    adapters = 0
    if config.optimizer.lora is not None:
        from p2o.policy.lora import linear_shapes

        adapters = adapter_parameters(linear_shapes(model), config.optimizer.lora)
    training = memory_estimate(
        parameters, itemsize, config.optimizer, backend=backend, ranks=ranks, adapters=adapters
    )
    device: Place = "GPU" if gpu else "host"
    items = [Item("weights, gradients, AdamW's state", device, training.device)]
    if training.host:
        items.append(Item("offloaded weights or optimizer state", "host", training.host))
    partitioned = backend == "deepspeed" and zero_stage(config.optimizer) == 3
    if partitioned and config.rollout.sampler == "hf":
        items.append(Item("whole weights to sample with", device, itemsize * parameters))
    items += _start_weights(config, itemsize * parameters, device)
    activations = activation_bytes(config, model.config)
    if activations is not None:
        items.append(Item("activations of a micro-batch, roughly", device, activations))
    items += _engine(config, parameters, device, gpu_memory)
    if gpu and config.rollout.sampler == "hf":
        items.append(
            Item(
                "keys and values of a step's rollouts",
                "GPU",
                rollout_cache_bytes(config, model.config, gpu_memory),
            )
        )
    return RunMemory(parameters, adapters, backend, tuple(items))


def rollout_cache_bytes(config: Config, model: Any, gpu_memory: int | None) -> int:
    """Bytes of the cache of the sampler `hf` on a GPU: as many rows as it samples at once, at their longest.

    Args:
        config: the run.
        model: the model's configuration.
        gpu_memory: bytes of the GPU; None: not known, and a batch size that follows from it is taken as the largest.
    """
    from p2o.rollout.hf import GPU_BATCH, cache_bytes_per_token, default_batch_size

    longest = config.rollout.max_prompt_tokens + config.rollout.max_tokens
    row = longest * cache_bytes_per_token(model, ITEMSIZE[config.model.dtype])
    rows = config.rollout.batch_size
    if rows is None:
        rows = GPU_BATCH if gpu_memory is None else default_batch_size(row, gpu_memory)
    return min(rows, config.run.batch_problems * config.rollout.n) * row


def activation_bytes(config: Config, model: Any) -> int | None:
    """Roughly what a micro-batch's forward pass keeps for the backward pass; None for other than dense models.

    By token and layer of a gated transformer of hidden size h, with q and k outputs of its query and key projections
    and an intermediate size m: 8 h + 4 (q + 2 k) + 4 m numbers (inputs of the products, norms, rotated queries
    and keys, gate, up and their product); attention keeps no scores. With gradient checkpointing h by layer, and
    one layer's whole. Beside it three copies of the logits of one chunk. Counted on transformers' Llama and Qwen3 the
    formula is up to 40% too high or 15% too low; buffers of the kernels and fragmentation come on top.

    Args:
        config: the run.
        model: the model's configuration.
    """
    from p2o.policy.logprobs import CHUNK_TOKENS

    hidden, layers = getattr(model, "hidden_size", None), getattr(model, "num_hidden_layers", None)
    inner, heads = getattr(model, "intermediate_size", None), getattr(model, "num_attention_heads", None)
    experts = any(getattr(model, name, None) for name in ("num_experts", "num_local_experts"))
    if not (hidden and layers and inner and heads) or experts:
        return None
    head = getattr(model, "head_dim", None) or hidden // heads
    keys = getattr(model, "num_key_value_heads", None) or heads
    layer = 8 * hidden + 4 * (heads + 2 * keys) * head + 4 * inner
    kept = layers * hidden + layer if config.optimizer.gradient_checkpointing else layers * layer
    longest = config.rollout.max_prompt_tokens + config.rollout.max_tokens
    tokens = max(config.optimizer.micro_batch_tokens, longest)
    logits = 3 * 4 * CHUNK_TOKENS * int(model.vocab_size)
    return int(tokens * kept * ITEMSIZE[config.model.dtype]) + logits


def _start_weights(config: Config, size: int, device: Place) -> list[Item]:
    from p2o.assembly import needs_start_weights

    if not needs_start_weights(config):
        return []
    # They are lent to an engine from the host; a model that samples or scores is on the device.
    runs_here = config.rollout.sampler == "hf" or config.loss.kl_coef > 0
    return [Item("start weights, frozen", device if runs_here else "host", size)]


def _engine(config: Config, parameters: int, device: Place, gpu_memory: int | None) -> list[Item]:
    """vLLM's engine in this process, if there is one whose size is known."""
    from p2o.rollout.vllm import CPU_KV_CACHE_GIB

    settings = config.rollout.vllm
    if config.rollout.sampler != "vllm" or settings.mode != "colocate":
        return []
    itemsize = ITEMSIZE[settings.dtype or config.model.dtype]
    weights = -(-itemsize * parameters // settings.tensor_parallel_size)
    apart = settings.sleep and device == "GPU"
    name = "vLLM's weights and KV cache" + (", while it samples" if apart else "")
    cache = settings.kv_cache_gib or (CPU_KV_CACHE_GIB if device == "host" else None)
    if cache is not None:
        return [Item(name, device, weights + int(cache * GIB), apart)]
    if gpu_memory is not None:
        return [Item(name, device, int(settings.gpu_memory_utilization * gpu_memory), apart)]
    return []


def describe(memory: RunMemory, config: Config, *, ranks: int, gpu: bool) -> list[str]:
    """The estimate as lines of text."""
    stage = f", ZeRO-{zero_stage(config.optimizer)}" if memory.backend == "deepspeed" else ""
    adapters = f", {memory.adapters:,} in adapters" if memory.adapters else ""
    lines = [
        f"parameters: {memory.parameters:,}{adapters}",
        f"memory of each of {ranks} processes ({memory.backend}{stage}), estimated:"
        if ranks > 1
        else f"memory ({memory.backend}{stage}), estimated:",
    ]
    for item in memory.items:
        lines.append(f"  {item.size / GIB:8.2f} GiB  {item.place:<4}  {item.name}")
    for place in ("GPU", "host") if gpu else ("host",):
        total = memory.total(place)
        beside = " (vLLM's apart)" if any(item.apart and item.place == place for item in memory.items) else ""
        lines.append(f"  {total / GIB:8.2f} GiB  {place:<4}  together{beside}")
    known = any("vLLM" in item.name for item in memory.items)
    if config.rollout.sampler == "vllm" and config.rollout.vllm.mode == "colocate" and not known:
        share = config.rollout.vllm.gpu_memory_utilization
        back = ", and gives it back while the trainer works" if config.rollout.vllm.sleep else ""
        lines.append(f"  vLLM takes {share:g} of the GPU while it samples{back}")
    return lines
