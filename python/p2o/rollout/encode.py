"""Messages to token ids and back, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from p2o.errors import ConfigError, DataError
from p2o.files import why_unreadable
from p2o.types import Message

REMEMBERED = 4096
"""Prompts whose tokens are kept: a step's groups and a prompt step's rounds ask for the same ones again and again."""


class PromptEncoder:
    """Encodes chat prompts with a tokenizer of transformers; the prompts used last are remembered.

    A tokenizer without a chat template (a base model) gets the message texts, joined by blank lines.
    """

    def __init__(self, tokenizer: Any, template_kwargs: Mapping[str, Any] | None = None) -> None:
        """`template_kwargs` are further arguments of the chat template (`model.chat_template_kwargs`)."""
        self.tokenizer = tokenizer
        self.template_kwargs = dict(template_kwargs or {})
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._encode)

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the prompt, up to where the response begins.

        Raises:
            DataError: if the model's chat template refuses the messages.
        """
        return self._remembered(tuple((message["role"], message["content"]) for message in messages))

    def _encode(self, messages: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
        if not self.tokenizer.chat_template:
            return tuple(self.tokenizer("\n\n".join(content for _, content in messages) + "\n")["input_ids"])
        try:
            text = self.tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in messages],
                tokenize=False,
                add_generation_prompt=True,
                **self.template_kwargs,
            )
        except Exception as error:  # a template is a program of the model's and can raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            roles = ", ".join(role for role, _ in messages)
            hint = "; is it the system message (data.system)?" if messages[0][0] == "system" else ""
            raise DataError(
                f"the model's chat template refuses the messages ({roles}), the last one "
                f"{messages[-1][1][:60]!r}: {reason}{hint}"
            ) from error
        # The chat template has written the special tokens already.
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, response_ids: Sequence[int]) -> str:
        """Text of a response, without special tokens."""
        text: str = self.tokenizer.decode(response_ids, skip_special_tokens=True)
        return text


def read_chat_template(path: Path) -> str:
    """The chat template in a file (`model.chat_template`).

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"model.chat_template = {str(path)!r} cannot be read ({why_unreadable(error)})"
        ) from None


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
