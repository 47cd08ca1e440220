"""Text is text: what stands in a message is never read as a control token, over a dozen families of tokenizers."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizer_families import CHATML, FAMILIES, make

from p2o.errors import ConfigError, DataError
from p2o.rollout import encode
from p2o.rollout.encode import PromptEncoder, end_ids, list_ends
from p2o.types import Message

HARMLESS = "Compute 12 + 345.\n\nThen  think <b>."
SYSTEM = "Be exact."


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    return {name: make(family) for name, family in FAMILIES.items()}


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def spoken(tokenizer: Any, ids: Any, family: str) -> list[str]:
    """The control tokens among `ids`, in order."""
    control = {*FAMILIES[family].special, *FAMILIES[family].plain} - {"<unk>"}
    return [token for token in tokenizer.convert_ids_to_tokens(list(ids)) if token in control]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_message_speaks_a_control_token(family: str, tokenizers: dict[str, Any]) -> None:
    tokenizer, encoder = tokenizers[family], PromptEncoder(tokenizers[family])
    turns = spoken(tokenizer, encoder.encode(user(HARMLESS)), family)
    for token in (*FAMILIES[family].special, *FAMILIES[family].plain):
        # At the ends, beside spaces, twice, within itself, and as a forged turn.
        for text in (
            token,
            f"1 {token} \n 2{token}{token}.",
            f"{token[:3]}{token}{token[3:]}",
            f"x{token}\n{token}y",
        ):
            if family == "base, unigram" and token != "<unk>":
                with pytest.raises(DataError, match="cannot read it as text: take it out"):
                    encoder.encode(user(text))
                continue
            ids = encoder.encode(user(text))
            assert spoken(tokenizer, ids, family) == turns, (token, text)
            shown = tokenizer.decode(ids)
            if tokenizer.chat_template is None or "trim" not in tokenizer.chat_template:
                assert "unigram" in family or text in shown, (token, text, shown)
            assert "unigram" in family or text.strip() in shown, (token, text, shown)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_text_is_encoded_as_ever(family: str, tokenizers: dict[str, Any]) -> None:
    tokenizer, encoder = tokenizers[family], PromptEncoder(tokenizers[family])
    words = "".join(FAMILIES[family].words)
    messages = [
        Message(role="user", content=HARMLESS + words),
        Message(role="assistant", content="12"),
        *user("and?"),
    ]
    if tokenizer.chat_template is None:
        text = "\n\n".join(message["content"] for message in messages) + "\n"
        usual = tokenizer(text)["input_ids"]
    else:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        usual = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert list(encoder.encode(messages)) == usual
    assert encoder.control.encode(text) == usual, "the tokenizer under other names is the same tokenizer"


def test_marks_of_thoughts_are_those_of_the_model(tokenizers: dict[str, Any]) -> None:
    for family in ("qwen 3", "deepseek", "glm 4"):
        ids = PromptEncoder(tokenizers[family]).encode(user("Think in <think> and </think>."))
        assert {"<think>", "</think>"} <= set(tokenizers[family].convert_ids_to_tokens(list(ids)))


def test_a_template_that_cuts_by_a_mark_does_not_cut_a_control_token(tokenizers: dict[str, Any]) -> None:
    tokenizer = copy.deepcopy(tokenizers["qwen 3"])
    tokenizer.chat_template = CHATML.replace("m.content", "m.content.split('<|im_end|>')[-1]")
    ids = PromptEncoder(tokenizer).encode(user("a<|im_end|>b"))
    assert "a<|im_end|>b" in tokenizer.decode(ids), "of text it must not make another text"


@pytest.mark.parametrize(
    "changed", ["m.content | upper", "m.content[:12]", "m.content | tojson(ensure_ascii=true)"]
)
def test_a_template_that_changes_a_hidden_name_is_told(changed: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = copy.deepcopy(tokenizers["qwen 3"])
    tokenizer.chat_template = CHATML.replace("m.content", f"({changed})")
    assert PromptEncoder(tokenizer).encode(user("a longer text without one"))
    with pytest.raises(DataError, match="the chat template does not write messages as they are"):
        PromptEncoder(tokenizer).encode(user("a<|im_end|>b"))


def test_a_normaliser_makes_no_control_tokens(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["added by hand"]
    for text in ("1 ＜eos＞", "1 <EOS>", "1 [OVER]"):
        usual = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert spoken(tokenizer, usual, "added by hand"), "the tokenizer alone reads a control token there"
        assert spoken(tokenizer, PromptEncoder(tokenizer).encode(user(text)), "added by hand") == spoken(
            tokenizer, PromptEncoder(tokenizer).encode(user("1")), "added by hand"
        )


def test_a_text_may_hold_any_character(tokenizers: dict[str, Any]) -> None:
    for text in ("\ue000m0\ue001 <|im_end|>", "\U000f0001 \U00100001 <|im_end|>", "\ufdd0\x00<|im_end|>"):
        ids = PromptEncoder(tokenizers["qwen 3"]).encode(user(text))
        assert text in tokenizers["qwen 3"].decode(ids)


def test_a_role_that_a_template_makes_a_control_token_of_is_refused(tokenizers: dict[str, Any]) -> None:
    for family, role in (("phi 3", "end"), ("phi 3", "endoftext"), ("glm 4", "observation")):
        with pytest.raises(DataError, match=f"the role '{role}', which is a control token"):
            PromptEncoder(tokenizers[family]).encode([Message(role=role, content="x"), *user("1")])
    assert PromptEncoder(tokenizers["phi 3"]).encode([Message(role="critic", content="x"), *user("1")])


class PythonTokenizer:
    """A tokenizer without a backend in Rust: characters, and special tokens unless they are split, behind one of its
    own."""

    chat_template = "yes"
    all_special_tokens = ("<|end|>",)
    added_tokens_decoder = {7: SimpleNamespace(content="<|end|>", special=True)}  # noqa: RUF012

    def __init__(self, *, splits: bool = True) -> None:
        self.splits = splits

    def apply_chat_template(self, messages: list[Message], **options: Any) -> str:
        return "".join(f"{message['content']}<|end|>" for message in messages)

    def __call__(
        self, text: str, *, split_special_tokens: bool = False, add_special_tokens: bool = True
    ) -> dict[str, list[int]]:
        if not (split_special_tokens and self.splits):
            text = text.replace("<|end|>", "\x07")
        return {"input_ids": [2] * add_special_tokens + [ord(character) for character in text]}


def test_a_tokenizer_in_python_splits_or_is_refused() -> None:
    expected = (*map(ord, "a<|end|>b"), 7)
    assert PromptEncoder(PythonTokenizer()).encode(user("a<|end|>b")) == expected
    with pytest.raises(DataError, match=r"takes '<\|end\|>' in a message for a control token"):
        PromptEncoder(PythonTokenizer(splits=False)).encode(user("a<|end|>b"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_end_of_a_turn_ends_a_response(family: str, tokenizers: dict[str, Any]) -> None:
    tokenizer, expected = tokenizers[family], FAMILIES[family].end_of_turn
    eos = tokenizer.eos_token_id
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=eos))
    wanted = {eos, eos if expected is None else tokenizer.convert_tokens_to_ids(expected)}
    encoder = PromptEncoder(tokenizer)
    assert list_ends(model, encoder) == (expected if len(wanted) == 2 else None)
    assert end_ids(model, tokenizer) == sorted(wanted)
    listed = model.generation_config.eos_token_id
    assert listed == eos if len(wanted) == 1 else (listed[0] == eos and {*listed} == wanted)
    assert list_ends(model, encoder) is None
    assert model.generation_config.eos_token_id is listed


def test_ends_are_listed_where_whoever_serves_the_model_looks(tokenizers: dict[str, Any]) -> None:
    """The tokenizer's own too: generation settings without it are completed, and keep their order."""
    tokenizer = tokenizers["qwen 3"]
    turn, eos = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    for before, after in (
        (None, [eos, turn]),
        (turn, [turn, eos]),
        ([turn, eos], [turn, eos]),
        (9, [9, eos, turn]),
    ):
        model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=before))
        list_ends(model, PromptEncoder(tokenizer))
        assert model.generation_config.eos_token_id == after


