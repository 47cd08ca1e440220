"""Messages to token ids and back, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from p2o.types import Message


class PromptEncoder:
    """Encodes chat prompts with a tokenizer of transformers; the same messages are encoded once.

    A tokenizer without a chat template (a base model) gets the message texts, joined by blank lines.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._known: dict[tuple[tuple[str, str], ...], tuple[int, ...]] = {}

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the prompt, up to where the response begins."""
        key = tuple((message["role"], message["content"]) for message in messages)
        if key not in self._known:
            if self.tokenizer.chat_template:
                text = self.tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True
                )
                # The chat template has written the special tokens already.
                ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            else:
                ids = self.tokenizer("\n\n".join(content for _, content in key) + "\n")["input_ids"]
            self._known[key] = tuple(ids)
        return self._known[key]

    def decode(self, response_ids: Sequence[int]) -> str:
        """Text of a response, without special tokens."""
        text: str = self.tokenizer.decode(response_ids, skip_special_tokens=True)
        return text


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a response: those of the model's generation settings and the tokenizer's own."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in [*listed, tokenizer.eos_token_id] if token is not None})


def pad_id(tokenizer: Any) -> int:
    """The padding token, or any token where there is none: padding is masked everywhere."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
