"""How much memory a run takes on each of its processes, from its settings and the model's shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2o.config import Config
from p2o.distributed import local_rank
from p2o.errors import MissingDependencyError
from p2o.policy.memory import adapter_parameters
from p2o.sizes import GIB, ITEMSIZE, Item, Place, attention_sizes, largest


@dataclass(frozen=True, slots=True)
class RunMemory:
    """The memory of each process of a run."""

    parameters: int
    """Weights of the model."""

    adapters: int
    """Trained weights of LoRA's adapters; 0 without."""

    backend: str
    """Who trains, in a word or two."""

    items: tuple[Item, ...]

    def total(self, place: Place) -> int:
        """Bytes at `place`, without what is `apart`."""
        return sum(item.size or 0 for item in self.items if item.place == place and not item.apart)


def run_memory(
    config: Config, model: Any, *, ranks: int, gpu: bool, gpu_memory: int | None = None
) -> RunMemory:
    """The memory of each process of a run.

    Args:
        config: the run.
        model: shapes of its model, as `load_outline` returns it.
        ranks: processes of the run.
        gpu: whether each has a GPU.
        gpu_memory: bytes of that GPU; None: not known, and what is a share of it is left open.

    Raises:
        ConfigError: if sampler or backend cannot do with these settings or that many processes.
    """
    from p2o.policy.backends import backend_class
    from p2o.policy.lora import linear_shapes
    from p2o.rollout.sampler import sampler_class

    backend, sampler = backend_class(config.optimizer, ranks), sampler_class(config.rollout.sampler)
    sampler.check(config)
    with suppress(MissingDependencyError):  # what it takes elsewhere can be told without the package
        backend.check(config.optimizer, config.model.dtype, ranks)
    itemsize = ITEMSIZE[config.model.dtype]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    lora = config.optimizer.lora
    adapters = 0 if lora is None else adapter_parameters(linear_shapes(model), lora)
    training = backend.memory(config.optimizer, parameters, itemsize, ranks=ranks, adapters=adapters)
    device: Place = "GPU" if gpu else "host"
    items = [Item("weights, gradients, AdamW's state", device, training.device)]
    if training.host:
        items.append(Item("offloaded weights or optimizer state", "host", training.host))
    if backend.partitions(config.optimizer) and sampler.shares_weights:
        items.append(Item("whole weights to sample with", device, itemsize * parameters))
    if config.needs_start_weights:
        # They are lent to an engine from the host; a model that samples or scores is on the device.
        runs_here = sampler.shares_weights or config.loss.kl_coef > 0
        items.append(Item("start weights, frozen", device if runs_here else "host", itemsize * parameters))
    activations = activation_bytes(config, model.config)
    if activations is not None:
        items.append(Item("activations of a micro-batch, roughly", device, activations))
    if sampler.in_process:
        items += sampler.memory(config, model, gpu=gpu, gpu_memory=gpu_memory)
    return RunMemory(parameters, adapters, backend.label(config.optimizer), tuple(items))