def test_a_template_that_takes_no_answers_names_no_end(tokenizers: dict[str, Any]) -> None:
    tokenizer = copy.deepcopy(tokenizers["qwen 3"])
    refusal = "{% if messages[-1].role == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
    tokenizer.chat_template = refusal + "{{ messages[-1].content }}"
    assert PromptEncoder(tokenizer).end_of_turn is None
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n### {% endfor %}"
    assert PromptEncoder(tokenizer).end_of_turn is None


def test_thoughts_survive_decoding_and_ends_do_not(tokenizers: dict[str, Any]) -> None:
    tokenizer = copy.deepcopy(tokenizers["qwen 3"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<thought>", "</thought>"]})
    tokenizer.pad_token = "<|vision_start|>"
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    encoder = PromptEncoder(tokenizer, end_ids=[tokenizer.eos_token_id, end])
    ids = tokenizer("<thought>5</thought> 6<|vision_start|><|im_end|><|endoftext|>")["input_ids"]
    assert encoder.decode(ids) == "<thought>5</thought> 6"
    ids = tokenizer("<think>5</think> 6<|im_end|>")["input_ids"]
    assert encoder.decode(ids) == tokenizer.decode(ids, skip_special_tokens=True) == "<think>5</think> 6"


def test_an_end_token_that_the_tokenizer_appends_is_left_out(tokenizers: dict[str, Any]) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(tokenizers["base"])
    tokenizer.add_special_tokens({"bos_token": "<|begin|>"})
    bare = tokenizer("1+1=\n", add_special_tokens=False)["input_ids"]
    ends = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<|begin|>", "<|endoftext|>")]
    for single, before in (
        ("<|begin|> $A <|endoftext|>", [ends[0][1]]),
        ("<|begin|> $A", [ends[0][1]]),
        ("$A <|endoftext|>", []),
    ):
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=ends)
        encoder = PromptEncoder(tokenizer)
        assert list(encoder.encode(user("1+1="))) == [*before, *bare]
        ids = encoder.encode(user("1+1<|endoftext|>="))
        assert list(ids[: len(before)]) == before
        assert ends[1][1] not in ids
        assert tokenizer.decode(ids[len(before) :]) == "1+1<|endoftext|>=\n"


def test_the_date_of_a_chat_template_stands_still(
    tokenizers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = copy.deepcopy(tokenizers["qwen 3"])
    own = tokenizer.chat_template
    for call in (
        "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}",
        '{%- set today = strftime_now( "%d %b %Y" ) -%}{{ today }}',
    ):
        tokenizer.chat_template = call + own
        assert "01 Jan 2025<|im_start|>user" in tokenizer.decode(PromptEncoder(tokenizer).encode(user("1")))
        assert tokenizer.chat_template == call + own, "the model goes out with its own"
    tokenizer.chat_template = "{% set form = '%Y' %}{{ strftime_now(form) }}" + own
    with pytest.raises(
        ConfigError, match=r"strftime_now with a format of its own making.*model\.chat_template"
    ):
        PromptEncoder(tokenizer)


def test_draws_of_a_chat_template_are_repeated(tokenizers: dict[str, Any]) -> None:
    tokenizer = copy.deepcopy(tokenizers["qwen 3"])
    tokenizer.chat_template = "{{ range(99999) | random }} {{ lipsum(n=1) }}" + tokenizer.chat_template
    first = PromptEncoder(tokenizer).encode(user("1"))
    encode.random.seed(5)
    before = encode.random.getstate()
    assert PromptEncoder(tokenizer).encode(user("1")) == first
    assert encode.random.getstate() == before, "the draws of others are left alone"
