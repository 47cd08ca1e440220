"""How much memory the weights and their training take on each rank, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from p2o.policy.deepspeed_config import EXCHANGE_ELEMENTS
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig

FLOAT32 = 4
"""Bytes of a float32: gradients add up, copies of the weights and AdamW's two moments are kept in it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each rank; activations, and the layers that ZeRO-3 gathers at a time, come on top."""

    device: int
    """On the accelerator (on a CPU all of it is the host's)."""

    host: int
    """In the host's memory, by offloading."""


def memory_estimate(
    parameters: int,
    itemsize: int,
    config: OptimizerConfig,
    *,
    stage: int = 0,
    ranks: int = 1,
    adapters: int = 0,
) -> Memory:
    """Bytes that weights, gradients and AdamW's state take on each rank.

    By weight of the model: `itemsize` bytes. By trained weight: a gradient in float32, two moments, and a float32 copy
    where the weights are of a lower type (under ZeRO in any case). ZeRO 1 splits copies and moments over the
    ranks, 2 gradients as well, 3 weights as well (arXiv 1910.02054, section 5), each with a buffer to exchange
    gradients. At ZeRO-1 bfloat16 gradients stand beside their float32 sum. Offloaded, gradients are held twice: as the
    micro-batches' sum and as the optimizer takes them.

    Args:
        parameters: weights of the model, adapters not counted.
        itemsize: bytes of a weight: 4, or 2 for bfloat16.
        config: settings of the optimizer.
        stage: what ZeRO splits; 0: nothing, as without DeepSpeed.
        ranks: processes of the run.
        adapters: trained weights of LoRA's adapters; the model's own are then frozen.
    """
    held = parameters + adapters
    trained = adapters if config.lora is not None else parameters
    weights = itemsize * held
    gradients = FLOAT32 * trained
    whole_gradients = itemsize * trained if itemsize < FLOAT32 and stage == 1 else 0
    has_copy = itemsize < FLOAT32 or stage >= 1
    state = trained * (2 * FLOAT32 + (FLOAT32 if has_copy else 0))
    if stage >= 1:
        state = -(-state // ranks)
    if stage >= 2:
        gradients = -(-gradients // ranks)
    if stage == 3:
        weights = -(-weights // ranks)
    exchange = FLOAT32 * EXCHANGE_ELEMENTS if stage >= 1 else 0
    device = weights + whole_gradients + exchange
    if config.offload == "none":
        return Memory(device=device + gradients + state, host=0)
    host = 2 * gradients + state
    if config.offload == "optimizer":
        return Memory(device=device, host=host)
    return Memory(device=device - weights, host=host + weights)


def adapter_parameters(shapes: dict[str, tuple[int, int]], config: LoraConfig) -> int:
    """Weights of the adapters of linear layers, rank · (inputs + outputs) each.

    Args:
        shapes: (outputs, inputs) of every linear layer but the output matrix, by name (`lora.linear_shapes`).
        config: which layers get an adapter, and of what rank.
    """

    def chosen(name: str) -> bool:
        names = config.target_modules
        return not names or any(name == end or name.endswith(f".{end}") for end in names)

    return sum(config.rank * (rows + columns) for name, (rows, columns) in shapes.items() if chosen(name))