def activation_bytes(config: Config, model: Any) -> int | None:
    """Roughly what a micro-batch's forward pass keeps for the backward pass; None for other than dense models.

    By token and layer of a gated transformer of hidden size h, with q and k outputs of its query and key projections
    and an intermediate size m: 8 h + 4 (q + 2 k) + 4 m numbers (inputs of the products, norms, rotated queries
    and keys, gate, up and their product); attention keeps no scores. With gradient checkpointing h by layer, and
    one layer's whole. Beside it the logits: of the whole micro-batch where they are kept, else of a chunk, of which
    there are two copies in float32. Counted on transformers' Llama and Qwen3 the formula is up to 40% too high or 15%
    too low; buffers of the kernels and fragmentation come on top.

    Args:
        config: the run.
        model: the model's configuration.
    """
    from p2o.policy.logprobs import CHUNK_TOKENS, kept

    itemsize = ITEMSIZE[config.model.dtype]
    head_dtype = config.model.head_dtype or getattr(model, "head_dtype", None)
    logits_itemsize = ITEMSIZE["float32"] if head_dtype == "float32" else itemsize
    model = model.get_text_config(decoder=True)
    hidden, layers = largest(model, "hidden_size"), getattr(model, "num_hidden_layers", None)
    inner, sizes = largest(model, "intermediate_size"), attention_sizes(model)
    experts = any(largest(model, name) for name in ("num_experts", "num_local_experts", "moe_num_experts"))
    if not (hidden and layers and inner and sizes) or experts:
        return None
    heads, keys, head = sizes
    layer = 8 * hidden + 4 * (heads + 2 * keys) * head + 4 * inner
    per_token = layers * hidden + layer if config.optimizer.gradient_checkpointing else layers * layer
    longest = config.rollout.max_prompt_tokens + config.rollout.max_tokens
    tokens = max(config.optimizer.micro_batch_tokens, longest)
    chunks = -(-tokens // CHUNK_TOKENS)
    vocabulary = int(model.vocab_size)
    held = chunks if kept(chunks, vocabulary, logits_itemsize) else 1
    logits = (held * logits_itemsize + 2 * ITEMSIZE["float32"]) * CHUNK_TOKENS * vocabulary
    return int(tokens * per_token * itemsize) + logits


def shortage(memory: RunMemory, available: Mapping[Place, int], *, ranks: int) -> str | None:
    """What a run would have too little of, in a sentence; None where the estimate is within what is `available`.

    Args:
        memory: of each process.
        available: bytes by place: of each process's GPU, and of the host, which the processes share.
        ranks: processes on this host.
    """
    for place, room in available.items():
        needed = memory.total(place) * (ranks if place == "host" else 1)
        if needed > room:
            return (
                f"the run needs about {needed / GIB:.1f} GiB of the {place}'s memory, and {room / GIB:.1f} GiB are "
                "available"
            )
    return None


def gpu_of(config: Config) -> int:
    """The number of the GPU that this process computes on, if it does on one."""
    number = config.model.device.partition(":")[2]
    return int(number) if number.isdecimal() else local_rank()


def host_memory(root: Path = Path("/")) -> int | None:
    """Bytes that the host can give, within the limit of the container (cgroup) if there is one; None: not known.

    What the kernel keeps of files that were read is given back when memory is asked for, and counts as free.
    """
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    with suppress(OSError, ValueError):  # "max": no limit
        group = root / "sys/fs/cgroup"
        limit, used = (
            int((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current")
        )
        found.append(max(0, limit - used + _cached(group)))
    return min(found, default=None)


def _cached(group: Path) -> int:
    """Bytes of files in the memory that a cgroup uses."""
    with suppress(OSError, ValueError):
        fields = dict(line.split() for line in (group / "memory.stat").read_text("ascii").splitlines())
        return sum(int(fields.get(f"{which}_file", 0)) for which in ("active", "inactive"))
    return 0


def describe(memory: RunMemory, *, ranks: int, gpu: bool) -> list[str]:
    """The estimate as lines of text."""
    adapters = f", {memory.adapters:,} in adapters" if memory.adapters else ""
    of_each = f" of each of {ranks} processes" if ranks > 1 else ""
    lines = [
        f"parameters: {memory.parameters:,}{adapters}",
        f"memory{of_each} ({memory.backend}), estimated:",
    ]
    for item in memory.items:
        if item.size is not None:
            lines.append(f"  {item.size / GIB:8.2f} GiB  {item.place:<4}  {item.name}")
    for place in ("GPU", "host") if gpu else ("host",):
        apart = any(item.apart and item.size and item.place == place for item in memory.items)
        beside = " (the sampler's apart)" if apart else ""
        lines.append(f"  {memory.total(place) / GIB:8.2f} GiB  {place:<4}  together{beside}")
    return lines + [f"  {item.name}" for item in memory.items if item.size is None]
