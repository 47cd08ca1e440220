"""What `--check` says of a run's memory: Qwen3-4B's shape by hand, and activations beside what torch keeps."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AriaTextConfig,
    DeepseekV3Config,
    Gemma3nTextConfig,
    Gemma4Config,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MixtralConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from p2o.config import load_config
from p2o.errors import ConfigError
from p2o.memory import RunMemory, activation_bytes, describe, host_memory, run_memory, shortage
from p2o.policy.attention import takes_segments
from p2o.policy.recomputation import enable_checkpointing
from p2o.rollout.hf import cache_bytes_per_token
from p2o.sizes import GIB, Item, attention_sizes, largest

LAYER = 2 * 2560 * 4096 + 2 * 2560 * 1024 + 3 * 2560 * 9728 + 2 * 128 + 2 * 2560
PARAMETERS = 151_936 * 2560 + 36 * LAYER + 2560
"""Embeddings, tied to the head; 36 layers of q and o, k and v, the gated MLP and four norms; the last norm."""


@pytest.fixture(scope="module")
def qwen3_4b() -> Any:
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return Qwen3ForCausalLM(config)


def found(model: Any, *overrides: str, ranks: int = 8, gpu: bool = True, **options: Any) -> dict[str, Item]:
    """The items of the recipe `paper` by name."""
    memory = run_memory(load_config("paper", overrides), model, ranks=ranks, gpu=gpu, **options)
    assert memory.parameters == PARAMETERS == 4_022_468_096
    return {item.name: item for item in memory.items}


TRAINING = "weights, gradients, AdamW's state"
START = "start weights, frozen"
ENGINE = "vLLM's weights and KV cache, while it samples"
ACTIVATIONS = "activations of a micro-batch, roughly"


def test_the_papers_run_on_8_gpus_by_hand(qwen3_4b: Any) -> None:
    """ZeRO-2: bfloat16 weights whole, 4 bytes of gradients and 12 of AdamW over 8 ranks, 0.4 GB of buffer."""
    items = found(qwen3_4b, gpu_memory=80 * GIB)
    training = 2 * PARAMETERS + 16 * PARAMETERS // 8 + 400_000_000
    assert training == 16_489_872_384
    assert items[TRAINING] == Item(TRAINING, "GPU", training)
    assert items[START] == Item(START, "host", 2 * PARAMETERS)
    assert items[ENGINE] == Item(ENGINE, "GPU", 32 * GIB, apart=True)
    # 16,384 tokens in bfloat16: the input of each of 36 layers, and one layer's 8 h + 4 (q + 2 k) + 4 m.
    layer = 8 * 2560 + 4 * (4096 + 2 * 1024) + 4 * 9728
    assert items[ACTIVATIONS].size == 16_384 * 2 * (36 * 2560 + layer) + (2 + 2 * 4) * 512 * 151_936
    memory = run_memory(load_config("paper"), qwen3_4b, ranks=8, gpu=True, gpu_memory=80 * GIB)
    assert memory.total("GPU") == training + items[ACTIVATIONS].size
    assert memory.total("host") == 2 * PARAMETERS


def test_float32_logits_take_twice_the_room(qwen3_4b: Any) -> None:
    """One chunk of them, whether a setting or the model's own configuration asks for them."""
    plain = found(qwen3_4b)[ACTIVATIONS].size
    asked = found(qwen3_4b, "model.head_dtype=float32")[ACTIVATIONS].size
    assert asked - plain == (4 - 2) * 512 * 151_936
    config = copy.deepcopy(qwen3_4b.config)
    config.head_dtype = "float32"
    assert activation_bytes(load_config("paper"), config) == asked


