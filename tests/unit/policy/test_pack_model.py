"""Packed micro-batches through a model: the log-probs, losses and gradients of one sequence at a time."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from p2o.errors import InputError
from p2o.packing import IGNORED_LABEL, Rows, fill, pack, unpack
from p2o.policy.config import LossConfig
from p2o.policy.logprobs import output_head, token_logprobs
from p2o.policy.losses import LOSSES
from p2o.policy.streams import GlobalCounts, TokenStreams

TEMPERATURE = 0.7
VOCABULARY = 61


def make_model(attention):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        attn_implementation=attention,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


def make_pairs(count=9, seed=0):
    random = np.random.default_rng(seed)
    return [
        (
            random.integers(3, VOCABULARY, random.integers(1, 9)).tolist(),
            random.integers(3, VOCABULARY, random.integers(1, 14)).tolist(),
        )
        for _ in range(count)
    ]


def make_rows(pairs, seed=1):
    random = np.random.default_rng(seed)
    tokens = sum(len(response) for _, response in pairs)
    return Rows.of(
        [prompt for prompt, _ in pairs],
        [response for _, response in pairs],
        advantages=random.normal(size=len(pairs)),
        trained=random.random(len(pairs)) < 0.8,
        streams={
            "old_logp": -random.exponential(2.0, tokens),
            "context_weight": random.choice([0.0, 1.0], tokens),
            "engine_weight": random.uniform(0.5, 1.5, tokens),
        },
    )


def packed_logprobs(model, batch):
    """As a backend calls the model: restarting positions, no attention mask, no cache."""
    hidden = model.base_model(
        input_ids=torch.from_numpy(batch.input_ids)[None],
        position_ids=torch.from_numpy(batch.position_ids)[None],
        attention_mask=None,
        use_cache=False,
    ).last_hidden_state[0]
    labels = torch.from_numpy(batch.labels)
    labelled = labels != IGNORED_LABEL
    return token_logprobs(hidden[labelled], labels[labelled], output_head(model), temperature=TEMPERATURE)


def single_logprobs(model, prompt, response):
    """One sequence by itself, by the plain definition."""
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0] / TEMPERATURE
    logp = torch.log_softmax(logits, dim=-1)
    at = torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1)
    return logp[at, torch.tensor(response)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_log_probs_are_those_of_single_sequences(attention):
    model, pairs = make_model(attention), make_pairs()
    rows = make_rows(pairs)
    batches = fill(pack(rows.lengths, 40), rows)
    assert len(batches) > 1
    assert max(len(batch.rows) for batch in batches) > 1
    with torch.no_grad():
        packed = np.concatenate(unpack(batches, [packed_logprobs(model, batch).numpy() for batch in batches]))
        expected = torch.cat([single_logprobs(model, *pair) for pair in pairs])
    np.testing.assert_allclose(packed, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_perturbing_one_sequence_never_changes_another(attention):
    model, pairs = make_model(attention), make_pairs()
    changed_row = 4
    changed = [*pairs]
    prompt, response = pairs[changed_row]
    changed[changed_row] = ([(t + 1) % 50 + 3 for t in prompt], [(t + 5) % 50 + 3 for t in response])
    results = []
    for version in (pairs, changed):
        rows = make_rows(version)
        batches = fill(pack(rows.lengths, 1000), rows)  # all in one bin
        with torch.no_grad():
            results.append(unpack(batches, [packed_logprobs(model, batch).numpy() for batch in batches]))
    for row, (before, after) in enumerate(zip(*results, strict=True)):
        if row == changed_row:
            assert np.abs(before - after).max() > 1e-2
        else:
            np.testing.assert_allclose(before, after, atol=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("budget", [1000, 40, 25])
def test_loss_and_gradient_do_not_depend_on_the_packing(name, budget):
    pairs = make_pairs()
    rows = make_rows(pairs)
    config = LossConfig(name=name)
    trained = np.diff(rows.response_offsets)[rows.trained]
    counts = GlobalCounts(float(trained.sum()), float(len(trained)), max_tokens=14)

    def run(packing_budget, ranks):
        model = make_model("sdpa")
        batches = fill(pack(rows.lengths, packing_budget, ranks=ranks), rows)
        total = 0.0
        for batch in batches:
            if len(batch.rows) == 0:
                continue
            streams = TokenStreams.from_micro_batch(batch, packed_logprobs(model, batch))
            loss = LOSSES[name](streams, counts, config).loss
            loss.backward()
            total += loss.item()
        return total, torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    def padded():
        model = make_model("sdpa")
        width = max(len(response) for _, response in pairs)
        offsets = rows.response_offsets

        def stream(values):
            parts = [torch.as_tensor(values[a:b]) for a, b in pairwise(offsets)]
            return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).float()

        lengths = np.diff(offsets)
        logp = torch.stack(
            [
                torch.nn.functional.pad(single_logprobs(model, *pair), (0, width - len(pair[1])))
                for pair in pairs
            ]
        )
        streams = TokenStreams(
            logp=logp,
            old_logp=stream(rows.streams["old_logp"]),
            advantage=stream(np.repeat(rows.advantages, lengths)),
            context_weight=stream(rows.streams["context_weight"]),
            engine_weight=stream(rows.streams["engine_weight"]),
            loss_mask=stream(np.repeat(rows.trained, lengths)),
            sequence_id=torch.arange(len(pairs))[:, None].expand(logp.shape),
            sequence_count=len(pairs),
        )
        loss = LOSSES[name](streams, counts, config).loss
        loss.backward()
        return loss.item(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    expected, expected_gradient = padded()
    for ranks in (1, 3):
        value, gradient = run(budget, ranks)
        assert value == pytest.approx(expected, abs=1e-5)
        torch.testing.assert_close(gradient, expected_gradient, atol=1e-4, rtol=1e-4)


def test_a_micro_batch_without_old_log_probs_is_refused():
    rows = Rows.of([[3]], [[4, 5]])
    (batch,) = fill(pack(rows.lengths, 8), rows)
    with pytest.raises(InputError, match="has no stream old_logp"):
        TokenStreams.from_micro_batch(batch, torch.zeros(2))


def test_log_probs_of_other_tokens_are_refused():
    rows = make_rows(make_pairs(2))
    (batch,) = fill(pack(rows.lengths, 100), rows)
    with pytest.raises(InputError, match="all streams must be of the same tokens"):
        TokenStreams.from_micro_batch(batch, torch.zeros(3))
