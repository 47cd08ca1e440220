"""The memory estimate, by hand, and beside what the backend `torch` really holds."""

from __future__ import annotations

from typing import Any

import pytest

from p2o.policy.config import LossConfig
from p2o.policy.deepspeed_backend import DeepSpeedPolicy
from p2o.policy.lora import linear_shapes
from p2o.policy.memory import Memory, adapter_parameters
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy

EXCHANGE = 400_000_000  # the buffer for gradients on their way


def settings(**values: Any) -> OptimizerConfig:
    return OptimizerConfig(backend="deepspeed", **values)


def split(config: OptimizerConfig, itemsize: int) -> Memory:
    """Of 10 weights in two processes."""
    return DeepSpeedPolicy.memory(config, 10, itemsize, ranks=2, adapters=0)


@pytest.mark.parametrize(
    ("itemsize", "expected"),
    [
        (4, Memory(device=160, host=0)),  # 4 weights + 4 gradients + 8 moments
        (2, Memory(device=180, host=0)),  # 2 + 4 + 8 + 4 copies
    ],
)
def test_one_process_by_hand(itemsize: int, expected: Memory) -> None:
    assert TorchPolicy.memory(OptimizerConfig(), 10, itemsize, ranks=1, adapters=0) == expected


@pytest.mark.parametrize(
    ("stage", "itemsize", "expected"),
    [
        (0, 4, 160),  # nothing is split
        (1, 4, 40 + 40 + (80 + 40) // 2),  # moments and copies
        (2, 4, 40 + (40 + 80 + 40) // 2),  # gradients as well
        (3, 4, (40 + 40 + 80 + 40) // 2),  # weights as well
        (1, 2, 20 + 20 + 40 + (80 + 40) // 2),  # bfloat16 gradients beside their float32 sum
        (2, 2, 20 + (40 + 80 + 40) // 2),
        (3, 2, (20 + 40 + 80 + 40) // 2),
    ],
)
def test_two_processes_by_hand(stage: Any, itemsize: int, expected: int) -> None:
    found = split(settings(zero_stage=stage), itemsize)
    assert found == Memory(device=expected + (EXCHANGE if stage else 0), host=0)


def test_offloading_by_hand() -> None:
    optimizer = split(settings(offload="optimizer"), 2)
    assert optimizer == Memory(device=20 + EXCHANGE, host=(2 * 40 + 80 + 40) // 2)
    everything = settings(zero_stage=3, offload="all")
    assert split(everything, 2) == Memory(device=EXCHANGE, host=(20 + 2 * 40 + 80 + 40) // 2)


def test_adapters_by_hand() -> None:
    """Only they have gradients, moments and copies."""
    config = OptimizerConfig(lora=LoraConfig(rank=1))
    found = TorchPolicy.memory(config, 1000, 2, ranks=1, adapters=10)
    assert found == Memory(device=2 * 1010 + 4 * 10 + 8 * 10 + 4 * 10, host=0)


def test_adapter_parameters_by_hand() -> None:
    shapes = {"model.layers.0.q_proj": (8, 4), "model.layers.0.my_q_proj": (2, 4)}
    assert adapter_parameters(shapes, LoraConfig(rank=3)) == 3 * (12 + 6)
    assert adapter_parameters(shapes, LoraConfig(rank=3, target_modules=("q_proj",))) == 3 * 12


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [None, LoraConfig(rank=3)])
def test_the_torch_backend_holds_what_is_estimated(
    random_model: Any, dtype: str, lora: LoraConfig | None
) -> None:
    import torch

    model = random_model.to(getattr(torch, dtype))
    own = sum(p.numel() for p in model.parameters())
    shapes = linear_shapes(model)
    config = OptimizerConfig(lora=lora)
    policy = TorchPolicy(model, config, LossConfig(), pad_id=0, temperature=1.0, planned_steps=1)
    policy._backward(sum(p.sum() for p in policy.trained.values()))
    gradients = sum(p.grad.nbytes for p in {id(p): p for p in policy.master.values()}.values())
    policy._step(1e-3)
    tensors = {id(t): t for t in [*policy.model.parameters(), *policy.master.values()]}
    moments = [t for state in policy.optimizer.state.values() for t in state.values() if t.numel() > 1]
    held = gradients + sum(t.nbytes for t in [*tensors.values(), *moments])
    adapters = 0 if lora is None else adapter_parameters(shapes, lora)
    expected = TorchPolicy.memory(config, own, model.dtype.itemsize, ranks=1, adapters=adapters)
    assert held == expected.device
