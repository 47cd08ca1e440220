"""Models that load but could not be trained or saved are refused, or mended, when they are loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o.config import Config, load_config
from p2o.errors import ConfigError, ModelError
from p2o.model.load import load_model, load_outline, longest_sequence, save_model
from p2o.parts import check_length, load_policy_model
from p2o.policy.config import LossConfig
from p2o.policy.layout import score_sequences
from p2o.policy.logprobs import check_output_head
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy


@pytest.fixture
def folder(random_model: Any, tokenizer: Any, tmp_path: Path) -> Path:
    path = tmp_path / "start"
    random_model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"do_sample": False, "temperature": 0.7}, {"do_sample": False}),
        ({"temperature": 0.6, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "typical_p": 0.5}, {}),
        ({"do_sample": True, "temperature": 0.7}, {"do_sample": True, "temperature": 0.7}),
        ({"length_penalty": 2.0, "early_stopping": True}, {}),
        ({"num_beams": 2, "length_penalty": 2.0}, {"num_beams": 2, "length_penalty": 2.0}),
        ({"top_p": 0.9, "repetition_penalty": 1.3}, {"repetition_penalty": 1.3}),
    ],
)
def test_generation_settings_that_contradict_each_other_are_dropped(
    folder: Path, tokenizer: Any, settings: dict[str, Any], kept: dict[str, Any], caplog: Any
) -> None:
    """What has an effect stays, and what is saved can be loaded again."""
    file = folder / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": 4, "pad_token_id": 0, **settings}))
    model, _ = load_model(folder)
    save_model(model, tokenizer, folder.parent / "saved")
    saved = json.loads((folder.parent / "saved" / "generation_config.json").read_text())
    assert saved.items() >= {"eos_token_id": 4, "pad_token_id": 0, **kept}.items()
    dropped = settings.keys() - kept.keys()
    assert not dropped & {name for name, value in saved.items() if value is not None} - {"do_sample"}
    told = [record.message for record in caplog.records if record.name == "p2o.model.checks"]
    assert len(told) == bool(dropped)


@pytest.mark.parametrize(
    "settings", [{"max_new_tokens": -1}, {"do_sample": False, "num_return_sequences": 3}], ids=str
)
def test_generation_settings_that_transformers_does_not_take_are_one_line(
    folder: Path, settings: dict[str, Any]
) -> None:
    (folder / "generation_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=next(iter(set(settings) - {"do_sample"}))) as error:
        load_model(folder)
    assert "\n" not in str(error.value)


QUANTISED = [
    {"quant_method": "bitsandbytes", "load_in_4bit": True},
    {"quant_method": "gptq", "bits": 4},
    {"quant_method": "fp8", "weight_block_size": [128, 128]},
]


@pytest.mark.parametrize("quantised", QUANTISED, ids=lambda values: values["quant_method"])
def test_quantised_weights_are_refused_before_they_are_loaded(
    folder: Path, quantised: dict[str, Any]
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantised}))
    with pytest.raises(
        ModelError, match=rf"is quantised \({quantised['quant_method']}\) and cannot be trained"
    ):
        load_outline(folder)


def test_no_backend_takes_over_a_quantised_model(random_model: Any) -> None:
    random_model.config.quantization_config = {"quant_method": "awq"}
    with pytest.raises(ModelError, match=r"is quantised \(awq\)"):
        TorchPolicy(random_model, OptimizerConfig(), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1)


def settings_of(folder: Path) -> Config:
    return load_config("quickstart", [f"model.source={folder}"])


@pytest.mark.parametrize("special", [False, True])
def test_tokens_without_an_embedding_are_refused(folder: Path, special: bool) -> None:
    from p2o.tiny.tokenizer import build_tokenizer

    larger = build_tokenizer()
    larger.add_tokens(["<one>", "<two>"], special_tokens=special)
    larger.save_pretrained(folder)
    with pytest.raises(
        ModelError, match=r"has 2 tokens that the model has no row for \(first: '<one>', number 102 of 102"
    ):
        load_policy_model(settings_of(folder))


def test_a_placeholder_of_an_image_may_be_without_an_embedding(folder: Path) -> None:
    """As in Gemma 3's text-only checkpoints. No text becomes one."""
    from p2o.tiny.tokenizer import build_tokenizer

    larger = build_tokenizer()
    larger.add_tokens(["<image_soft_token>"], special_tokens=True)
    larger.save_pretrained(folder)
    load_policy_model(settings_of(folder))


