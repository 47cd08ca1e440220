"""Gradient checkpointing: the same function as without it, computed again in the backward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from p2o.policy.recomputation import checkpointing, enable_checkpointing

SIZES: dict[str, Any] = {"vocab_size": 64, "max_position_embeddings": 32}
IDS = torch.arange(20).reshape(2, 10)


def opt() -> Any:
    """Its layers drop out their outputs, and its decoder whole layers, by their own flags."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        **SIZES,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        dropout=0.5,
        layerdrop=0.5,
    )
    return OPTForCausalLM(config).eval()


def xglm() -> Any:
    """Its decoder drops out the embeddings, by a flag of its own."""
    from transformers import XGLMConfig, XGLMForCausalLM

    config = XGLMConfig(
        **SIZES, d_model=32, ffn_dim=32, num_layers=2, attention_heads=2, dropout=0.5, attention_dropout=0.5
    )
    return XGLMForCausalLM(config).eval()


def gradients(model: Any, enabled: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
    model.zero_grad()
    with checkpointing(model, enabled):
        logits = model(input_ids=IDS, use_cache=False).logits
        logits.square().mean().backward()
    return logits.detach(), [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("make", [opt, xglm])
def test_nothing_is_dropped_out_where_activations_are_computed_again(make: Any) -> None:
    torch.manual_seed(0)
    model = make()
    enable_checkpointing(model)
    first = model.model.decoder.layers[0] if make is opt else model.model.layers[0]
    calls: list[bool] = []
    first.fc1.register_forward_hook(lambda *_: calls.append(first.training))
    expected, expected_gradients = gradients(model, False)
    assert calls == [False]
    found, found_gradients = gradients(model, True)
    assert calls == [False] * 3, "computed, and computed again for the backward pass, in evaluation mode"
    torch.testing.assert_close(found, expected)
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert not any(module.training for module in model.modules())
    gradients(model, False)
    assert len(calls) == 4, "outside the block nothing is computed again"
