"""Layouts: who shares a forward pass must change neither a log-prob nor a gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PretrainedConfig

from p2o.errors import ModelError
from p2o.packing import MicroBatch, Packing, Rows, fill
from p2o.policy import attention
from p2o.policy.backends import make_policy
from p2o.policy.config import LossConfig
from p2o.policy.layout import (
    LAYOUTS,
    LogprobModel,
    PackedLayout,
    PaddedLayout,
    head_chunks,
    make_layout,
    padded_micro_batches,
    resolve_layout,
    score_sequences,
)
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.shared_layout import SharedLayout
from p2o.policy.torch_backend import TorchPolicy

SEQUENCES = [([2, 10, 3], [20, 21, 4]), ([2, 11, 12, 13, 14, 3], [4]), ([2, 3], list(range(30, 41)))]
NAMES = sorted(LAYOUTS)


def naive_logprobs(model: Any, prompt: list[int], response: list[int]) -> torch.Tensor:
    """One sequence, no padding, from the model's own logits."""
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    return torch.stack([logits[len(prompt) + t - 1, token] for t, token in enumerate(response)])


def micro_batch(sequences: Any) -> MicroBatch:
    """The sequences together, in their order."""
    rows = Rows.of([prompt for prompt, _ in sequences], [response for _, response in sequences])
    return fill(Packing.of([[range(len(sequences))]]), rows)[0]


def layout_logprobs(model: Any, name: Any, sequences: Any) -> torch.Tensor:
    layout = make_layout(name, model, pad_id=0, token_budget=1000)
    batch = micro_batch(sequences)
    result: torch.Tensor = LogprobModel(model, 1.0)(**layout.inputs(batch, "cpu"), chunks=1)
    return result


@pytest.mark.parametrize("name", NAMES)
def test_log_probs_are_those_of_single_sequences(random_model: Any, name: str) -> None:
    with torch.no_grad():
        found = layout_logprobs(random_model, name, SEQUENCES)
        expected = torch.cat([naive_logprobs(random_model, *pair) for pair in SEQUENCES])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_single_sequences(random_model: Any, name: str) -> None:
    def gradients(total: torch.Tensor) -> list[torch.Tensor]:
        random_model.zero_grad()
        total.backward()
        return [p.grad.clone() for p in random_model.parameters()]

    together = gradients(layout_logprobs(random_model, name, SEQUENCES).sum())
    alone = gradients(sum(naive_logprobs(random_model, *pair).sum() for pair in SEQUENCES))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changed", range(len(SEQUENCES)))
def test_changing_one_sequence_never_changes_another(random_model: Any, name: str, changed: int) -> None:
    other = [*SEQUENCES]
    prompt, response = SEQUENCES[changed]
    other[changed] = ([t + 5 for t in prompt], [t + 7 for t in response])
    with torch.no_grad():
        before, after = (layout_logprobs(random_model, name, pairs) for pairs in (SEQUENCES, other))
    ends = np.cumsum([len(response) for _, response in SEQUENCES])
    for row, (one, two) in enumerate(
        zip(before.tensor_split(ends[:-1].tolist()), after.tensor_split(ends[:-1].tolist()), strict=True)
    ):
        if row == changed:
            assert (one - two).abs().max() > 1e-2
        else:
            torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [1, 20, 1000])
def test_scores_come_back_in_the_order_given(random_model: Any, name: Any, budget: int) -> None:
    scored = score_sequences(
        random_model, SEQUENCES, pad_id=0, temperature=1.0, micro_batch_tokens=budget, layout=name
    )
    for logp, pair in zip(scored, SEQUENCES, strict=True):
        with torch.no_grad():
            np.testing.assert_allclose(logp, naive_logprobs(random_model, *pair), atol=1e-4)


class Shape:
    """What a layout asks of a model."""

    config = PretrainedConfig(hidden_size=32, attn_implementation="sdpa")
    device = torch.device("cpu")
    dtype = torch.float32

    @staticmethod
    def set_attn_implementation(name: str) -> None:
        """There is no attention."""


def padded_cost(lengths: list[int], batch: list[int]) -> int:
    return len(batch) * max((lengths[i] for i in batch), default=0)


