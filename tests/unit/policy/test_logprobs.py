from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from p2o.errors import InputError, ModelError
from p2o.policy.logprobs import check_output_head, kept, output_head, token_logprobs

VOCABULARY, HIDDEN = 50, 8


def naive(hidden, targets, head, temperature):
    return torch.log_softmax(head(hidden) / temperature, dim=-1).gather(1, targets[:, None]).squeeze(1)


@settings(max_examples=30)
@given(
    tokens=st.integers(0, 23),
    chunks=st.integers(1, 30),
    temperature=st.floats(0.3, 2.0) | st.just(1.0),
    keep=st.booleans(),
    cached=st.sampled_from([1, 3 * VOCABULARY, 1 << 19]),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_equal_the_naive_computation(tokens, chunks, temperature, keep, cached, seed):
    torch.manual_seed(seed)
    head = nn.Linear(HIDDEN, VOCABULARY)
    hidden = torch.randn(tokens, HIDDEN, requires_grad=True)
    targets = torch.randint(0, VOCABULARY, (tokens,))
    upstream = torch.randn(tokens)
    results = []
    for compute in (
        lambda: token_logprobs(hidden, targets, head, temperature=temperature, chunks=chunks, keep=keep),
        lambda: naive(hidden, targets, head, temperature),
    ):
        with patch("p2o.policy.logits.CACHED", cached):
            logp = compute()
            gradients = torch.autograd.grad(logp @ upstream, [hidden, head.weight, head.bias])
        results.append((logp.detach(), *gradients))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_without_gradient_the_values_are_the_same():
    head = nn.Linear(HIDDEN, VOCABULARY)
    hidden, targets = torch.randn(9, HIDDEN), torch.arange(9)
    with torch.no_grad():
        logp = token_logprobs(hidden, targets, head, chunks=3)
    assert not logp.requires_grad
    torch.testing.assert_close(logp, token_logprobs(hidden, targets, head).detach())


class CountingHead(nn.Module):
    """A head that records how many rows of logits it was ever asked for at once."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Linear(HIDDEN, VOCABULARY, bias=False)
        self.rows = []

    def forward(self, hidden):
        self.rows.append(hidden.shape[0])
        return self.matrix(hidden)


def test_no_tensor_of_all_tokens_by_vocabulary_is_held():
    head = CountingHead()
    hidden = torch.randn(64, HIDDEN, requires_grad=True)
    saved = []

    def record(tensor):
        saved.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        logp = token_logprobs(hidden, torch.zeros(64, dtype=torch.int64), head, chunks=8)
    assert head.rows == [8] * 8
    assert not [shape for shape in saved if shape and shape[-1] == VOCABULARY]  # nothing kept for backward
    logp.sum().backward()
    assert head.rows == [8] * 16  # computed again, a chunk at a time


def test_the_head_is_called_as_often_as_told_whatever_the_number_of_tokens():
    """Where it gathers weights from other processes, all must call it alike: forward and backward."""
    for tokens in (1, 3, 64):
        head = CountingHead()
        hidden = torch.randn(tokens, HIDDEN, requires_grad=True)
        token_logprobs(hidden, torch.zeros(tokens, dtype=torch.int64), head, chunks=5).sum().backward()
        assert len(head.rows) == 10
        assert sum(head.rows) == 2 * tokens


def test_a_single_chunk_is_not_computed_twice():
    head = CountingHead()
    hidden = torch.randn(8, HIDDEN, requires_grad=True)
    token_logprobs(hidden, torch.zeros(8, dtype=torch.int64), head).sum().backward()
    assert head.rows == [8]
    assert hidden.grad is not None


def test_logits_are_kept_where_they_are_few():
    """A GiB: 512 tokens of 49,152 logits in bfloat16 are 48 MiB, so 21 chunks are kept and 22 are not."""
    assert kept(21, 49_152, 2)
    assert not kept(22, 49_152, 2)
    head = CountingHead()
    hidden = torch.randn(64, HIDDEN, requires_grad=True)
    logp = token_logprobs(hidden, torch.zeros(64, dtype=torch.int64), head, chunks=8, keep=True)
    logp.sum().backward()
    assert head.rows == [8] * 8


def test_what_is_held_has_the_models_own_type_and_no_second_size():
    """In bfloat16 neither a float32 copy nor a distribution stays behind."""
    head = nn.Linear(HIDDEN, VOCABULARY, bias=False).to(torch.bfloat16)
    hidden = torch.randn(6, HIDDEN, dtype=torch.bfloat16, requires_grad=True)
    saved = []

    def record(tensor):
        saved.append((tuple(tensor.shape), tensor.dtype))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        token_logprobs(hidden, torch.zeros(6, dtype=torch.int64), head)
    assert [found for found in saved if found[0] == (6, VOCABULARY)] == [((6, VOCABULARY), torch.bfloat16)]


def test_a_second_backward_pass_is_refused():
    """The first one has written the gradient over the logits."""
    hidden = torch.randn(6, HIDDEN, requires_grad=True)
    logp = token_logprobs(hidden, torch.zeros(6, dtype=torch.int64), nn.Linear(HIDDEN, VOCABULARY))
    logp.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logp.sum().backward()


@pytest.mark.parametrize("cap", [None, 5.0])
def test_gradients_of_low_precision_heads_are_close_to_those_in_float32(cap):
    """Rounded once, on the way back into the logits; through a soft cap too, which saves what it makes of them."""
    torch.manual_seed(0)
    matrix = nn.Linear(HIDDEN, VOCABULARY, bias=False).to(torch.bfloat16)
    exact = nn.Linear(HIDDEN, VOCABULARY, bias=False)
    exact.load_state_dict(matrix.state_dict())
    start, targets = torch.randn(40, HIDDEN, dtype=torch.bfloat16), torch.randint(0, VOCABULARY, (40,))

    def gradients(layer, hidden):
        hidden.requires_grad_()

        def head(values):
            logits = layer(values)
            return torch.tanh(logits / cap) * cap if cap else logits

        logp = token_logprobs(hidden, targets, head, temperature=0.7)
        return [g.float() for g in torch.autograd.grad(logp.sum(), [hidden, layer.weight])]

    for ours, expected in zip(gradients(matrix, start.clone()), gradients(exact, start.float()), strict=True):
        assert (ours - expected).abs().max() < 0.03 * expected.abs().max()


def test_low_precision_heads_are_reduced_in_float32():
    head = nn.Linear(HIDDEN, VOCABULARY, bias=False).to(torch.bfloat16)
    hidden = torch.randn(5, HIDDEN, dtype=torch.bfloat16)
    targets = torch.arange(5)
    logp = token_logprobs(hidden, targets, head)
    assert logp.dtype == torch.float32
    expected = torch.log_softmax(head(hidden).float(), -1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(logp, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"targets_N": torch.zeros(3, dtype=torch.int64)}, r"not \(4, 8\) and \(3,\)"),
    ],
)
def test_bad_arguments(arguments, message):
    values = {"hidden_ND": torch.randn(4, HIDDEN), "targets_N": torch.zeros(4, dtype=torch.int64)} | arguments
    with pytest.raises(InputError, match=message):
        token_logprobs(head=nn.Linear(HIDDEN, VOCABULARY), **values)


def small(architecture="llama", **extra):
    torch.manual_seed(0)
    shape = {
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    if architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape, **extra)).eval()
    if architecture == "granite":
        from transformers import GraniteConfig, GraniteForCausalLM

        return GraniteForCausalLM(GraniteConfig(**shape, logits_scaling=8.0)).eval()
    if architecture == "cohere":
        from transformers import CohereConfig, CohereForCausalLM

        return CohereForCausalLM(CohereConfig(**shape, logit_scale=0.0625)).eval()
    if architecture == "gemma4":  # what it does to logits is said of its text part
        from transformers import Gemma4Config, Gemma4ForConditionalGeneration

        text = {
            **shape,
            "head_dim": 8,
            "global_head_dim": 8,
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 64,
            "num_kv_shared_layers": 0,
            "final_logit_softcapping": 0.05,
        }
        return Gemma4ForConditionalGeneration(Gemma4Config(text_config=text)).eval()
    from transformers import Gemma2Config, Gemma2ForCausalLM

    return Gemma2ForCausalLM(Gemma2Config(**shape, head_dim=8, final_logit_softcapping=0.05)).eval()


@pytest.mark.parametrize("architecture", ["llama", "granite", "cohere", "gemma2", "gemma4"])
def test_output_head_gives_the_model_s_own_logits(architecture):
    model = small(architecture)
    tokens = torch.randint(3, 64, (2, 7))
    with torch.no_grad():
        own = model(input_ids=tokens, use_cache=False).logits
        hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        torch.testing.assert_close(output_head(model)(hidden), own)
    check_output_head(model)
    assert not model.training


def test_an_unknown_logit_change_is_noticed():
    model = small()
    model.register_forward_hook(lambda _m, _i, output: output.__setitem__("logits", output.logits * 1.5))
    with pytest.raises(ModelError, match="LlamaForCausalLM changes its logits"):
        check_output_head(model)
