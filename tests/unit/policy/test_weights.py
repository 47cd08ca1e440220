"""The weights that samplers and exports are given."""

from __future__ import annotations

from pathlib import Path

from p2o.policy.weights import FrozenWeights, saved_weights


def test_engines_get_the_weights_as_the_models_files_hold_them(tmp_path: Path) -> None:
    """transformers keeps a layer's experts in one tensor in memory, and one by one on the disk."""
    import torch
    from safetensors.torch import load_file
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=3,
    )
    model = MixtralForCausalLM(config)
    model.save_pretrained(tmp_path)
    on_disk = load_file(tmp_path / "model.safetensors")
    sent = dict(pair for group in saved_weights(FrozenWeights(model)) for pair in group)
    assert len([name for name in sent if ".experts." in name]) == 2 * 3 * 3
    assert sent.keys() == on_disk.keys()
    assert all(torch.equal(sent[name], weight) for name, weight in on_disk.items())


def test_saved_buffers_are_weights_as_well(tmp_path: Path) -> None:
    """A router's correction biases are no parameters, and an engine gets them from the push alone."""
    import torch
    from safetensors.torch import load_file
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    torch.manual_seed(0)
    config = Glm4MoeConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=8,
        moe_intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        n_routed_experts=4,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
    )
    model = Glm4MoeForCausalLM(config)
    (bias,) = [name for name, _ in model.named_buffers() if "e_score_correction_bias" in name]
    model.get_buffer(bias).copy_(torch.randn(4))
    model.save_pretrained(tmp_path)
    on_disk = load_file(tmp_path / "model.safetensors")
    sent = dict(pair for group in saved_weights(FrozenWeights(model)) for pair in group)
    assert sent.keys() == on_disk.keys()
    assert bias in sent
    assert all(torch.equal(sent[name], weight) for name, weight in on_disk.items())