@given(
    lengths=st.lists(st.integers(2, 40), max_size=40),
    budget=st.integers(1, 120),
    ranks=st.integers(1, 5),
    name=st.sampled_from(NAMES),
)
def test_every_rank_gets_as_many_micro_batches_and_every_row_goes_once(
    lengths: list[int], budget: int, ranks: int, name: Any
) -> None:
    packing = make_layout(name, Shape, pad_id=0, token_budget=budget).split(lengths, ranks)
    assert len({len(packing.of_rank(rank)) for rank in range(ranks)}) == 1
    assert sum(len(packing.of_rank(rank)) for rank in range(ranks)) == len(packing)
    batches = [rows.tolist() for rows in packing]
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        if name == "padded":
            assert len(batch) <= 1 or padded_cost(lengths, batch) <= budget
        else:  # the longest sequence sets the budget: it must fit anyway
            assert sum(lengths[i] for i in batch) <= max(budget, *lengths)
    if any(not batch for batch in batches):
        assert max(map(len, batches)) <= 1


@given(st.lists(st.integers(2, 40), min_size=8, max_size=60))
def test_padded_ranks_cost_about_the_same_step_by_step(lengths: list[int]) -> None:
    packing = PaddedLayout(Shape, pad_id=0, token_budget=80).split(lengths, 2)
    costs = [
        [padded_cost(lengths, packing[bin].tolist()) for bin in packing.of_rank(rank)] for rank in (0, 1)
    ]
    assert abs(sum(costs[0]) - sum(costs[1])) <= 80
    for own in costs:
        assert own == sorted(own, reverse=True)


def test_ranks_compute_logits_in_as_many_parts() -> None:
    """By hand, 512 tokens at most in a part: the rank with most tokens decides, an idle one follows."""
    responses = np.array([500, 12, 1, 1025])
    packing = Packing.of([[[0, 1], [2]], [[3], []]])
    assert head_chunks(packing, responses, 2) == [3, 1]  # 512 and 1025 tokens; 1 and none
    assert head_chunks(Packing.of([[], []]), responses, 2) == []


@given(
    lengths=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), min_size=1, max_size=20),
    ranks=st.integers(1, 4),
    name=st.sampled_from(NAMES),
)
def test_a_rank_s_share_is_its_part_of_the_whole(
    lengths: list[tuple[int, int]], ranks: int, name: Any
) -> None:
    """What a rank fills of its own rows is, micro-batch by micro-batch, what filling all of them would give."""
    tokens = iter(range(10_000))
    pairs = [([next(tokens) for _ in range(a)], [next(tokens) for _ in range(b)]) for a, b in lengths]
    responses = [next(tokens) for _, response in pairs for _ in response]
    rows = Rows.of(
        *zip(*pairs, strict=True),
        advantages=range(len(pairs)),
        trained=[i % 3 > 0 for i in range(len(pairs))],
        streams={"old_logp": responses},
    )
    packing = make_layout(name, Shape, pad_id=0, token_budget=24).split(rows.lengths, ranks)
    whole = fill(packing, rows)
    for rank in range(ranks):
        indices, own = packing.share(rank)
        part = fill(own, rows.take(indices))
        assert len(part) == len(packing.of_rank(rank))
        for batch, bin in zip(part, packing.of_rank(rank), strict=True):
            expected = whole[bin]
            assert indices[batch.rows].tolist() == expected.rows.tolist()
            for field in (
                "input_ids",
                "position_ids",
                "labels",
                "loss_mask",
                "advantage",
                "sequence_id",
                "cu_seqlens",
            ):
                np.testing.assert_array_equal(getattr(batch, field), getattr(expected, field))
            np.testing.assert_array_equal(batch.streams["old_logp"], expected.streams["old_logp"])
            assert batch.max_seqlen == expected.max_seqlen


def test_padding_by_hand() -> None:
    inputs = PaddedLayout(Shape, pad_id=9, token_budget=100).inputs(
        micro_batch([([5, 6], [7]), ([3], [4])]), "cpu"
    )
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [3, 4, 9]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert inputs["predicting"].tolist() == [1, 3]  # 6 predicts 7, 3 predicts 4
    assert inputs["targets"].tolist() == [7, 4]


def test_packing_by_hand() -> None:
    inputs = PackedLayout(Shape, pad_id=9, token_budget=100).inputs(
        micro_batch([([5, 6], [7]), ([3], [4])]), "cpu"
    )
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 3, 4]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert inputs["predicting"].tolist() == [1, 3]
    assert inputs["targets"].tolist() == [7, 4]
    assert (inputs["segments"].lengths, inputs["segments"].parents) == ([3, 2], [0, 1])


def test_packed_rows_where_attention_takes_no_segments(random_model: Any) -> None:
    """transformers' own masks, from the positions."""
    random_model.set_attn_implementation("eager")
    test_log_probs_are_those_of_single_sequences(random_model, "packed")
    layout = make_layout("packed", random_model, pad_id=0, token_budget=1000)
    assert layout.inputs(micro_batch(SEQUENCES), "cpu")["attention_mask"] is None


