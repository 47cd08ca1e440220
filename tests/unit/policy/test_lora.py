"""LoRA: only adapters are trained and saved; samplers and exports get the merged model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from p2o.errors import CheckpointError, ConfigError
from p2o.model.load import load_model
from p2o.policy.config import LossConfig
from p2o.policy.lora import ADAPTER, is_adapter, lora_layers
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy
from p2o.policy.weights import Weight, model_weights, weight_groups
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams

SEQUENCES = [([2, 10, 3], [20, 21, 4]), ([2, 11, 12, 13, 14, 3], [4])]


def make_policy(model: Any, lora: LoraConfig | None, **options: Any) -> TorchPolicy:
    config = OptimizerConfig(learning_rate=1e-2, lora=lora, **options)
    return TorchPolicy(model, config, LossConfig(), pad_id=0, temperature=1.0, planned_steps=5)


def train(policy: TorchPolicy, steps: int = 2) -> None:
    """Steps towards likelier responses."""
    for _ in range(steps):
        for prompt, response in SEQUENCES:
            ids = torch.tensor([[*prompt, *response]])
            policy._backward(policy.model(input_ids=ids, labels=ids).loss)
        policy._step(policy.config.learning_rate)
        policy.steps += 1


def merged(policy: TorchPolicy) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for group in policy.weights() for name, tensor in group}


def test_at_first_nothing_changes(random_model: Any) -> None:
    plain = copy.deepcopy(random_model)
    policy = make_policy(random_model, LoraConfig(rank=3))
    start = dict(plain.named_parameters())
    weights = merged(policy)
    assert weights.keys() == start.keys()
    assert all(torch.equal(tensor, start[name]) for name, tensor in weights.items())


def test_only_adapters_are_trained(random_model: Any) -> None:
    before = {name: p.detach().clone() for name, p in random_model.named_parameters()}
    policy = make_policy(random_model, LoraConfig(rank=3))
    layers = random_model.config.num_hidden_layers
    assert len(policy.trained) == 2 * 7 * layers  # two factors of q, k, v, o, gate, up, down
    assert all(map(is_adapter, policy.trained))
    train(policy)
    frozen = {
        name.replace(".base_layer.", "."): p
        for name, p in random_model.named_parameters()
        if name not in policy.trained
    }
    assert frozen.keys() == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in frozen.items())
    moved = merged(policy)
    assert (
        moved["model.layers.0.mlp.up_proj.weight"] - before["model.layers.0.mlp.up_proj.weight"]
    ).abs().max() > 1e-3


def test_target_modules_choose_the_layers(random_model: Any) -> None:
    policy = make_policy(random_model, LoraConfig(rank=3, target_modules=("q_proj",)))
    assert {name.split(".")[-4] for name in policy.trained} == {"q_proj"}


def test_unknown_target_modules_are_refused(random_model: Any) -> None:
    with pytest.raises(ConfigError, match=r"optimizer.lora.target_modules: .*nonsense") as error:
        make_policy(random_model, LoraConfig(target_modules=("nonsense",)))
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks so
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_merged_model_is_the_adapted_one(
    random_model: Any, tokenizer: Any, tmp_path: Path, dtype: str
) -> None:
    """Scores through the adapters, of the merged weights, of the export, and of peft's own reading of the adapter."""
    from peft import PeftModel

    plain = copy.deepcopy(random_model.to(getattr(torch, dtype)))
    base = copy.deepcopy(plain)
    policy = make_policy(random_model, LoraConfig(rank=3))
    assert {layer.scaling[ADAPTER] for layer in lora_layers(policy.model).values()} == {2.0}
    train(policy)
    plain.load_state_dict(merged(policy))
    policy.export(tmp_path / "model", tokenizer)
    exported, _ = load_model(tmp_path / "model", dtype=dtype)
    found, expected_weights = dict(exported.named_parameters()), dict(plain.named_parameters())
    assert found.keys() == expected_weights.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected_weights.items())
    adapted = PeftModel.from_pretrained(base, tmp_path / "model" / "adapter", autocast_adapter_dtype=False)
    ids = torch.tensor([[2, 10, 3, 20, 21, 4]])
    with torch.no_grad():
        expected = policy.model(ids).logits
        tolerance = {"atol": 1e-5, "rtol": 1e-4} if dtype == "float32" else {"atol": 0.1, "rtol": 0.05}
        torch.testing.assert_close(plain(ids).logits, expected, **tolerance)
        torch.testing.assert_close(adapted(ids).logits, expected, **tolerance)


