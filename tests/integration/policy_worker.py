"""What the processes of `test_distributed_policy.py` run."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from p2o.distributed import Processes, join_processes
from p2o.errors import P2oError
from p2o.model.head import set_head_dtype
from p2o.model.load import load_model
from p2o.packing import Rows
from p2o.policy import deepspeed_config, layout
from p2o.policy.backends import make_policy
from p2o.policy.config import LossConfig
from p2o.policy.deepspeed_config import load_in_partitions
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.streams import GlobalCounts

STEPS = 3

WHOLE, METRICS = "whole.safetensors", "metrics.json"
"""Files beside a checkpoint: what the run that wrote it came to."""


def shrink_limits() -> None:
    """Brings limits down to the size of the models here. For processes of a launch, not for the one that tests."""
    layout.CHUNK_TOKENS = 50  # the logits are computed in parts, as those of long responses are
    deepspeed_config.WHOLE_PARAMETERS = 1000  # ZeRO-3 has parameters on both sides of it


def make_model(dtype: str = "float32") -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.15,
    )
    return LlamaForCausalLM(config).to(getattr(torch, dtype)).eval()


def make_float32_head(dtype: str) -> Any:
    """Logits in float32; the output matrix, tied to the embeddings, stays in `dtype`."""
    model = make_model(dtype)
    set_head_dtype(model, "float32")
    return model


def make_experts(dtype: str = "float32") -> Any:
    """A mixture of experts: which of them a rank needs depends on its tokens."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(3)
    config = Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=32,
        num_experts=16,
        num_experts_per_tok=2,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.15,
    )
    return Qwen3MoeForCausalLM(config).to(getattr(torch, dtype)).eval()


def make_pairs(random: np.random.Generator, count: int) -> list[tuple[list[int], list[int]]]:
    return [
        (
            random.integers(3, 64, random.integers(2, 9)).tolist(),
            random.integers(3, 64, random.integers(1, 20)).tolist(),
        )
        for _ in range(count)
    ]


def make_scored(step: int, count: int) -> tuple[Rows, GlobalCounts]:
    """Made-up rows of many lengths, another number at each step."""
    random = np.random.default_rng(step)
    pairs = make_pairs(random, count)
    tokens = sum(len(response) for _, response in pairs)
    rows = Rows.of(
        [prompt for prompt, _ in pairs],
        [response for _, response in pairs],
        advantages=random.normal(size=count),
        streams={
            "old_logp": -4.0 - random.random(tokens),
            "context_weight": random.choice([0.0, 1.0], tokens, p=[0.1, 0.9]),
            "engine_weight": random.uniform(0.5, 1.5, tokens),
        },
    )
    return rows, GlobalCounts(tokens=float(tokens), sequences=float(count), max_tokens=20)


ROWS = (9, 1, 13)
"""Rows of each step: the number of micro-batches changes, and once a rank has none."""


def policy_of(
    processes: Processes, settings: dict[str, Any], dtype: str = "float32", model: Any = None
) -> Any:
    shared = {"learning_rate": 1e-3, "warmup_steps": 1, "schedule": "linear", "weight_decay": 0.3}
    options = {**shared, **settings}
    return make_policy(
        make_model(dtype) if model is None else model,
        OptimizerConfig(**options),
        LossConfig(clip=(0.9, 9.0)),
        pad_id=2,
        temperature=0.8,
        planned_steps=10,
        processes=processes,
    )


def whole(policy: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().float().clone() for group in policy.weights() for name, tensor in group}


def train_steps(policy: Any, start: int = 0) -> list[dict[str, float]]:
    return [policy.update(*make_scored(step, ROWS[step])) for step in range(start, STEPS)]


def gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two models' weights; infinite if they have not the same names."""
    if one.keys() != other.keys():
        return float("inf")
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def mean_gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The mean difference of two models' weights."""
    return float(torch.cat([(one[name] - other[name]).abs().flatten() for name in other]).mean())


