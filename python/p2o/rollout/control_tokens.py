"""Control tokens: what a tokenizer takes for the begin or end of a turn, and text that must not be able to say it.

A chat template writes control tokens as characters, and the tokenizer finds them whoever wrote them: a problem with
`<|im_end|>` in it would end its own turn. So where a message holds such characters the prompt is encoded by a copy of
the tokenizer that knows the control tokens under other names. What the chat template wrote is renamed, and what stands
in a message stays text.
"""

from __future__ import annotations

import json
import re
import secrets
from functools import cached_property
from typing import Any

from p2o.errors import DataError

_MARKUP = re.compile(r"(?=.*\w)(?=.*[^\w\s])", re.DOTALL)
"""Letters and punctuation. A padding token `!` is a word that texts are free to use."""

_BARS = re.compile(r"<[|｜].*[|｜]>")  # DeepSeek writes full-width bars
_THOUGHT = re.compile("think|thought|reason", re.IGNORECASE)


class ControlTokens:
    """The control tokens of a tokenizer: its special tokens, and added tokens that are used like them.

    Used like them are added tokens with bars (`<|user|>`, whether flagged as special or not) and those that the chat
    template writes around messages. Marks of thoughts are none unless they are flagged: `<think>` opens no turn, a
    template may ask for it, and whoever serves the model encodes it as that token.
    """

    def __init__(self, tokenizer: Any, turns: str = "") -> None:
        """`turns` is a conversation as the chat template writes it."""
        self.tokenizer = tokenizer
        special = set(getattr(tokenizer, "all_special_tokens", ()))
        added = getattr(tokenizer, "added_tokens_decoder", {})

        def is_control(token: Any) -> bool:
            content = token.content
            written = content in turns and not _THOUGHT.search(content)
            return bool(_MARKUP.match(content)) and (
                token.special or content in special or bool(_BARS.fullmatch(content)) or written
            )

        self.ids = {token.content: number for number, token in added.items() if is_control(token)}
        unknown = getattr(tokenizer, "unk_token", None)  # what any text may hold
        self._counted = frozenset(number for name, number in self.ids.items() if name != unknown)
        self._names = sorted(self.ids, key=len, reverse=True)
        # A look at the first character spares thousands of others (Gemma has 6,249 control tokens).
        first = "".join(sorted({re.escape(name[0]) for name in self._names}))
        alternatives = "|".join(map(re.escape, self._names))
        self._pattern = re.compile(f"(?=[{first}])(?:{alternatives})" if self._names else "(?!)")
        # Nobody who writes a text knows these names: they are drawn in each process, and no model sees them.
        self._nonce = nonce = secrets.token_hex(8)
        self._renamed = {name: f"\ue000t{nonce}t{i}\ue001" for i, name in enumerate(self._names)}
        self._hidden = {name: f"\ue000m{nonce}m{i}\ue001" for i, name in enumerate(self._names)}
        self._hiding = re.compile(f"\ue000m{nonce}m(\\d+)\ue001")

    def first(self, text: str) -> str | None:
        """The control token that a text begins with."""
        match = self._pattern.match(text)
        return None if match is None else match[0]

    def are_in(self, text: str) -> bool:
        """Whether the text holds a control token."""
        return self._pattern.search(text) is not None

    def are_made_of(self, word: str) -> bool:
        """Whether a control token is this word between signs: chat templates write `'<|' + role + '|>'`."""
        return any(re.fullmatch(rf"\W*{re.escape(word)}\W*", name) for name in self._names)

    def count(self, text: str) -> int:
        """How many control tokens stand in the text, as written."""
        return sum(self.ids[name] in self._counted for name in self._pattern.findall(text))

    def among(self, ids: list[int]) -> int:
        """How many of the tokens are control tokens. More than `count` where a normaliser makes some of other text."""
        return sum(token in self._counted for token in ids)

    def hide(self, text: str) -> str:
        """The text of a message with other names for the control tokens in it."""
        return self._pattern.sub(lambda match: self._hidden[match[0]], text)

    def _show(self, text: str) -> str:
        return self._hiding.sub(lambda match: self._names[int(match[1])], text)

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt whose messages went through `hide`, without tokens that a tokenizer adds itself.

        Raises:
            DataError: if the chat template changed a hidden name, or the tokenizer makes a control token even of plain
                text.
        """
        shown = self._show(text).lower()
        if self._nonce in shown or f"\ue000m{self._nonce[:4]}" in shown:  # in capitals, or cut off
            raise DataError(
                "a message holds a control token, and the chat template does not write messages as they are: take the "
                "token out"
            )
        written = self.count(text)
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        ids = self._by_parts(text) if backend is None else self._by_copy(text)
        if self.among(ids) != written:
            spoken = self._hiding.search(text)
            named = repr(self._show(spoken[0])) if spoken else "text"
            raise DataError(
                f"the tokenizer takes {named} in a message for a control token and cannot read it as text: take it out"
            )
        return ids

    def _by_copy(self, text: str) -> list[int]:
        renamed = self._pattern.sub(lambda match: self._renamed[match[0]], text)
        copy, original = self._copy
        return [
            original.get(token, token)
            for token in copy.encode(self._show(renamed), add_special_tokens=False).ids
        ]

    @cached_property
    def _copy(self) -> tuple[Any, dict[int, int]]:
        """The tokenizer with the control tokens renamed, and the tokens' own ids by those they have in it."""
        from tokenizers import Tokenizer

        values = json.loads(self.tokenizer.backend_tokenizer.to_str())
        values |= {"truncation": None, "padding": None}
        for token in values["added_tokens"]:
            token["content"] = self._renamed.get(token["content"], token["content"])
        copy: Any = Tokenizer.from_str(json.dumps(values))
        return copy, {copy.token_to_id(token["content"]): token["id"] for token in values["added_tokens"]}

    def _by_parts(self, text: str) -> list[int]:
        """For tokenizers in Python: special tokens are split, part by part between those of the chat template."""
        ids: list[int] = []
        end = 0
        for match in [*self._pattern.finditer(text), None]:
            part = self._show(text[end : match.start() if match else len(text)])
            if part:
                ids += self.tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            if match:
                ids.append(self.ids[match[0]])
                end = match.end()
        return ids
