"""The rehearsal in small: what could not be saved is refused before it is trained; random draws are left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from p2o.errors import ConfigError, ModelError
from p2o.model import small
from p2o.model.small import shrunk, small_model
from p2o.policy.optimizer_config import LoraConfig
from p2o.policy.rehearsal import rehearse
from small_models import make_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # peft asks so
)


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=1)], ids=["whole", "adapters"])
@pytest.mark.parametrize("kind", ["Llama", "GPT2", "GptOss"])
def test_what_can_be_saved_passes_and_draws_nothing(kind: str, lora: Any, tokenizer: Any) -> None:
    model = make_model(kind, tokenizer)
    before = {name: p.clone() for name, p in model.named_parameters()}
    state = torch.random.get_rng_state()
    assert rehearse(model, tokenizer, lora, pad_id=0) is None
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("Qwen3Moe", (), r"mlp\.experts is a Qwen3MoeExperts, not a linear layer.*\"q_proj\""),
        ("Qwen3Moe", ("gate_proj", "up_proj", "down_proj"), r"mlp\.experts is a Qwen3MoeExperts"),
        ("Mixtral", (), r"not a linear layer.*\"o_proj\""),
        ("Mixtral", ("w1", "w2", "w3", "q_proj"), r"mlp\.experts is a MixtralExperts.*\"q_proj\""),
        ("tied", ("q_proj", "lm_head"), r"lm_head is tied to model\.embed_tokens.*\[\"q_proj\"\]"),
        ("Gemma2", ("lm_head",), r"lm_head is tied to model\.embed_tokens"),
        ("GPT2", ("lm_head",), r"lm_head is tied to transformer\.wte"),
        ("Llama", ("embed_tokens",), r"embed_tokens is a Embedding, not a linear layer"),
        ("tied", ("embed_tokens",), r"embed_tokens is a Embedding, not a linear layer"),
        ("GPT2", ("wpe", "c_attn"), r"wpe is a Embedding"),
        ("Mamba", ("x_proj", "conv1d"), r"conv1d"),
        ("Mamba", ("dt_proj",), r"dt_proj has no effect, since a MambaForCausalLM takes the weight"),
        ("Mamba", ("x_proj", "dt_proj"), r"dt_proj has no effect"),
    ],
)
def test_adapters_that_cannot_be_merged_are_refused(
    kind: str, targets: tuple[str, ...], message: str, tokenizer: Any
) -> None:
    with pytest.raises(ConfigError, match=rf"optimizer\.lora\.target_modules: .*{message}") as error:
        rehearse(make_model(kind, tokenizer), tokenizer, LoraConfig(rank=2, target_modules=targets), pad_id=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("targets", [("lm_head",), ("attn.c_proj",), ("c_fc", "c_proj")])
def test_adapters_on_an_untied_head_and_on_conv1d_are_merged(
    targets: tuple[str, ...], tokenizer: Any
) -> None:
    model = make_model("Llama" if targets == ("lm_head",) else "GPT2", tokenizer)
    assert rehearse(model, tokenizer, LoraConfig(rank=2, target_modules=targets), pad_id=0) is None


def test_any_error_of_saving_is_one_line(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise KeyError("first line\nsecond line")

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", broken)
    with pytest.raises(
        ModelError, match="LlamaForCausalLM cannot be saved, tried out in small: KeyError"
    ) as error:
        rehearse(random_model, tokenizer, None, pad_id=0)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_does_not_lead_back_is_refused(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = make_model("Llama", tokenizer)
    monkeypatch.setattr(
        "p2o.policy.policy.read_partitions", lambda *_, **__: None
    )  # weights stay those of the start
    with pytest.raises(ModelError, match=r"tried out in small: .* does not lead back"):
        rehearse(loaded, tokenizer, None, pad_id=0)


@pytest.mark.parametrize("kind", ["Llama", "Gemma2", "Qwen3Moe", "GptOss", "GPT2"])
def test_a_large_model_is_rehearsed_in_small(
    kind: str, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers of every kind stay, and targets in one layer by its number are found in another."""
    monkeypatch.setattr(small, "SMALL_PARAMETERS", 0)
    sizes = {"n_layer": 9, "n_embd": 128, "n_head": 8} if kind == "GPT2" else {"num_hidden_layers": 9}
    model = make_model(kind, tokenizer, **sizes)
    made, own = small_model(model)
    assert not own
    assert type(made) is type(model)
    assert made.config.vocab_size == model.config.vocab_size
    assert made.config.num_hidden_layers == 2
    kinds = getattr(model.config, "layer_types", None)
    assert kinds is None or set(made.config.layer_types) == set(kinds)
    target = "h.8.attn.c_attn" if kind == "GPT2" else "layers.8.self_attn.q_proj"
    assert rehearse(model, tokenizer, LoraConfig(rank=2, target_modules=(target,)), pad_id=0) is None


def test_layers_are_kept_until_each_kind_is_there(tokenizer: Any) -> None:
    kinds = ["sliding_attention"] * 4 + ["full_attention"] + ["sliding_attention"]
    config = make_model("Gemma2", tokenizer, num_hidden_layers=6, layer_types=kinds).config
    assert shrunk(config).layer_types == kinds[:5]


def test_where_no_small_model_can_be_made_it_is_left_out_and_said(
    random_model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "MOST_PARAMETERS", 10)
    assert rehearse(random_model, tokenizer, None, pad_id=0) == "no small LlamaForCausalLM could be made"