def metric_gap(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    """The largest difference of the steps' metrics."""
    return max(
        abs(a.get(name, float("inf")) - b.get(name, float("inf")))
        for a, b in zip(one, other, strict=True)
        for name in a.keys() | b.keys()
    )


SPLITS: dict[str, dict[str, Any]] = {
    "zero 0": {"zero_stage": 0},
    "zero 1": {"zero_stage": 1},
    "zero 2": {},
    "zero 3": {"zero_stage": 3},
    "zero 2, one micro-batch": {"micro_batch_tokens": 100_000},
    "zero 3, one micro-batch": {"zero_stage": 3, "micro_batch_tokens": 100_000},
    "zero 2, packed": {"layout": "packed"},
    "zero 3, packed, checkpointing": {"zero_stage": 3, "layout": "packed", "gradient_checkpointing": True},
    "zero 2, shared": {"layout": "shared"},
    "zero 3, shared, checkpointing": {"zero_stage": 3, "layout": "shared", "gradient_checkpointing": True},
    "zero 2, offload": {"offload": "optimizer"},
    "zero 3, offload": {"zero_stage": 3, "offload": "all"},
}
"""Ways to spread the same update."""


def agreement(
    dtype: str, names: list[str], lora: dict[str, Any] | None, make: Callable[[str], Any] = make_model
) -> dict[str, Any]:
    """Each way of `SPLITS` in all processes beside the backend `torch` in this one."""
    processes = join_processes()
    shared = {"lora": lora, "micro_batch_tokens": 40}
    one = {**shared, "backend": "torch", "micro_batch_tokens": 100_000}
    reference = policy_of(Processes(), one, dtype, make(dtype))
    sequences = make_pairs(np.random.default_rng(0), 9)
    start = whole(reference)
    expected_scores = np.concatenate(reference.score(sequences))
    expected_metrics = train_steps(reference)
    expected = whole(reference)
    found: dict[str, Any] = {"moved": gap(expected, start), "mean moved": mean_gap(expected, start)}
    for name in names:
        policy = policy_of(processes, {**shared, **SPLITS[name], "backend": "deepspeed"}, dtype, make(dtype))
        scores = np.concatenate(policy.score(sequences))
        metrics = train_steps(policy)
        weights = whole(policy)
        found[name] = {
            "weights": gap(weights, expected),
            "mean weights": mean_gap(weights, expected),
            "metrics": metric_gap(metrics, expected_metrics),
            "scores": float(np.abs(scores - expected_scores).max()),
            "fingerprint": [float(tensor.double().sum()) for tensor in weights.values()],
        }
    return found


RESUMED: dict[str, tuple[dict[str, Any], str]] = {
    "zero-0": ({"zero_stage": 0}, "float32"),
    "zero-1": ({"zero_stage": 1}, "float32"),
    "zero-2": ({"zero_stage": 2}, "float32"),
    "zero-3": ({"zero_stage": 3}, "float32"),
    "zero-2-offload": ({"zero_stage": 2, "offload": "optimizer"}, "float32"),
    "zero-3-offload": ({"zero_stage": 3, "offload": "all"}, "float32"),
    "zero-1-bfloat16": ({"zero_stage": 1}, "bfloat16"),
    "zero-3-bfloat16": ({"zero_stage": 3}, "bfloat16"),
    "zero-2-lora": ({"zero_stage": 2, "lora": {"rank": 2}}, "float32"),
    "zero-3-lora": ({"zero_stage": 3, "lora": {"rank": 2}}, "float32"),
}
"""Runs that are saved after a step, by the folder of their checkpoint: settings, and the type of the weights."""


def taken_up(processes: Processes, path: Path, settings: dict[str, Any], dtype: str) -> Any:
    """A policy of other weights that has loaded what was saved."""
    other = make_model(dtype)
    if "lora" not in settings:  # what LoRA does not train is not in the checkpoint
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(1)
    resumed = policy_of(processes, settings, dtype, other)
    resumed.load(path)
    return resumed


def differences(resumed: Any, metrics: list[dict[str, float]], weights: dict[str, torch.Tensor]) -> Any:
    """How far a run that was taken up ends from the unbroken one."""
    found = metric_gap(train_steps(resumed, 1), metrics)
    mean = mean_gap(whole(resumed), weights)
    return {"metrics": found, "mean weights": mean, "weights": gap(whole(resumed), weights)}


def resume(folder: str) -> dict[str, Any]:
    """A run that is saved after a step and goes on, beside those that are taken up from what was saved: by the same
    processes, and by one; and one process's run beside those of both."""
    from p2o.tiny.tokenizer import build_tokenizer

    processes = join_processes()
    found: dict[str, Any] = {}
    for name, (settings, dtype) in RESUMED.items():
        path = Path(folder, name)
        unbroken = policy_of(processes, settings, dtype)
        unbroken.update(*make_scored(0, ROWS[0]))
        unbroken.save(path, None)
        expected = train_steps(unbroken, 1)
        weights = whole(unbroken)
        if processes.is_main:
            save_file(weights, path / WHOLE)
            (path / METRICS).write_text(json.dumps(expected))
        resumed = taken_up(processes, path, settings, dtype)
        metrics = train_steps(resumed, 1)
        found[name] = {
            "same metrics": metrics == expected,
            "weights": gap(whole(resumed), weights),
            "steps": resumed.steps,
        }
        alone = taken_up(
            Processes(), path, {**settings, "zero_stage": None, "offload": "none", "backend": "torch"}, dtype
        )
        found[f"{name} in one"] = differences(alone, expected, weights)

    for name, of_one, dtype in (
        ("float32", {}, "float32"),
        ("bfloat16", {}, "bfloat16"),
        ("lora", {"lora": {"rank": 2}}, "float32"),
    ):
        path = Path(folder, f"one-{name}")
        one = policy_of(Processes(), {**of_one, "backend": "torch"}, dtype)
        one.update(*make_scored(0, ROWS[0]))
        if processes.is_main:
            one.save(path, build_tokenizer())
        processes.gather(None)
        expected = train_steps(one, 1)
        for stage in range(dtype == "bfloat16", 4):
            both = taken_up(processes, path, {**of_one, "zero_stage": stage}, dtype)
            found[f"one {name} in two, zero {stage}"] = differences(both, expected, whole(one))
    return found


def refused(action: Any) -> str:
    """The message with which `action` fails."""
    try:
        action()
    except P2oError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


def not_finite(stage: int) -> dict[str, Any]:
    """Losses and gradients that are not finite, on one rank or on all; then the step that a good batch makes."""
    processes = join_processes()
    policy, untouched = (
        policy_of(processes, {"zero_stage": stage, "micro_batch_tokens": 40}) for _ in range(2)
    )
    start = whole(policy)
    rows, counts = make_scored(0, ROWS[0])
    start_of, end_of = rows.response_offsets[3:5]
    rows.streams["context_weight"][start_of:end_of] = np.inf
    rows.advantages[3] = 1.0
    found: dict[str, Any] = {"loss": refused(lambda: policy.update(rows, counts))}
    found["weights after loss"] = gap(whole(policy), start)

    broken = processes.rank == 1
    parameter = policy.model.model.layers[0].mlp.up_proj.weight
    hook = parameter.register_hook(lambda gradient: gradient * float("nan") if broken else gradient)
    found["gradient"] = refused(lambda: policy.update(*make_scored(0, ROWS[0])))
    hook.remove()
    found["weights after gradient"] = gap(whole(policy), start)

    found["same step"] = train_steps(policy) == train_steps(untouched)
    found["same weights"] = gap(whole(policy), whole(untouched))
    found["steps"] = policy.steps
    return found


def files(folder: str) -> dict[str, Any]:
    """Checkpoints of others, exports, and a model that is never whole on a rank."""
    from p2o.tiny.tokenizer import build_tokenizer

    processes = join_processes()
    tokenizer = build_tokenizer()
    base_folder = Path(folder)
    found: dict[str, Any] = {}
    saved = policy_of(processes, {"zero_stage": 2})
    saved.save(base_folder / "saved", tokenizer)
    third = policy_of(processes, {"zero_stage": 3})
    lora = policy_of(processes, {"zero_stage": 3, "lora": {"rank": 2}})
    found["lora"] = refused(lambda: lora.load(base_folder / "saved"))
    experts = policy_of(processes, {"zero_stage": 2}, model=make_experts())
    found["other model"] = refused(lambda: experts.load(base_folder / "saved"))
    if processes.is_main:
        shutil.copytree(base_folder / "saved", base_folder / "damaged")
        (base_folder / "damaged" / "optimizer-00001-of-00002.safetensors").unlink()
    processes.gather(None)
    found["damaged"] = refused(lambda: saved.load(base_folder / "damaged"))
    found["missing"] = refused(lambda: saved.load(base_folder / "nothing"))

    train_steps(third)
    third.export(base_folder / "exported", tokenizer)
    adapted = policy_of(processes, {"zero_stage": 3, "lora": {"rank": 2}})
    train_steps(adapted)
    adapted.export(base_folder / "adapted", tokenizer)

    settings = {"zero_stage": 3, "micro_batch_tokens": 40}
    config = OptimizerConfig(**settings, backend="deepspeed")
    with load_in_partitions(config, "float32", processes):
        model, _ = load_model(base_folder / "exported")
    found["held before"] = sum(p.numel() for p in model.parameters())
    found["whole"] = sum(p.ds_numel for p in model.parameters())
    found["own part"] = sum(p.ds_tensor.numel() for p in model.parameters())
    with load_in_partitions(config, "float32", processes):
        base, _ = load_model(base_folder / "exported")
    with_adapters = policy_of(processes, {**settings, "lora": {"rank": 2}}, model=base)
    found["adapters at first"] = gap(whole(with_adapters), whole(third))
    train_steps(with_adapters)
    found["adapters trained"] = gap(whole(with_adapters), whole(third))
    partitioned = policy_of(processes, settings, model=model)
    found["loaded"] = gap(whole(partitioned), whole(third))
    plain, _ = load_model(base_folder / "exported")  # outside of the context: whole again
    found["plain"] = gap({n: p.detach() for n, p in plain.named_parameters()}, whole(third))
    same = policy_of(Processes(), {"backend": "torch"}, model=plain)
    train_steps(same)
    train_steps(partitioned)
    found["trained"] = gap(whole(partitioned), whole(same))
    return found


def everything(folder: str) -> dict[str, Any]:
    """All of it in one start of the processes."""
    shrink_limits()
    found = {
        "float32": agreement("float32", list(SPLITS), None),
        "bfloat16": agreement("bfloat16", ["zero 1", "zero 2", "zero 3", "zero 2, offload"], None),
        "float32 head": agreement("bfloat16", ["zero 2", "zero 3"], None, make_float32_head),
        "lora": agreement("float32", ["zero 2", "zero 3"], {"rank": 4}),
        "experts": agreement("float32", ["zero 2", "zero 3"], None, make_experts),
        "resume": resume(folder),
        "files": files(folder),
    }
    found |= {f"not finite {stage}": not_finite(stage) for stage in range(4)}
    return found


def alone(folder: str) -> dict[str, Any]:
    """DeepSpeed without a launcher; it goes on where two processes were."""
    shrink_limits()
    found = agreement("float32", ["zero 2"], None)
    for name, (settings, dtype) in RESUMED.items():
        path = Path(folder, name)
        resumed = taken_up(Processes(), path, {**settings, "backend": "deepspeed"}, dtype)
        found[name] = differences(resumed, json.loads((path / METRICS).read_text()), load_file(path / WHOLE))
    return found


def fail_on_rank_1() -> None:
    """Rank 1 fails; rank 0 would never end by itself. (In a collective it might notice first that rank 1 is gone.)"""
    if int(os.environ["RANK"]) == 1:
        raise RuntimeError("rank 1 gives up")
    signal.pause()