def test_zero_3_and_offloading_by_hand(qwen3_4b: Any) -> None:
    partitioned = found(qwen3_4b, "optimizer.zero_stage=3", "rollout.sampler=hf")
    assert partitioned[TRAINING].size == 18 * PARAMETERS // 8 + 400_000_000
    # transformers samples from whole weights, and reflects by whole start weights on the same device.
    sampled = partitioned["whole weights to sample with"]
    assert (sampled.place, sampled.size) == ("GPU", 2 * PARAMETERS)
    assert partitioned[START].place == "GPU"
    assert ENGINE not in partitioned
    offloaded = found(qwen3_4b, "optimizer.offload=optimizer")
    assert offloaded[TRAINING].size == 2 * PARAMETERS + 400_000_000
    host = offloaded["offloaded weights or optimizer state"]
    assert (host.place, host.size) == ("host", 20 * PARAMETERS // 8)


def test_adapters_by_hand(qwen3_4b: Any) -> None:
    """Rank 16 on seven layers of 36 blocks: 16 times their inputs and outputs. Torch: 2 bytes, and 16 trained."""
    config = load_config(
        "paper", ["optimizer.lora.rank=16", "optimizer.backend=auto", "optimizer.zero_stage=1"]
    )
    sides = 2 * (2560 + 4096) + 2 * (2560 + 1024) + 3 * (2560 + 9728)
    memory = run_memory(config, qwen3_4b, ranks=1, gpu=True)
    assert memory.backend == "deepspeed, ZeRO-1"
    assert memory.adapters == 36 * 16 * sides == 33_030_144
    # ZeRO-1 in one process: gradients in bfloat16 beside their float32 sum.
    held = 2 * (PARAMETERS + memory.adapters) + (2 + 4 + 12) * memory.adapters + 400_000_000
    assert memory.items[0].size == held


def test_the_engines_share(qwen3_4b: Any) -> None:
    assert ENGINE not in found(qwen3_4b)  # a share of a GPU that is not known
    on_cpu = found(qwen3_4b, "rollout.vllm.dtype=float32", gpu=False)
    assert on_cpu["vLLM's weights and KV cache"] == Item(
        "vLLM's weights and KV cache", "host", 4 * PARAMETERS + GIB
    )
    assert all(item.place == "host" for item in on_cpu.values())
    halved = found(qwen3_4b, "rollout.vllm.dtype=float32", "rollout.vllm.tensor_parallel_size=2", gpu=False)
    assert halved["vLLM's weights and KV cache"].size == 2 * PARAMETERS + GIB
    adapters = ("optimizer.lora={rank=16}", "rollout.vllm.lora=adapter")
    asleep = found(qwen3_4b, *adapters, "rollout.vllm.tensor_parallel_size=2", gpu_memory=80 * GIB)
    assert asleep["vLLM's weights, while the trainer works"] == Item(
        "vLLM's weights, while the trainer works", "host", PARAMETERS
    ), "which adapters alone could not bring back"
    assert not any("works" in name for name in found(qwen3_4b, *adapters, gpu=False))
    server = found(qwen3_4b, "rollout.sampler=vllm-server", gpu_memory=80 * GIB)
    assert not any("vLLM" in name for name in server)
    assert server[START].place == "host", "lent to the server as to an engine"


def test_the_samplers_cache_by_hand(qwen3_4b: Any) -> None:
    """36 layers of 8 key/value heads of size 128, twice, 2 bytes a number, by 4,096 + 12,288 tokens a row."""
    row = 36 * 8 * 128 * 2 * 2 * (4096 + 12_288)
    name = "keys and values of a step's rollouts"
    assert name not in found(qwen3_4b, gpu_memory=80 * GIB)
    hf = "rollout.sampler=hf"
    assert found(qwen3_4b, hf, "rollout.batch_size=3")[name] == Item(name, "GPU", 3 * row)
    assert found(qwen3_4b, hf, gpu_memory=80 * GIB)[name].size == int(0.2 * 80 * GIB) // row * row
    assert found(qwen3_4b, hf)[name].size == 128 * 6 * row, (
        "no more than a step has, where the card is not known"
    )
    assert name not in found(qwen3_4b, hf, gpu=False)


def test_start_weights_that_score_are_on_the_gpu(qwen3_4b: Any) -> None:
    assert found(qwen3_4b, "loss.kl_coef=0.1")[START].place == "GPU"
    assert START not in found(qwen3_4b, "run.method=grpo")


def test_settings_that_cannot_be_trained_are_refused(qwen3_4b: Any) -> None:
    with pytest.raises(ConfigError, match="8 were launched"):
        found(qwen3_4b, "optimizer.backend=torch", "optimizer.zero_stage=0")
    with pytest.raises(ConfigError, match=r"optimizer\.zero_stage = 0 cannot train bfloat16"):
        found(qwen3_4b, "optimizer.zero_stage=0")


def test_a_missing_deepspeed_does_not_stop_the_estimate(
    qwen3_4b: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(qwen3_4b)
    monkeypatch.setattr("p2o.policy.deepspeed_config.find_spec", lambda name: None)
    assert found(qwen3_4b) == before


def test_the_estimate_as_lines(qwen3_4b: Any) -> None:
    config = load_config("paper")
    memory = run_memory(config, qwen3_4b, ranks=8, gpu=True, gpu_memory=80 * GIB)
    lines = describe(memory, ranks=8, gpu=True)
    assert lines[:2] == [
        "parameters: 4,022,468,096",
        "memory of each of 8 processes (deepspeed, ZeRO-2), estimated:",
    ]
    assert lines[2] == "     15.36 GiB  GPU   weights, gradients, AdamW's state"
    assert lines[-2:] == [
        "     21.46 GiB  GPU   together (the sampler's apart)",
        "      7.49 GiB  host  together",
    ]
    unknown = describe(run_memory(config, qwen3_4b, ranks=8, gpu=True), ranks=8, gpu=True)
    assert unknown[-1] == (
        "  vLLM takes 0.4 of the GPU while it samples, and gives it back while the trainer works"
    )


def kept(model: Any, tokens: int) -> int:
    """Bytes that a forward pass of the model's body keeps for the backward pass, weights left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = (storage.nbytes(), tensor)  # the tensor keeps its address taken
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(input_ids=torch.ones((1, tokens), dtype=torch.long), use_cache=False)
    return sum(size for size, _ in storages.values())


SHAPES = {
    "wide keys": {"num_attention_heads": 8, "num_key_value_heads": 8, "intermediate_size": 1024},
    "shared keys": {"num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 1024},
    "wide middle": {"num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 2048},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", [(LlamaConfig, LlamaForCausalLM), (Qwen3Config, Qwen3ForCausalLM)])
def test_activations_are_about_what_torch_keeps(
    shape: str, dtype: str, checkpointing: bool, family: Any
) -> None:
    make_config, make_model = family
    config = make_config(
        hidden_size=256, head_dim=32, num_hidden_layers=4, vocab_size=100, use_cache=False, **SHAPES[shape]
    )
    model = make_model(config).to(getattr(torch, dtype)).train()
    tokens = 256
    overrides = [
        f"model.dtype={dtype}",
        f"optimizer.micro_batch_tokens={tokens}",
        "rollout.max_tokens=128",
        "rollout.max_prompt_tokens=128",
    ]
    logits = (getattr(torch, dtype).itemsize + 2 * 4) * 512 * 100

    def formula(checkpoint: bool) -> int:
        flag = f"optimizer.gradient_checkpointing={str(checkpoint).lower()}"
        estimate = activation_bytes(load_config("paper", [*overrides, flag]), config)
        assert estimate is not None
        return estimate - logits

    if not checkpointing:
        assert 0.9 < formula(False) / kept(model, tokens) < 1.4
        return
    whole_layer = kept(model, tokens) / 4
    enable_checkpointing(model)
    assert 0.85 < formula(True) / (kept(model, tokens) + whole_layer) < 1.4


def test_mixtures_of_experts_have_no_estimate_of_their_activations() -> None:
    for config in (MixtralConfig(), DeepseekV3Config(), AriaTextConfig()):
        assert activation_bytes(load_config("paper"), config) is None


def test_sizes_of_the_widest_layer() -> None:
    """Gemma 3n's layers have widths of their own; a state-space model has no heads."""
    llama = LlamaConfig(hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
    assert attention_sizes(llama) == (4, 2, 16)
    assert attention_sizes(MambaConfig()) is None
    assert cache_bytes_per_token(MambaConfig(), 4) == 1
    config = Gemma3nTextConfig(num_hidden_layers=2, intermediate_size=[64, 96])
    assert largest(config, "intermediate_size") == 96
    assert activation_bytes(load_config("quickstart"), config) is not None


def test_sizes_where_each_layer_has_a_configuration_of_its_own() -> None:
    """Gemma 4's full layers have wider heads, and transformers raises where one size is asked for."""

    class Layers:
        is_heterogeneous = True
        num_attention_heads = 4
        per_layer_config = (
            SimpleNamespace(num_attention_heads=4, num_key_value_heads=2, head_dim=16),
            SimpleNamespace(num_attention_heads=4, num_key_value_heads=1, head_dim=32),
        )

        @property
        def head_dim(self) -> int:
            raise RuntimeError("'head_dim' is a per-layer attribute and may vary across layers")

        def get_text_config(self, decoder: bool) -> Any:
            return self

    assert attention_sizes(Layers()) == (4, 2, 32)
    gemma = Gemma4Config(text_config={"num_hidden_layers": 6, "hidden_size": 64, "intermediate_size": 64})
    assert activation_bytes(load_config("quickstart"), gemma) is not None
    assert takes_segments(SimpleNamespace(config=gemma)) is False, "no attention is set"


def test_logits_of_a_micro_batch_count_where_they_are_kept() -> None:
    """SmolLM2's 49,152 in float32: 96 MiB a chunk, so that ten chunks are kept and eleven are computed again."""
    config = LlamaConfig(vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=1)

    def estimate(tokens: int) -> int:
        found = activation_bytes(load_config("smollm2", [f"optimizer.micro_batch_tokens={tokens}"]), config)
        assert found is not None
        return found

    chunk = 512 * 49_152
    by_token = (estimate(4 * 5120) - estimate(2 * 5120)) // (2 * 5120)  # neither is kept
    assert estimate(2 * 5120) == 2 * 5120 * by_token + (1 + 2) * 4 * chunk
    assert estimate(5120) == 5120 * by_token + (10 + 2) * 4 * chunk


def test_a_run_that_does_not_fit_is_told(tmp_path: Path) -> None:
    """Two processes of 3 GiB on a host that has 5; a sampler that sleeps meanwhile does not count."""
    items = (
        Item("weights", "GPU", 2 * GIB),
        Item("engine", "GPU", 9 * GIB, apart=True),
        Item("w", "host", 3 * GIB),
    )
    memory = RunMemory(1, 0, "torch", items)
    assert shortage(memory, {"GPU": 2 * GIB, "host": 6 * GIB}, ranks=2) is None
    assert shortage(memory, {}, ranks=2) is None
    assert shortage(memory, {"GPU": 2 * GIB, "host": 5 * GIB}, ranks=2) == (
        "the run needs about 6.0 GiB of the host's memory, and 5.0 GiB are available"
    )
    assert "2.0 GiB of the GPU's memory" in (shortage(memory, {"GPU": GIB}, ranks=1) or "")


def test_the_hosts_memory_is_that_of_the_container(tmp_path: Path) -> None:
    assert host_memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  9 kB\nMemAvailable:   8 kB\n")
    assert host_memory(tmp_path) == 8192
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("1000\n")
    for limit, room in (("max", 8192), ("6000", 5000), ("900", 0), ("99999", 8192)):
        (group / "memory.max").write_text(f"{limit}\n")
        assert host_memory(tmp_path) == room
    # Of the 1000 bytes in use 600 are of files that were read, which make room when they are asked for.
    (group / "memory.stat").write_text("anon 300\nfile 700\nshmem 100\ninactive_file 400\nactive_file 200\n")
    for limit, room in (("6000", 5600), ("1000", 600), ("300", 0), ("99999", 8192)):
        (group / "memory.max").write_text(f"{limit}\n")
        assert host_memory(tmp_path) == room
    found = host_memory()
    assert found is None or found > 0