def test_auto_packs_where_attention_keeps_to_the_rows(
    random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_layout("auto", random_model) == "padded"
    assert [resolve_layout(name, random_model) for name in NAMES] == NAMES
    monkeypatch.setattr("p2o.policy.layout.supports_varlen", lambda _: True)
    assert resolve_layout("auto", random_model) == "packed"
    assert [resolve_layout(name, random_model) for name in NAMES] == NAMES


def test_auto_shares_prompts_on_a_processor(random_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the hidden size at which it was measured to win, and where attention can be told who sees whom."""
    monkeypatch.setattr("p2o.policy.layout.SHARED_FROM", random_model.config.hidden_size)
    assert resolve_layout("auto", random_model) == "shared"
    policy = make_policy(
        random_model,
        OptimizerConfig(backend="torch"),
        LossConfig(),
        pad_id=0,
        temperature=1.0,
        planned_steps=1,
    )
    assert isinstance(policy.layout, SharedLayout)
    random_model.set_attn_implementation("eager")
    assert resolve_layout("auto", random_model) == "padded"


def test_auto_pads_where_the_check_fails(random_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2o.policy.layout.SHARED_FROM", 1)
    sees_all = lambda segments, query, *rest: query.transpose(1, 2) * query.mean()  # noqa: E731
    monkeypatch.setattr("p2o.policy.segments.Segments.attend", sees_all)
    options = {"pad_id": 0, "temperature": 1.0, "planned_steps": 1}
    policy = make_policy(random_model, OptimizerConfig(backend="torch"), LossConfig(), **options)
    assert isinstance(policy.layout, PaddedLayout)
    with pytest.raises(ModelError, match="mixes sequences"):
        make_policy(random_model, OptimizerConfig(backend="torch", layout="shared"), LossConfig(), **options)


def test_varlen_attention_by_device_type_and_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config:
        hidden_size, num_attention_heads, _attn_implementation = 512, 8, "sdpa"

        def get_text_config(self, decoder: bool) -> Any:
            return self

    class Model:
        config, device, dtype = Config(), torch.device("cuda"), torch.bfloat16

    monkeypatch.setattr(attention, "find_varlen_attention", lambda: print)
    assert attention.supports_varlen(Model)
    for name, value in (
        ("num_attention_heads", 1),
        ("num_attention_heads", None),
        ("head_dim", 512),
        ("head_dim", [64, 512]),
        ("_attn_implementation", "eager"),
        ("attn_logit_softcapping", 50),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Config, name, value, raising=False)
            assert not attention.supports_varlen(Model)
    for name, value in (("dtype", torch.float32), ("device", torch.device("cpu"))):
        with monkeypatch.context() as patch:
            patch.setattr(Model, name, value)
            assert not attention.supports_varlen(Model)
    monkeypatch.setattr(attention, "find_varlen_attention", lambda: None)
    assert not attention.supports_varlen(Model)


def test_padded_micro_batches_by_hand() -> None:
    """Longest first, rows times the longest within the budget, the budget itself included."""
    assert padded_micro_batches([4, 2, 5, 4, 9], 8) == [[4], [2], [0, 3], [1]]
    assert padded_micro_batches([4, 2, 5, 4, 9], 10) == [[4], [2, 0], [3, 1]]
    assert padded_micro_batches([], 8) == []


def reference_varlen(seen: list[Any]) -> Callable[..., torch.Tensor]:
    """Variable-length attention by its definition, a row and a head at a time."""

    def varlen_attn(
        query: Any,
        key: Any,
        value: Any,
        cu_q: Any,
        cu_k: Any,
        max_q: int,
        max_k: int,
        *,
        scale: Any,
        window_size: Any,
    ) -> torch.Tensor:
        assert query.shape[1] == key.shape[1]
        assert (cu_q.dtype, cu_q.tolist()) == (torch.int32, cu_k.tolist())
        assert max_q == max_k == int(cu_q.diff().max())
        seen.append(window_size)
        left, right = window_size
        assert right == 0  # causal
        output = torch.zeros_like(query)
        for start, end in zip(cu_q[:-1].tolist(), cu_q[1:].tolist(), strict=True):
            for head in range(query.shape[1]):
                scores = query[start:end, head] @ key[start:end, head].T * scale
                distance = torch.arange(end - start)[:, None] - torch.arange(end - start)[None]
                hidden = (distance < 0) | ((distance > left) if left >= 0 else False)
                output[start:end, head] = (
                    scores.masked_fill(hidden, -torch.inf).softmax(-1) @ value[start:end, head]
                )
        return output

    return varlen_attn


@pytest.fixture
def with_varlen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for a GPU's kernel; the windows it was asked for."""
    seen: list[Any] = []
    function = reference_varlen(seen)
    monkeypatch.setattr(attention, "find_varlen_attention", lambda: function)
    monkeypatch.setattr("p2o.policy.layout.supports_varlen", lambda _: True)
    return seen


def test_varlen_attention_is_called_as_torch_defines_it(random_model: Any, with_varlen: list[Any]) -> None:
    """Bounds, scale, causality and grouped heads (4 over 2) reach the kernel: log-probs are those of single rows."""
    plain = copy.deepcopy(random_model)
    found = layout_logprobs(random_model, "packed", SEQUENCES)
    expected = torch.cat([naive_logprobs(plain, *pair) for pair in SEQUENCES])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert with_varlen == [(-1, 0)] * random_model.config.num_hidden_layers
    # Without bounds (sampling, padded scoring) the same model goes through sdpa.
    found = layout_logprobs(random_model, "padded", SEQUENCES)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        naive_logprobs(random_model, *SEQUENCES[0]), naive_logprobs(plain, *SEQUENCES[0])
    )
    assert len(with_varlen) == random_model.config.num_hidden_layers


def test_varlen_attention_keeps_a_sliding_window(with_varlen: list[Any]) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=3,
        initializer_range=0.2,
    )
    model = MistralForCausalLM(config).eval()
    expected = torch.cat([naive_logprobs(model, *pair) for pair in SEQUENCES])
    found = layout_logprobs(model, "packed", SEQUENCES)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert with_varlen == [(2, 0), (2, 0)]


