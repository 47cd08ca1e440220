"""What the sampler `hf` draws is what the model says in one pass, or the run does not begin."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from p2o.assembly import prepare
from p2o.config import load_config
from p2o.errors import ModelError, TrainingError
from p2o.evaluation.suite import run_suite
from p2o.rollout.decoding import GrowingDecoder
from p2o.rollout.fixed_decoding import FixedDecoder
from p2o.rollout.hf import HfSampler
from p2o.rollout.probe import MAX_GAP, check_gap, full_forward
from p2o.rollout.sampler import SampleRequest, SamplingParams
from p2o.track.console import Console
from small_models import make_model

PROMPTS = [(2, 10, 11, 3), (2, 40, 41, 42, 43, 44, 45, 46, 3), (2, 3), (2, 10, 11, 3)]
PARAMS = SamplingParams(max_tokens=12, temperature=0.8)


@pytest.mark.filterwarnings("error::FutureWarning")
@pytest.mark.parametrize("decoding", ["growing", "fixed"])
@pytest.mark.parametrize("kind", ["Llama", "Gemma2", "GPT2", "Qwen3Moe", "Mamba", "FalconMamba", "Mamba2"])
def test_decoding_on_a_cache_is_one_pass(kind: str, decoding: Any, tokenizer: Any) -> None:
    """Prompts of several lengths, equal ones among them, and rows that leave the batch at different times."""
    model = make_model(kind, tokenizer)
    sampler = HfSampler(model, end_ids=tuple(range(4, 14)), pad_id=0, decoding=decoding)
    requests = [SampleRequest(prompt, seed) for seed, prompt in enumerate(PROMPTS * 4)]
    samples = sampler.sample(requests, PARAMS)
    assert len({len(sample.response_ids) for sample in samples}) > 3
    pairs = [(r.prompt_ids, s.response_ids) for r, s in zip(requests, samples, strict=True)]
    scored = full_forward(model, PARAMS.temperature, pairs)
    for sample, logprobs in zip(samples, scored, strict=True):
        np.testing.assert_allclose(sample.logprobs, logprobs, atol=2e-5)


def forgetful(decoder: type[Any]) -> Any:
    """A step that looks at nothing but its token, as where a model ignores the cache it is given."""

    def step(self: Any, tokens_R: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=tokens_R[:, None], use_cache=False).logits[:, -1]
        return logits

    return step


@pytest.mark.parametrize(
    ("decoding", "decoder"), [("growing", GrowingDecoder), ("fixed", FixedDecoder)], ids=["growing", "fixed"]
)
def test_an_ignored_cache_is_found(
    random_model: Any, decoding: Any, decoder: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = HfSampler(random_model, end_ids=(4,), pad_id=0, decoding=decoding)
    own = partial(full_forward, random_model, PARAMS.temperature)
    measured = check_gap(sampler, own, PROMPTS, PARAMS, MAX_GAP["float32"])
    assert measured["sync/gap_max"] < 2e-5
    monkeypatch.setattr(decoder, "step", forgetful(decoder))
    with pytest.raises(
        TrainingError, match=r"decoding token by token does not give.*rollout\.sampler = \"vllm\""
    ):
        check_gap(sampler, own, PROMPTS, PARAMS, MAX_GAP["float32"])


def test_a_model_that_cannot_decode_is_told_in_one_line(
    random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = HfSampler(random_model, end_ids=(4,), pad_id=0)
    own = partial(full_forward, random_model, 1.0)

    def broken(*arguments: Any) -> None:
        raise IndexError("no\nsuch state")

    monkeypatch.setattr(GrowingDecoder, "step", broken)
    with pytest.raises(
        ModelError, match=r"cannot be sampled by transformers here \(IndexError: no such state\)"
    ):
        check_gap(sampler, own, PROMPTS, PARAMS, 1.0)


def test_a_model_without_a_cache_is_told_in_one_line(random_model: Any) -> None:
    class Without(LlamaForCausalLM):  # type: ignore[misc]  # transformers is not followed by mypy
        def forward(self, input_ids: Any = None, attention_mask: Any = None, **_: Any) -> Any:
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)

    model = Without(random_model.config).eval()
    with pytest.raises(ModelError, match="Without takes no cache to decode on"):
        HfSampler(model, end_ids=(4,), pad_id=0).sample([SampleRequest((2, 3), 1)], PARAMS)


SETTINGS = ["data.train_size=8", "data.evaluation_size=4", "run.method=grpo", "rollout.max_tokens=8"]


def test_runs_and_evaluations_begin_with_the_probe_and_steps_do_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config("quickstart", SETTINGS)
    run = prepare(config, tmp_path / "run", console=Console.silent())
    assert run.probe() == {}
    monkeypatch.setattr(GrowingDecoder, "step", forgetful(GrowingDecoder))
    for begin in (
        lambda: prepare(config, tmp_path / "other", console=Console.silent()),
        lambda: prepare(config, tmp_path / "run", resume=True, console=Console.silent()),
        lambda: run_suite(config, None, None, Console.silent()),
    ):
        with pytest.raises(TrainingError, match="decoding token by token"):
            begin()
