"""Prompts to tokens: what is remembered, and chat templates that refuse."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest

from p2o.errors import DataError
from p2o.rollout.encode import REMEMBERED, PromptEncoder
from p2o.types import Message


class Tokenizer:
    """Characters are tokens; system messages are refused as real templates do."""

    chat_template = "yes"

    def __init__(self) -> None:
        self.encoded = 0

    def apply_chat_template(self, messages: list[Message], **options: Any) -> str:
        if messages[0]["role"] == "system":
            raise jinja2.TemplateError("System role\nnot supported")
        return messages[-1]["content"]

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        self.encoded += 1
        return {"input_ids": [ord(character) for character in text]}


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def test_a_bounded_number_of_prompts_is_remembered() -> None:
    tokenizer = Tokenizer()
    encoder = PromptEncoder(tokenizer)
    assert encoder.encode(user("ab")) == encoder.encode(user("ab")) == (97, 98)
    assert tokenizer.encoded == 1
    for number in range(REMEMBERED):
        encoder.encode(user(str(number)))
    assert tokenizer.encoded == 1 + REMEMBERED
    encoder.encode(user(str(REMEMBERED - 1)))
    assert tokenizer.encoded == 1 + REMEMBERED, "the last one is remembered"
    encoder.encode(user("ab"))
    assert tokenizer.encoded == 2 + REMEMBERED, "the first one made room"


def test_a_template_that_refuses_the_messages() -> None:
    encoder = PromptEncoder(Tokenizer())
    with pytest.raises(DataError) as caught:
        encoder.encode([Message(role="system", content="Be exact."), *user("1+1=?")])
    assert str(caught.value) == (
        "the model's chat template refuses the messages (system, user), the last one '1+1=?': "
        "TemplateError: System role not supported; is it the system message (data.system)?"
    )