def test_an_embedding_larger_than_the_tokenizer_is_usual(folder: Path, random_model: Any) -> None:
    random_model.resize_token_embeddings(128)
    shutil.rmtree(folder)
    from p2o.tiny.tokenizer import build_tokenizer

    save_model(random_model, build_tokenizer(), folder)
    load_policy_model(settings_of(folder))


TEXT = {
    "vocab_size": 200,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def test_a_vision_model_whose_text_part_alone_is_loaded_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    """Its export would have no vision tower, and nobody would be told."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    linear = {
        "linear_num_value_heads": 2,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    }
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen3_5Config(text_config=TEXT | linear, vision_config=vision)
    Qwen3_5ForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for load in (load_model, load_outline):
        with pytest.raises(ModelError, match=r"is a Qwen3_5ForConditionalGeneration, .* text part"):
            load(tmp_path)


def test_a_vision_model_that_is_loaded_whole_is_exported_whole(tokenizer: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = Gemma3Config(text_config=TEXT, vision_config=vision, mm_tokens_per_image=4)
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    model, _ = load_model(tmp_path / "start")
    check_output_head(model)
    policy = TorchPolicy(model, OptimizerConfig(), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1)
    policy.export(tmp_path / "end", tokenizer)
    start, end = (load_file(tmp_path / name / "model.safetensors") for name in ("start", "end"))
    assert any("vision" in name for name in start)
    assert start.keys() == end.keys()


def test_a_model_that_is_built_in_another_way_is_one_line() -> None:
    from transformers import Llama4ForCausalLM, Llama4TextConfig

    model = Llama4ForCausalLM(Llama4TextConfig(**TEXT, num_local_experts=2, intermediate_size_mlp=32))
    with pytest.raises(ModelError, match=r"^Llama4ForCausalLM is not built like a causal text model") as told:
        check_output_head(model)
    assert "\n" not in str(told.value)


def rotated_by(kind: str) -> Any:
    """A model with 32 positions that are rotated alike, of 128."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

    torch.manual_seed(0)
    shape = {**TEXT, "num_key_value_heads": 2, "initializer_range": 0.3, "pad_token_id": 0}
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": 10_000.0, "factor": 4.0}
    if kind == "dynamic":
        return LlamaForCausalLM(LlamaConfig(**shape, max_position_embeddings=32, rope_parameters=rope)).eval()
    halves = shape["hidden_size"] // shape["num_attention_heads"] // 2
    factors = {"short_factor": [1.0] * halves, "long_factor": [4.0] * halves}
    config = Phi3Config(
        **shape,
        max_position_embeddings=128,
        original_max_position_embeddings=32,
        rope_parameters={**rope, **factors, "original_max_position_embeddings": 32},
    )
    return Phi3ForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_lengths_at_which_a_batch_would_rotate_all_of_it_anew_are_refused(kind: str) -> None:
    """Phi-3's table, say: beside a longer sequence a short one has other log-probs."""
    model = rotated_by(kind)
    short, within, beyond = (([1, 2, 3], list(range(4, end))) for end in (12, 33, 34))

    def scored(*beside: Any) -> Any:
        return score_sequences(model, [short, *beside], pad_id=0, temperature=1.0, micro_batch_tokens=1000)[0]

    assert longest_sequence(model) == 32 == len(within[0] + within[1])
    assert np.abs(scored(within) - scored()).max() < 1e-5
    assert np.abs(scored(beyond) - scored()).mean() > 0.01
    settings = ["rollout.max_prompt_tokens=8", "rollout.max_tokens=24"]
    check_length(load_config("quickstart", settings), model)
    with pytest.raises(ConfigError, match=rf"more than the 32 positions of p2o-tiny.*\({kind}\): lower"):
        check_length(load_config("quickstart", [*settings, "rollout.max_tokens=25"]), model)
