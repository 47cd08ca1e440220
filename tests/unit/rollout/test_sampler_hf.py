"""The sampler `hf`: a completion depends on its prompt, its seed and the weights, and on nothing else."""

from __future__ import annotations

import copy
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2o.errors import TrainingError
from p2o.policy.layout import score_sequences
from p2o.rollout.draw import draw, invert
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams

ENDS = tuple(range(4, 14))
PROMPTS = [(2, 10, 11, 3), (2, 40, 41, 42, 43, 44, 45, 46, 3), (2, 3), (2, 10, 11, 3)]


def make_sampler(model: Any, batch_size: int = 64, end_ids: tuple[int, ...] = ENDS) -> HfSampler:
    return HfSampler(model, end_ids=end_ids, pad_id=0, batch_size=batch_size)


def requests(copies: int = 5) -> list[SampleRequest]:
    return [
        SampleRequest(prompt, seed=100 * number + copy)
        for number, prompt in enumerate(PROMPTS)
        for copy in range(copies)
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_a_batch_gives_what_single_requests_give(
    random_model: Any, batch_size: int, temperature: float
) -> None:
    params = SamplingParams(max_tokens=24, temperature=temperature)
    sampler = make_sampler(random_model)
    alone = [sampler.sample([request], params)[0] for request in requests()]
    together = make_sampler(random_model, batch_size).sample(requests(), params)
    assert [s.response_ids for s in together] == [s.response_ids for s in alone]
    assert [s.finish_reason for s in together] == [s.finish_reason for s in alone]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)
    assert len({len(s.response_ids) for s in alone}) > 1, "rows must leave the batch at different times"


def test_order_of_the_requests_does_not_matter(random_model: Any) -> None:
    params = SamplingParams(max_tokens=16)
    sampler = make_sampler(random_model, batch_size=4)
    forward = sampler.sample(requests(), params)
    backward = sampler.sample(requests()[::-1], params)[::-1]
    assert [s.response_ids for s in forward] == [s.response_ids for s in backward]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_weights_that_are_no_numbers_are_told(random_model: Any, temperature: float) -> None:
    broken = copy.deepcopy(random_model)
    broken.lm_head.weight.data[5, 3] = math.nan
    with pytest.raises(TrainingError, match="logits are not finite"):
        make_sampler(broken).sample(requests(), SamplingParams(max_tokens=4, temperature=temperature))


def test_the_seed_decides(random_model: Any) -> None:
    params = SamplingParams(max_tokens=16)
    samples = make_sampler(random_model).sample([SampleRequest((2, 10, 3), s) for s in (1, 1, 2)], params)
    assert samples[0] == samples[1]
    assert samples[0].response_ids != samples[2].response_ids


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_log_probs_are_the_trainers(random_model: Any, temperature: float) -> None:
    """Sampler (left padding, cache) and trainer (right padding, one pass) agree on every token to 1e-4."""
    asked = requests()
    samples = make_sampler(random_model, batch_size=8).sample(
        asked, SamplingParams(max_tokens=24, temperature=temperature)
    )
    sequences = [(r.prompt_ids, s.response_ids) for r, s in zip(asked, samples, strict=True)]
    scored = score_sequences(
        random_model, sequences, pad_id=0, temperature=temperature, micro_batch_tokens=200
    )
    for sample, logp in zip(samples, scored, strict=True):
        np.testing.assert_allclose(sample.logprobs, logp, atol=1e-4)


def test_ends_at_an_end_token_and_says_so(random_model: Any) -> None:
    samples = make_sampler(random_model).sample(requests(), SamplingParams(max_tokens=24))
    assert {s.finish_reason for s in samples} == {"stop", "length"}
    for sample in samples:
        stopped = sample.finish_reason == "stop"
        assert (sample.response_ids[-1] in ENDS) == stopped
        assert not set(ENDS) & set(sample.response_ids[:-1])
        assert len(sample.response_ids) == len(sample.logprobs)
        assert stopped or len(sample.response_ids) == 24


def test_every_end_token_ends(random_model: Any) -> None:
    everything = tuple(range(random_model.config.vocab_size))
    samples = make_sampler(random_model, end_ids=everything).sample(requests(), SamplingParams(max_tokens=24))
    assert [len(s.response_ids) for s in samples] == [1] * len(samples)


