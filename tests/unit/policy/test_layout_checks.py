"""What cannot share rows is found before it trains: states that are handed on, windows and masks of a model's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from p2o.errors import ModelError
from p2o.policy.attention import takes_segments, varlen_attention
from p2o.policy.backends import make_policy
from p2o.policy.config import LossConfig
from p2o.policy.layout import PaddedLayout, score_sequences
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.segments import Segments
from p2o.policy.torch_backend import TorchPolicy

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32}
LONG = [([1, 2, 3, 4], list(range(20, 40))), ([1, 2, 3, 4], list(range(40, 60)))]


def bamba() -> Any:
    """One layer hands a state on, one attends."""
    from transformers import BambaConfig, BambaForCausalLM

    config = BambaConfig(
        **SIZES,
        attn_layer_indices=[1],
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_n_groups=1,
        mamba_d_state=8,
        mamba_chunk_size=16,
    )
    return BambaForCausalLM(config)


def qwen2_moe(window: int | None) -> Any:
    """Its attention layers leave their window to the mask."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    windowed: dict[str, Any] = {} if window is None else {"use_sliding_window": True, "max_window_layers": 2}
    config = Qwen2MoeConfig(
        **SIZES,
        **EXPERTS,
        **windowed,
        sliding_window=window,
        shared_expert_intermediate_size=32,
    )
    return Qwen2MoeForCausalLM(config)


def phimoe(window: int | None) -> Any:
    """So do these, and no configuration lists kinds of layers."""
    from transformers import PhimoeConfig, PhimoeForCausalLM

    config = PhimoeConfig(**SIZES, num_local_experts=2, num_experts_per_tok=1, sliding_window=window)
    return PhimoeForCausalLM(config)


def deepseek(chosen: int = 4) -> Any:
    """Each token attends to those that an indexer chooses, by a mask that the layer makes."""
    from transformers import DeepseekV32Config, DeepseekV32ForCausalLM

    config = DeepseekV32Config(
        **SIZES,
        q_lora_rank=32,
        kv_lora_rank=16,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
        index_n_heads=2,
        index_head_dim=16,
        index_topk=chosen,
        n_routed_experts=2,
        num_experts_per_tok=1,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=2,
    )
    return DeepseekV32ForCausalLM(config)


def made(make: Any, *arguments: Any) -> Any:
    torch.manual_seed(0)
    return make(*arguments).eval()


def policy_over(model: Any, layout: Any) -> TorchPolicy:
    config = OptimizerConfig(layout=layout)
    return TorchPolicy(model, config, LossConfig(), pad_id=0, temperature=1.0, planned_steps=1)


def log_probs(model: Any, layout: Any) -> np.ndarray:
    found = score_sequences(model, LONG, pad_id=0, temperature=1.0, micro_batch_tokens=1000, layout=layout)
    return np.concatenate(found)


@pytest.mark.parametrize("layout", ["packed", "shared"])
def test_a_state_that_is_handed_on_is_found_below_the_rounding_of_bfloat16(layout: Any) -> None:
    model = made(bamba).bfloat16()
    with pytest.raises(ModelError, match=r'mixes sequences.*optimizer.layout = "padded"'):
        policy_over(model, layout).check_layout()


@pytest.mark.parametrize("layout", ["packed", "shared"])
@pytest.mark.parametrize("make", [qwen2_moe, phimoe])
def test_a_window_in_the_mask_alone_is_refused(make: Any, layout: Any) -> None:
    model = made(make, 4)
    with pytest.raises(ModelError, match=r'its sliding window in the mask.*optimizer.layout = "padded"'):
        log_probs(model, layout)
    wide = made(make, 4096 if make is phimoe else None)  # as many tokens as there are positions
    wide.config.max_position_embeddings = 4096
    np.testing.assert_allclose(log_probs(wide, layout), log_probs(wide, "padded"), atol=1e-5)


def test_a_layer_that_chooses_what_it_sees_keeps_its_own_attention() -> None:
    """Under another name than sdpa's it would not say what it has chosen."""
    few, all_of_them = made(deepseek, 4), made(deepseek, 1000)
    assert not takes_segments(few)
    policy_over(few, "packed")
    assert few.config._attn_implementation == "sdpa"
    assert np.abs(log_probs(few, "padded") - log_probs(all_of_them, "padded")).mean() > 0.1
    with pytest.raises(ModelError, match=r'cannot share prompts.*optimizer.layout = "padded"'):
        policy_over(few, "shared")


@pytest.mark.parametrize("asked", ["mask", "indices"])
def test_what_a_layer_asks_of_its_attention_is_not_passed_over(asked: str) -> None:
    query = torch.zeros(1, 2, 3, 4)
    own = torch.ones(1, 1, 3, 3, dtype=torch.bool) if asked == "mask" else torch.zeros(1, 1, 1, 1)
    options = {} if asked == "mask" else {"indices": torch.zeros(1, 3, 2)}
    segments = Segments([3], [0])
    with pytest.raises(ModelError, match=r'Linear needs .*optimizer.layout = "padded"'):
        varlen_attention(torch.nn.Linear(1, 1), query, query, query, own, segments=segments, **options)


def test_auto_pads_where_a_window_is_in_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2o.policy.layout.SHARED_FROM", 1)
    options = {"pad_id": 0, "temperature": 1.0, "planned_steps": 1}
    # Wider than what the check of a layout has tokens.
    policy = make_policy(made(qwen2_moe, 20), OptimizerConfig(backend="torch"), LossConfig(), **options)
    assert isinstance(policy.layout, PaddedLayout)
