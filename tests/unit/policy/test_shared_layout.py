"""The layout `shared`: one copy of a prompt, and for every response what it would be alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from p2o.errors import ModelError
from p2o.packing import Packing, Rows, fill
from p2o.policy.config import LossConfig
from p2o.policy.layout import LogprobModel, make_layout, score_sequences
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.segments import Segments
from p2o.policy.shared_layout import SharedLayout
from p2o.policy.streams import GlobalCounts
from p2o.policy.torch_backend import TorchPolicy

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
}
PLAIN, TEMPLATED, OTHER, ALONE = [2, 10, 3], [2, 40, 41, 42, 10, 3], [2, 11, 12, 13, 3], [7]
SEQUENCES: Any = [
    (PLAIN, [20, 21, 4]),
    (TEMPLATED, [30, 4]),
    (OTHER, list(range(30, 41))),  # longer than its prompt
    (PLAIN, [4]),  # a token that the prompt's last predicts
    (ALONE, [8, 9]),  # a prompt that nobody shares
    (PLAIN, list(range(50, 57))),
    (TEMPLATED, [31, 32, 33, 34, 35, 36, 37, 38]),
    (OTHER, [5]),
    (PLAIN, [20, 21, 4]),  # the same row again
]
"""A group under several templates, and others, out of order."""


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4)).eval()


def scored(model: Any, name: Any, budget: int = 1000) -> list[Any]:
    return score_sequences(
        model, SEQUENCES, pad_id=0, temperature=0.7, micro_batch_tokens=budget, layout=name
    )


@pytest.mark.parametrize("budget", [1, 14, 30, 1000])
@pytest.mark.parametrize("kind", ["llama", "sliding window"])
def test_log_probs_are_those_of_the_padded_layout(kind: str, budget: int) -> None:
    expected = scored(model_of(kind), "padded")
    for one, other in zip(scored(model_of(kind), "shared", budget), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["llama", "sliding window"])
def test_updates_are_those_of_the_padded_layout(kind: str, checkpointing: bool) -> None:
    """Advantages of both signs, weights that differ: loss, gradient norm and weights after two steps."""
    found = []
    tokens = sum(len(response) for _, response in SEQUENCES)
    random = np.random.default_rng(0)
    rows = Rows.of(
        [prompt for prompt, _ in SEQUENCES],
        [response for _, response in SEQUENCES],
        advantages=random.normal(size=len(SEQUENCES)),
        streams={
            "old_logp": -4.0 - random.random(tokens),
            "context_weight": random.uniform(0.0, 1.0, tokens),
            "engine_weight": random.uniform(0.5, 1.5, tokens),
        },
    )
    for layout in ("padded", "shared"):
        config = OptimizerConfig(
            backend="torch",
            layout=layout,
            learning_rate=1e-3,
            micro_batch_tokens=25,
            gradient_checkpointing=checkpointing,
        )
        policy = TorchPolicy(model_of(kind), config, LossConfig(), pad_id=0, temperature=0.7, planned_steps=9)
        metrics = [policy.update(rows, GlobalCounts(float(tokens), 9.0, 11)) for _ in range(2)]
        found.append((metrics, [p.detach() for p in policy.model.parameters()]))
    (expected, weights), (metrics, others) = found
    for one, other in zip(metrics, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
        assert other["grad_norm"] > 0.1
    for one, other in zip(others, weights, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("changed", range(len(SEQUENCES)))
def test_a_response_never_changes_another(changed: int) -> None:
    model = model_of("llama")
    before = scored(model, "shared")
    sequences = [*SEQUENCES]
    prompt, response = sequences[changed]
    sequences[changed] = (prompt, [token + 3 for token in response])
    after = score_sequences(
        model, sequences, pad_id=0, temperature=0.7, micro_batch_tokens=1000, layout="shared"
    )
    for row, (one, other) in enumerate(zip(before, after, strict=True)):
        if row == changed:
            assert np.abs(one - other).max() > 1e-2
        else:
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_sharing_by_hand() -> None:
    layout = SharedLayout(model_of("llama"), pad_id=0, token_budget=100)
    rows = Rows.of([[5, 6], [3], [5, 6]], [[7, 8], [4], [9]])
    batch = fill(Packing.of([[[0, 1, 2]]]), rows)[0]
    inputs = layout.inputs(batch, "cpu")
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9, 3, 4]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 3, 2, 0, 1]]
    assert inputs["predicting"].tolist() == [1, 2, 5, 1], (
        "6 predicts 7, 7 predicts 8, 3 predicts 4, 6 predicts 9"
    )
    assert inputs["targets"].tolist() == [7, 8, 4, 9]
    segments = inputs["segments"]
    assert (segments.lengths, segments.parents) == ([2, 2, 1, 1, 1], [0, 0, 0, 3, 3])


def test_groups_stay_together_and_their_prompts_count_once() -> None:
    """By hand: two groups of 10 + 4 x 3 = 22 tokens fill two bins of 22, which padded rows of 13 would not."""
    layout = SharedLayout(model_of("llama"), pad_id=0, token_budget=22)
    prompts = [[row % 2] * 10 for row in range(8)]
    bins = layout.split([13] * 8, prompts=prompts)
    assert sorted(rows.tolist() for rows in bins) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    # One token less, and each group is cut: 3 + 1 rows, with the prompt in both; 19 + 13 tokens.
    layout.token_budget = 21
    assert sorted(sorted(rows.tolist()) for rows in layout.split([13] * 8, prompts=prompts)) == [
        [0, 2, 4],
        [1, 3, 5],
        [6],
        [7],
    ]
    # Four ranks and two groups: halves, so that all of them work.
    layout.token_budget = 100
    assert sorted(rows.tolist() for rows in layout.split([13] * 8, 4, prompts)) == [
        [0, 2],
        [1, 3],
        [4, 6],
        [5, 7],
    ]


@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), max_size=40),
    budget=st.integers(1, 200),
    ranks=st.integers(1, 5),
)
def test_every_row_goes_once_within_the_budget(rows: list[tuple[int, int]], budget: int, ranks: int) -> None:
    layout = SharedLayout.__new__(SharedLayout)
    layout.token_budget = budget
    prompts = [[prompt] * (3 * prompt + 1) for prompt, _ in rows]
    lengths = [len(prompt) + response for prompt, (_, response) in zip(prompts, rows, strict=True)]
    packing = layout.split(lengths, ranks, prompts)
    bins = [bin.tolist() for bin in packing]
    assert sorted(row for bin in bins for row in bin) == list(range(len(rows)))
    assert len({len(packing.of_rank(rank)) for rank in range(ranks)}) == 1
    for bin in bins:
        distinct = {tuple(prompts[row]) for row in bin}
        read = sum(map(len, distinct)) + sum(rows[row][1] for row in bin)
        assert read <= max(budget, *lengths)
    if any(not bin for bin in bins):
        assert max(map(len, bins)) <= 1, "a rank is idle only where there are fewer rows than ranks"


def test_what_is_read_is_what_is_counted() -> None:
    """Of a whole pass the tokens: prompts once, where the budget lets the group stay together."""
    model = model_of("llama")
    read: list[int] = []
    model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    scored(model, "shared")
    distinct = len(PLAIN) + len(TEMPLATED) + len(OTHER) + len(ALONE)
    assert read == [distinct + sum(len(response) for _, response in SEQUENCES)]


@pytest.mark.parametrize("window", [None, 1, 3, 5, 100])
def test_attention_by_its_definition(window: int | None) -> None:
    """Beside a mask of all by all; pieces longer and shorter than what they go on from, grouped heads."""
    torch.manual_seed(0)
    lengths, parents = [3, 5, 1, 2, 6, 1], [0, 0, 0, 3, 4, 4]
    segments = Segments(lengths, parents)
    piece = torch.repeat_interleave(torch.arange(6), torch.tensor(lengths))
    position = torch.cat(
        [
            torch.arange(n) + (lengths[p] if p != i else 0)
            for i, (n, p) in enumerate(zip(lengths, parents, strict=True))
        ]
    )
    sees = (piece[:, None] == piece[None]) | (torch.tensor(parents)[piece][:, None] == piece[None])
    sees &= position[:, None] >= position[None]
    if window is not None:
        sees &= position[:, None] - position[None] < window
    query = torch.randn(1, 4, len(piece), 8, requires_grad=True)
    key, value = (torch.randn(1, 2, len(piece), 8, requires_grad=True) for _ in range(2))
    scores = query @ key.repeat_interleave(2, 1).transpose(2, 3) * 0.3
    expected = (scores.masked_fill(~sees, -torch.inf).softmax(-1) @ value.repeat_interleave(2, 1)).transpose(
        1, 2
    )
    found = segments.attend(query, key, value, 0.3, window)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(), "as transformers' own is: AFMoE's layers take a view of it"
    upstream = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, [query, key, value], upstream),
        torch.autograd.grad(expected, [query, key, value], upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_without_sdpa_it_is_refused() -> None:
    model = model_of("llama")
    model.set_attn_implementation("eager")
    with pytest.raises(
        ModelError, match=r'LlamaForCausalLM cannot share prompts.*optimizer.layout = "padded"'
    ):
        make_layout("shared", model, pad_id=0, token_budget=8)


def test_the_model_s_own_passes_stay_as_they_are() -> None:
    """The sampler decodes on the same model, with a cache and padding on the left."""
    model = model_of("llama")
    ids = torch.tensor([[0, 0, 2, 10, 3], [2, 11, 12, 13, 3]])
    mask = (torch.arange(5)[None] >= torch.tensor([[2], [0]])).long()
    with torch.no_grad():
        before = model(input_ids=ids, attention_mask=mask).logits
        scored(model, "shared")
        after = model(input_ids=ids, attention_mask=mask).logits
    assert LogprobModel(model, 1.0).model is model
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