def test_progress_counts_every_request_once(random_model: Any) -> None:
    counts: list[int] = []
    make_sampler(random_model, batch_size=7).sample(requests(), SamplingParams(max_tokens=12), counts.append)
    assert sum(counts) == len(requests())


def test_no_requests(random_model: Any) -> None:
    assert make_sampler(random_model).sample([], SamplingParams(max_tokens=4)) == []


@given(
    st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=30, unique=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([1.0, 0.6]),
)
def test_draw_inverts_the_cumulative_distribution(
    logits: list[float], uniform: float, top_k: int, temperature: float
) -> None:
    token, logprob = draw(
        torch.tensor([logits]),
        torch.tensor([uniform], dtype=torch.float64),
        SamplingParams(1, temperature, 1.0, top_k),
    )
    scaled = np.array(logits) / temperature
    kept = sorted(range(len(logits)), key=lambda i: -logits[i])[: top_k or None]
    probabilities = np.zeros(len(logits))
    probabilities[kept] = np.exp(scaled[kept] - scaled.max())
    probabilities /= probabilities.sum()
    below, above = probabilities[: token.item()].sum(), probabilities[: token.item() + 1].sum()
    assert below - 1e-5 <= uniform <= above + 1e-5
    assert np.exp(logprob.item()) == pytest.approx(probabilities[token.item()], rel=1e-3)


def test_a_nucleus_that_is_reached_exactly_takes_no_further_token() -> None:
    logits = torch.zeros(50, 4)  # a quarter each, exact in floating point
    uniforms = torch.linspace(0, 0.99, 50)
    tokens, _ = draw(logits, uniforms, SamplingParams(1, 1.0, top_p=0.5))
    assert set(tokens.tolist()) == {0, 1}


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    """0.5 + 0.3 reaches 0.7, so the third and fourth tokens are out and the two that stay are renormalised."""
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log().expand(100, 4)
    uniforms = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    tokens, logprobs = draw(logits, uniforms, SamplingParams(1, 1.0, top_p=0.7))
    assert set(tokens.tolist()) == {1, 3}
    assert logprobs.exp()[tokens == 1][0].item() == pytest.approx(0.5 / 0.8)


def test_draws_have_the_right_frequencies() -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.15, 0.1])
    uniforms = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    tokens, _ = draw(probabilities.log().expand(2000, 4), uniforms, SamplingParams(1))
    assert Counter(tokens.tolist()) == {0: 1000, 1: 500, 2: 300, 3: 200}


def test_greedy_takes_the_most_likely_and_reports_its_probability() -> None:
    tokens, logprobs = draw(
        torch.tensor([[0.1, 2.0, 1.0]]), torch.zeros(1, dtype=torch.float64), SamplingParams(1, 0.0)
    )
    assert tokens.tolist() == [1]
    assert logprobs.exp().item() == pytest.approx(np.exp(2) / np.exp([0.1, 2, 1]).sum())


@given(st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True), st.sampled_from([1100, 1536, 5000]))
@settings(max_examples=60)
def test_blocks_find_the_token_that_one_running_sum_finds(seed: int, uniform: float, size: int) -> None:
    """Also where most probabilities are 0, whole blocks among them."""
    random = np.random.default_rng(seed)
    weights = random.exponential(size=size) ** 4 * (random.random(size) < random.choice([0.002, 0.1, 1.0]))
    weights[random.integers(size)] = 1.0
    probabilities = weights / weights.sum()
    token = invert(torch.from_numpy(probabilities)[None], torch.tensor([uniform], dtype=torch.float64)).item()
    running = np.cumsum(probabilities)
    below = running[token - 1] if token else 0.0
    assert probabilities[token] > 0
    assert below - 1e-12 <= uniform * running[-1] <= running[token] + 1e-12


@pytest.mark.parametrize("last", [511, 512, 1023, 1499])
def test_the_last_uniform_draws_the_last_token_that_has_a_probability(last: int) -> None:
    probabilities = torch.zeros(1, 1500, dtype=torch.float64)
    probabilities[0, : last + 1] = 0.1
    nearly_one = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert invert(probabilities, nearly_one).item() == last


def test_many_rows_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    logits, uniforms = torch.randn(7, 2000, generator=generator), torch.rand(7, generator=generator)
    whole = draw(logits, uniforms, SamplingParams(1))
    monkeypatch.setattr("p2o.rollout.draw._AT_ONCE", 2 * 2000)
    parts = draw(logits, uniforms, SamplingParams(1))
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])
