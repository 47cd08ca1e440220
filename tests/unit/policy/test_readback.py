"""What is exported and checkpointed is what was trained, or it is refused and nothing of it is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from p2o.errors import CheckpointError, ModelError
from p2o.model.load import load_model
from p2o.policy import weights
from p2o.policy.config import LossConfig
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.partitions import partition_file
from p2o.policy.readback import TOLERANCE, difference, probe_sequences
from p2o.policy.torch_backend import TorchPolicy
from small_models import make_model

LINEAR = {"Qwen3Moe": ("q_proj", "k_proj", "v_proj", "o_proj"), "Mixtral": ("q_proj", "o_proj")}
"""What can be adapted where not every target can."""


def make_policy(model: Any, lora: LoraConfig | None = None, *, temperature: float = 1.0) -> TorchPolicy:
    config = OptimizerConfig(learning_rate=1e-2, lora=lora)
    return TorchPolicy(model, config, LossConfig(), pad_id=0, temperature=temperature, planned_steps=5)


def move(policy: TorchPolicy) -> None:
    """What training does, by a lot."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.trained.items():
            if "lora_A" not in name:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            policy.master[name].copy_(parameter)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks so
@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("kind", ["Llama", "tied", "Gemma2", "GPT2", "Qwen3Moe", "Mixtral", "GptOss"])
def test_exports_of_many_kinds_are_what_was_trained(
    kind: str, adapted: bool, tokenizer: Any, tmp_path: Path
) -> None:
    """Compared once more here, by whole logits."""
    lora = LoraConfig(rank=2, target_modules=LINEAR.get(kind, ())) if adapted else None
    policy = make_policy(make_model(kind, tokenizer), lora)
    start = policy.probe()
    move(policy)
    assert difference(start, policy.probe()) > 0.05
    policy.export(tmp_path / "model", tokenizer)
    exported, _ = load_model(tmp_path / "model")
    ids = torch.tensor([[2, 10, 3, 20, 21, 4]])
    with torch.no_grad():
        torch.testing.assert_close(exported(ids).logits, policy.model(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks so
@pytest.mark.parametrize(
    "merge",
    [
        lambda layer: layer.base_layer.weight.detach(),
        lambda layer: layer.base_layer.weight.detach() - layer.get_delta_weight("default"),
    ],
    ids=["lost", "with the wrong sign"],
)
def test_a_wrong_merge_is_not_kept(
    random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merge: Any
) -> None:
    policy = make_policy(random_model, LoraConfig(rank=2))
    move(policy)
    monkeypatch.setattr(weights, "merged_weight", merge)
    with pytest.raises(
        ModelError, match=r"LlamaForCausalLM as it was written is not what was trained"
    ) as error:
        policy.export(tmp_path / "model", tokenizer)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [], "neither the export nor a temporary folder"


def test_weights_that_are_saved_wrongly_are_found(
    random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy(random_model)
    save = random_model.save_pretrained

    def transposed(folder: Path, **options: Any) -> None:
        save(folder, **options)
        state = load_file(folder / "model.safetensors")
        state["model.layers.1.self_attn.q_proj.weight"] = state[
            "model.layers.1.self_attn.q_proj.weight"
        ].T.contiguous()
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(random_model, "save_pretrained", transposed)
    with pytest.raises(ModelError, match=r"differ by .* nats a token, over 0\.001; nothing is kept"):
        policy.export(tmp_path / "model", tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_cannot_be_loaded_is_told(
    random_model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = random_model.save_pretrained

    def incomplete(folder: Path, **options: Any) -> None:
        save(folder, **options)
        state = load_file(folder / "model.safetensors")
        del state["model.norm.weight"]
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(random_model, "save_pretrained", incomplete)
    with pytest.raises(ModelError, match=r"cannot be loaded \(the folder lacks 1 weights"):
        make_policy(random_model).export(tmp_path / "model", tokenizer)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("temperature", [0.1, 3.0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rounding_is_tolerated(
    random_model: Any, tokenizer: Any, tmp_path: Path, dtype: str, temperature: float
) -> None:
    policy = make_policy(random_model.to(getattr(torch, dtype)), LoraConfig(rank=2), temperature=temperature)
    move(policy)
    policy.export(tmp_path / "model", tokenizer)


def test_the_probe_is_the_same_every_time_and_within_the_model(random_model: Any) -> None:
    sequences = probe_sequences(random_model)
    assert sequences == probe_sequences(random_model)
    tokens = {token for prompt, response in sequences for token in [*prompt, *response]}
    assert max(tokens) < random_model.config.vocab_size
    assert len(tokens) > 20
    random_model.config.max_position_embeddings = 8
    assert {len(prompt) + len(response) for prompt, response in probe_sequences(random_model)} == {8}


def test_a_difference_that_is_no_number_is_infinite() -> None:
    assert difference([[0.0, -1.0]], [[0.0, -2.0]]) == 0.5
    assert difference([[np.nan]], [[0.0]]) == np.inf
    assert set(TOLERANCE) == {"float32", "float16", "bfloat16"}


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2)], ids=["whole", "adapters"])
def test_a_checkpoint_that_leads_to_another_model_is_refused(
    tokenizer: Any, tmp_path: Path, lora: LoraConfig | None
) -> None:
    policy = make_policy(make_model("Llama", tokenizer), lora)
    move(policy)
    policy.save(tmp_path, tokenizer)
    again = make_policy(make_model("Llama", tokenizer), lora)
    again.load(tmp_path)
    assert difference(again.probe(), policy.probe()) == 0
    file = partition_file(tmp_path, 0, 1)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    kinds = ("lora_B.default.weight", "q_proj.weight")
    pieces = json.loads(metadata["pieces"])
    index = next(i for i, ((parameter, *_),) in enumerate(pieces) if parameter.endswith(kinds))
    state = load_file(file)
    state[f"{index}.master"] += 1.0
    save_file(state, file, metadata=metadata)
    with pytest.raises(CheckpointError, match="does not lead back to the model it was written from"):
        make_policy(make_model("Llama", tokenizer), lora).load(tmp_path)


def test_a_checkpoint_without_log_probs_is_damaged(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    policy = make_policy(random_model)
    policy.save(tmp_path, tokenizer)
    identity = json.loads((tmp_path / "policy.json").read_text())
    del identity["probe"]
    (tmp_path / "policy.json").write_text(json.dumps(identity))
    with pytest.raises(CheckpointError, match=r"policy\.json cannot be read: the checkpoint is damaged"):
        policy.load(tmp_path)


def test_a_checkpoint_of_another_format_says_so(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """Those of before formats were counted say nothing, and are of the first."""
    policy = make_policy(random_model)
    policy.save(tmp_path, tokenizer)
    identity = json.loads((tmp_path / "policy.json").read_text())
    assert identity.pop("format") == 2
    (tmp_path / "policy.json").write_text(json.dumps(identity))
    with pytest.raises(CheckpointError, match=r"is of format 1, and this version of p2o reads 2: go on with"):
        policy.load(tmp_path)


def test_code_that_comes_with_the_model_is_found_again(tokenizer: Any, tmp_path: Path) -> None:
    """From the start folder, from a checkpoint and from an export."""
    start = tmp_path / "start"
    make_model("Llama", tokenizer).save_pretrained(start)
    tokenizer.save_pretrained(start)
    (start / "configuration_own.py").write_text(
        "from transformers import LlamaConfig\n\n\nclass OwnConfig(LlamaConfig):\n    model_type = 'own_llama'\n"
    )
    (start / "modeling_own.py").write_text(
        "from transformers import LlamaForCausalLM\n\nfrom .configuration_own import OwnConfig\n\n\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    config = json.loads((start / "config.json").read_text())
    config |= {"model_type": "own_llama", "architectures": ["OwnModel"]}
    config["auto_map"] = {
        "AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForCausalLM": "modeling_own.OwnModel",
    }
    (start / "config.json").write_text(json.dumps(config))

    def make() -> TorchPolicy:
        model, _ = load_model(start, trust_remote_code=True)
        return TorchPolicy(
            model,
            OptimizerConfig(),
            LossConfig(),
            pad_id=0,
            temperature=1.0,
            planned_steps=1,
            trust_remote_code=True,
        )

    policy = make()
    move(policy)
    (tmp_path / "checkpoint").mkdir()
    policy.save(tmp_path / "checkpoint", tokenizer)
    resumed = make()
    resumed.load(tmp_path / "checkpoint")
    assert difference(resumed.probe(), policy.probe()) == 0
    resumed.export(tmp_path / "model", tokenizer)
    exported, _ = load_model(tmp_path / "model", trust_remote_code=True)
    assert type(exported).__name__ == "OwnModel"
