"""`model.head_dtype`: logits in float32 from 16-bit weights, wherever they are computed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import nn

from p2o.errors import ModelError
from p2o.model.head import Float32Head, set_head_dtype
from p2o.model.load import load_model, save_model
from p2o.packing import Rows
from p2o.policy.config import LossConfig
from p2o.policy.layout import score_sequences
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.streams import GlobalCounts
from p2o.policy.torch_backend import TorchPolicy
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams

IDS = torch.tensor([[2, 10, 3, 20, 21, 4]])


@pytest.fixture
def model(random_model: Any) -> Any:
    """bfloat16 weights, as they are loaded: the tables of positions stay in float32. Logits in float32."""
    for parameter in random_model.parameters():
        parameter.data = parameter.data.bfloat16()
    set_head_dtype(random_model, "float32")
    return random_model


def hidden_states(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.base_model(input_ids=IDS).last_hidden_state
    return found


@pytest.mark.parametrize("rows", [3, 2048])
def test_logits_are_those_of_a_float32_product(model: Any, rows: int) -> None:
    with torch.no_grad(), patch("p2o.model.head.SLICE", rows):
        logits = model(input_ids=IDS).logits
        expected = hidden_states(model).float() @ model.lm_head.weight.float().T
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-6)
    assert (logits - expected.bfloat16()).abs().max() > 1e-3, "in bfloat16 they would be others"


@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_the_float32_product_rounded(bias: bool) -> None:
    """By hand what autograd would do; ours round the gradient to 8 bits once more."""
    torch.manual_seed(0)
    plain = nn.Linear(16, 50, bias=bias).bfloat16()
    ours = copy.deepcopy(plain)
    ours.__class__ = Float32Head
    hidden = torch.randn(2, 5, 16, dtype=torch.bfloat16, requires_grad=True)
    upstream = torch.randn(2, 5, 50)
    offset = plain.bias.float() if bias else 0.0
    expected = hidden.float() @ plain.weight.float().T + offset
    found = ours(hidden)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for one, other in zip(
        torch.autograd.grad(found, [hidden, *ours.parameters()], upstream),
        torch.autograd.grad(expected, [hidden, *plain.parameters()], upstream),
        strict=True,
    ):
        assert one.dtype == torch.bfloat16
        assert (one.float() - other.float()).norm() < 0.01 * other.float().norm()


def test_the_weights_and_their_names_stay_as_they_are(random_model: Any) -> None:
    random_model.bfloat16()
    before = {name: (weight.data_ptr(), weight.dtype) for name, weight in random_model.state_dict().items()}
    set_head_dtype(random_model, "float32")
    after = {name: (weight.data_ptr(), weight.dtype) for name, weight in random_model.state_dict().items()}
    assert before == after
    assert isinstance(random_model.lm_head, nn.Linear)


def test_a_copy_has_a_head_of_its_own(model: Any) -> None:
    """The start weights are a copy."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        before = other(input_ids=IDS).logits
        model.lm_head.weight.zero_()
        assert model(input_ids=IDS).logits.abs().max() == 0.0
        assert torch.equal(other(input_ids=IDS).logits, before)


def test_sampler_and_trainer_have_the_same_logits(model: Any) -> None:
    """One token after a prompt: the sampler's log-prob is the trainer's to float32's rounding."""
    sampler = HfSampler(model, end_ids=[4], pad_id=0, batch_size=8)
    requests = [SampleRequest((2, 10, 3, 20), seed) for seed in range(8)]
    drawn = sampler.sample(requests, SamplingParams(max_tokens=1, temperature=0.7))
    pairs = [
        (request.prompt_ids, sample.response_ids) for request, sample in zip(requests, drawn, strict=True)
    ]
    scored = score_sequences(model, pairs, pad_id=0, temperature=0.7, micro_batch_tokens=1)
    assert len({sample.response_ids[0] for sample in drawn}) > 1
    for sample, logp in zip(drawn, scored, strict=True):
        assert float(logp[0]) == pytest.approx(sample.logprobs[0], abs=2e-6)


def test_what_is_written_says_so_and_is_read_so(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """vLLM reads `head_dtype` of the configuration as well."""
    save_model(model, tokenizer, tmp_path / "model")
    loaded, _ = load_model(tmp_path / "model", dtype="bfloat16")
    assert loaded.config.head_dtype == "float32"
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits)
    assert type(load_model(tmp_path / "model", dtype="float32")[0].lm_head) is nn.Linear


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2), LoraConfig(rank=2, target_modules=("lm_head",))])
def test_it_is_trained_and_taken_up(model: Any, tokenizer: Any, tmp_path: Path, lora: Any) -> None:
    def policy_over(model: Any) -> TorchPolicy:
        config = OptimizerConfig(backend="torch", learning_rate=0.01, lora=lora)
        return TorchPolicy(model, config, LossConfig(), pad_id=0, temperature=1.0, planned_steps=4)

    untrained = policy_over(copy.deepcopy(model))
    policy = policy_over(model)
    rows = Rows.of(
        [[2, 10, 3]],
        [[20, 21, 4]],
        advantages=[1.0],
        streams={"old_logp": policy.score([([2, 10, 3], [20, 21, 4])])[0]},
    )
    before = policy.score([([2, 10, 3], [20, 21, 4])])[0].sum()
    for _ in range(2):
        policy.update(rows, GlobalCounts(3.0, 1.0, 3))
    assert policy.score([([2, 10, 3], [20, 21, 4])])[0].sum() > before
    (tmp_path / "checkpoint").mkdir()
    policy.save(tmp_path / "checkpoint", tokenizer)
    untrained.load(tmp_path / "checkpoint")  # compares log-probs
    policy.export(tmp_path / "model", tokenizer)  # reads it back


def test_a_float32_model_has_one_anyway(random_model: Any) -> None:
    set_head_dtype(random_model, "float32")
    assert type(random_model.lm_head) is nn.Linear


def test_a_head_of_another_kind_is_refused(random_model: Any) -> None:
    random_model.lm_head = nn.Sequential(random_model.lm_head)
    with pytest.raises(ModelError, match=r"is a Sequential, not a linear layer.*leave out model\.head_dtype"):
        set_head_dtype(random_model, "float32")
    random_model.config.head_dtype = "model"  # what vLLM takes as well
    set_head_dtype(random_model)