def test_what_the_kernels_cannot_do_is_refused(with_varlen: list[Any]) -> None:
    query = torch.zeros(1, 2, 3, 4)
    bounds = torch.tensor([0, 3], dtype=torch.int32)
    with pytest.raises(ModelError, match=r'needs softcap.*optimizer.layout = "padded"'):
        attention.varlen_attention(
            torch.nn.Linear(1, 1),
            query,
            query,
            query,
            None,
            cu_seq_lens_q=bounds,
            max_length_q=3,
            softcap=30.0,
        )


def test_varlen_needs_a_gpu_and_16_bit_weights(random_model: Any) -> None:
    assert not attention.supports_varlen(random_model)
    assert not attention.supports_varlen(random_model.bfloat16())
    assert not PackedLayout(random_model, pad_id=0, token_budget=8).varlen


def test_the_attention_s_name_stays_out_of_saved_models(
    random_model: Any, with_varlen: list[Any], tmp_path: Any
) -> None:
    make_layout("packed", random_model, pad_id=0, token_budget=8)
    random_model.save_pretrained(tmp_path)
    assert attention.VARLEN_ATTENTION not in (tmp_path / "config.json").read_text()


def policy_over(model: Any, **options: Any) -> TorchPolicy:
    return TorchPolicy(
        model, OptimizerConfig(**options), LossConfig(), pad_id=0, temperature=1.0, planned_steps=1
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_check_of_a_layout_passes_where_rows_are_apart(random_model: Any, name: Any) -> None:
    policy = policy_over(random_model, layout=name)
    forwarded: list[int] = []
    policy.model.base_model.register_forward_pre_hook(
        lambda model, args, kwargs: forwarded.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    policy.check_layout()
    read = {"padded": 36, "packed": 34, "shared": 30}
    assert forwarded == [36, read[name], read[name]], "side by side, then as the layout has them"


def test_a_model_that_takes_no_such_rows_is_refused_in_one_line(
    random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_over(random_model, layout="shared")
    forward = random_model.model.forward
    monkeypatch.setattr(
        random_model.model, "forward", lambda input_ids, attention_mask, use_cache: forward(input_ids)
    )
    with pytest.raises(
        ModelError, match=r'in one row \(.*position_ids.*\): set optimizer.layout = "padded"$'
    ):
        policy.check_layout()


def test_the_check_of_a_layout_finds_rows_that_see_each_other() -> None:
    """A state-space model hands its state on from row to row, whatever the positions say."""
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.5
    )
    model = MambaForCausalLM(config).eval()
    policy = policy_over(model, layout="packed")
    with pytest.raises(ModelError, match=r'mixes sequences.*optimizer.layout = "padded"'):
        policy.check_layout()
    with pytest.raises(ModelError, match=r'optimizer.layout = "padded"'):
        policy_over(model, layout="shared").check_layout()
