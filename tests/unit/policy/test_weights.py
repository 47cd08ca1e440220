"""The weights that samplers and exports are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from p2o.policy.weights import FrozenWeights, saved_weights

SIZES = {
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_key_value_heads"), 2),
    **{"vocab_size": 20, "hidden_size": 16, "intermediate_size": 8},
}


def sent_as_saved(model: Any, folder: Path) -> set[str]:
    """Names of what an engine is sent, which must be what the model's files hold, to the bit."""
    import torch
    from safetensors.torch import load_file

    model.save_pretrained(folder)
    on_disk = load_file(folder / "model.safetensors")
    sent = dict(pair for group in saved_weights(FrozenWeights(model)) for pair in group)
    assert sent.keys() == on_disk.keys()
    assert all(torch.equal(sent[name], weight) for name, weight in on_disk.items())
    return set(sent)


def test_engines_get_the_weights_as_the_models_files_hold_them(tmp_path: Path) -> None:
    """transformers keeps a layer's experts in one tensor in memory, and one by one on the disk."""
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    sent = sent_as_saved(MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=3)), tmp_path)
    assert len([name for name in sent if ".experts." in name]) == 2 * 3 * 3


def test_saved_buffers_are_weights_as_well(tmp_path: Path) -> None:
    """A router's correction biases are no parameters, and an engine gets them from the push alone."""
    import torch
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    torch.manual_seed(0)
    routed = {"moe_intermediate_size": 8, "n_routed_experts": 4, "num_experts_per_tok": 2}
    model = Glm4MoeForCausalLM(Glm4MoeConfig(**SIZES, **routed, head_dim=8, first_k_dense_replace=1))
    (bias,) = [name for name, _ in model.named_buffers() if "e_score_correction_bias" in name]
    model.get_buffer(bias).copy_(torch.randn(4))
    assert bias in sent_as_saved(model, tmp_path)