def test_only_adapters_are_saved_and_a_run_goes_on_exactly(
    random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    start = copy.deepcopy(random_model)
    unbroken = make_policy(random_model, LoraConfig(rank=3))
    train(unbroken)
    unbroken.save(tmp_path, tokenizer)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "optimizer-00000-of-00001.safetensors",
        "policy.json",
    ]
    resumed = make_policy(copy.deepcopy(start), LoraConfig(rank=3))
    resumed.load(tmp_path)
    for policy in (unbroken, resumed):
        train(policy)
    one, other = merged(unbroken), merged(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.steps == 4
    with pytest.raises(CheckpointError, match=r"a run with LoRA of rank 3, this one is without LoRA: resume"):
        make_policy(start, None).load(tmp_path)


def test_adapters_of_bfloat16_weights_are_taken_up_in_the_model_too(
    random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    """They are saved as float32 copies; the model must have them before the first step."""
    start = copy.deepcopy(random_model).bfloat16()
    policy = make_policy(copy.deepcopy(start), LoraConfig(rank=3))
    train(policy)
    policy.save(tmp_path, tokenizer)
    resumed = make_policy(copy.deepcopy(start), LoraConfig(rank=3))
    resumed.load(tmp_path)
    one, other = merged(policy), merged(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], start.get_parameter(name)) for name in one)


def test_a_sampler_draws_from_the_adapted_model(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    policy = make_policy(random_model, LoraConfig(rank=3))
    train(policy, steps=5)
    policy.export(tmp_path / "model", tokenizer)
    exported, _ = load_model(tmp_path / "model")
    requests = [SampleRequest((2, 10, 3), seed) for seed in range(4)]
    samples = []
    for model in (policy.model, exported):
        sampler = HfSampler(model, end_ids=[4], pad_id=0)
        samples.append(sampler.sample(requests, SamplingParams(max_tokens=8)))
    for one, other in zip(*samples, strict=True):
        assert one.response_ids == other.response_ids
        torch.testing.assert_close(one.logprobs, other.logprobs, atol=1e-4, rtol=0)
    scored = policy.score(
        [
            (request.prompt_ids, sample.response_ids)
            for request, sample in zip(requests, samples[0], strict=True)
        ]
    )
    for logp, sample in zip(scored, samples[0], strict=True):
        torch.testing.assert_close(logp.tolist(), sample.logprobs, atol=1e-4, rtol=0)


def test_activations_computed_again_give_the_same_gradient(random_model: Any) -> None:
    """And the sampler keeps its cache: outside of an update nothing is recomputed."""
    other = copy.deepcopy(random_model)
    kept, again = make_policy(random_model, None), make_policy(other, None, gradient_checkpointing=True)
    for policy in (kept, again):
        train(policy)
    pairs = zip(kept.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    assert not any(module.training for module in again.model.modules())
    output = again.model(input_ids=torch.tensor([[2, 3]]), use_cache=True)
    assert output.past_key_values.get_seq_length() == 2


def test_groups_hold_every_weight_once_and_not_too_much(
    random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2o.policy.weights.WEIGHT_GROUP_BYTES", 20_000)
    weights = model_weights(random_model)
    groups = list(weight_groups(weights))
    assert [name for group in groups for name, _ in group] == [weight.name for weight in weights]
    assert len(groups) > 2
    for group in groups:
        assert len(group) == 1 or sum(tensor.nbytes for _, tensor in group) <= 20_000


def test_a_group_is_whole_only_while_it_is_used() -> None:
    """As under ZeRO-3: gathered on the way in, gone on the way out, a group at a time."""
    from contextlib import contextmanager

    events: list[str] = []

    @contextmanager
    def gather(parameters: list[Any]) -> Any:
        events.append(f"gather {len(parameters)}")
        yield
        events.append("release")

    tensor = torch.zeros(2**28)
    weights = [Weight(str(i), (tensor,), lambda: tensor) for i in range(3)]  # 1 GiB each
    for group in weight_groups(weights, gather):
        events.append("use " + ",".join(name for name, _ in group))
    assert events == [f"{what}" for i in range(3) for what in ("gather 1", f"use {i}", "release")]
