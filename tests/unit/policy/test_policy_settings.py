"""Backends by name, and the settings that do not go with each other: one line each, naming the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from p2o.config import build_config
from p2o.distributed import Processes
from p2o.errors import ConfigError, MissingDependencyError, ModelError
from p2o.policy import deepspeed_config
from p2o.policy.backends import backend_class, backend_name, make_policy
from p2o.policy.config import LossConfig
from p2o.policy.deepspeed_config import engine_config
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy


def build(**optimizer: Any) -> OptimizerConfig:
    return build_config(
        {"model": {"source": "x"}, "data": {"kind": "tiny"}, "optimizer": optimizer}
    ).optimizer


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"backend": "torch", "zero_stage": 3},
            'optimizer.zero_stage = 3 needs DeepSpeed: set .*"deepspeed"',
        ),
        ({"backend": "torch", "offload": "optimizer"}, 'optimizer.offload = "optimizer" needs DeepSpeed'),
        ({"offload": "all"}, 'optimizer.offload = "all" needs optimizer.zero_stage = 3, not 2'),
        ({"zero_stage": 0, "offload": "optimizer"}, "needs optimizer.zero_stage = 1 or more"),
        ({"zero_stage": 4}, "setting optimizer.zero_stage = 4"),
        ({"lora": {"rank": 0}}, "setting optimizer.lora.rank = 0"),
        ({"lora": {"dropout": 0.1}}, "unknown setting optimizer.lora.dropout"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        build(**settings)
    assert "\n" not in str(error.value)


def loading(config: OptimizerConfig, processes: Processes) -> Any:
    return backend_class(config, processes.size).loading(config, "float32", processes)


def test_what_the_backends_can() -> None:
    """Partitions, and the name shown: by backend and stage."""
    found = {
        stage: (kind.partitions(config), kind.label(config))
        for stage in (None, 0, 1, 2, 3)
        for config in [build() if stage is None else build(zero_stage=stage)]
        for kind in [backend_class(config, 1)]
    }
    assert found == {
        None: (False, "torch"),
        **{stage: (stage == 3, f"deepspeed, ZeRO-{stage}") for stage in (0, 1, 2, 3)},
    }


def test_adapters_are_read_from_a_recipe() -> None:
    lora = build(lora={"rank": 8, "target_modules": ["q_proj", "v_proj"]}).lora
    assert lora is not None
    assert (lora.rank, lora.target_modules) == (8, ("q_proj", "v_proj"))


@pytest.mark.parametrize(
    ("settings", "ranks", "expected"),
    [
        ({}, 1, "torch"),
        ({}, 2, "deepspeed"),
        ({"zero_stage": 3}, 1, "deepspeed"),
        ({"offload": "optimizer"}, 1, "deepspeed"),
        ({"backend": "deepspeed"}, 1, "deepspeed"),
        ({"backend": "torch"}, 1, "torch"),
    ],
)
def test_auto_takes_deepspeed_where_it_is_needed(settings: dict[str, Any], ranks: int, expected: str) -> None:
    assert backend_name(build(**settings), ranks) == expected


def test_torch_trains_in_one_process() -> None:
    with pytest.raises(ConfigError, match='in one process, but 4 were launched: set "deepspeed"'):
        backend_class(build(backend="torch"), 4).check(build(backend="torch"), "float32", 4)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepspeed_config, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"needs deepspeed: pip install 'p2o-rl\[gpu\]'"):
        backend_class(build(), 2).check(build(), "float32", 2)
    monkeypatch.setattr(
        deepspeed_config, "find_spec", lambda name: None if name == "accelerate" else object()
    )
    context = loading(build(zero_stage=3), Processes(size=2))
    with (
        pytest.raises(MissingDependencyError, match=r"needs accelerate: pip install 'p2o-rl\[gpu\]'"),
        context,
    ):
        pass


def test_bfloat16_without_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"zero_stage = 0 cannot train bfloat16.*set it to 1 or more"):
        engine_config(build(zero_stage=0), "bfloat16", cuda=False)


def test_what_deepspeed_is_told() -> None:
    values = engine_config(build(zero_stage=3, offload="all", max_grad_norm=0.5), "bfloat16", cuda=True)
    assert values["managed_gradient_accumulation"] is False
    assert values["gradient_clipping"] == 0.5
    assert values["bf16"]["enabled"]
    assert values["data_types"] == {"grad_accum_dtype": "fp32"}
    assert values["zero_optimization"]["stage"] == 3
    assert values["zero_optimization"]["offload_param"] == {"device": "cpu", "pin_memory": True}
    assert values["zero_optimization"]["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    plain = engine_config(build(), "float32", cuda=False)
    assert "bf16" not in plain
    assert "offload_optimizer" not in plain["zero_optimization"]


def test_the_context_leaves_other_stages_alone() -> None:
    from transformers.integrations import is_deepspeed_zero3_enabled

    with loading(build(zero_stage=2), Processes()):
        assert not is_deepspeed_zero3_enabled()


def test_a_policy_by_name(random_model: Any) -> None:
    policy = make_policy(
        random_model, build(layout="packed"), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )
    assert isinstance(policy, TorchPolicy)


def test_a_model_that_cannot_recompute_is_refused(random_model: Any) -> None:
    random_model.supports_gradient_checkpointing = False
    with pytest.raises(ModelError, match=r"set optimizer\.gradient_checkpointing = false"):
        make_policy(
            random_model,
            build(gradient_checkpointing=True),
            LossConfig(),
            pad_id=0,
            temperature=1.0,
            planned_steps=1,
        )
