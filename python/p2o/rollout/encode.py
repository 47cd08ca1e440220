"""Messages to token ids and back, by the model's own chat template."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from p2o.errors import ConfigError, DataError, in_one_line
from p2o.files import why_unreadable
from p2o.rollout.control_tokens import ControlTokens
from p2o.types import Message

LOGGER = logging.getLogger(__name__)

REMEMBERED = 4096
"""Prompts whose tokens are kept: a step's groups and a prompt step's rounds ask for the same ones again and again."""

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
"""Roles that a message may have though there are control tokens of their names."""

TODAY = datetime(2025, 1, 1)
"""What chat templates get for today: with the real date no run could be repeated or resumed."""

_CLOCK = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
_ANSWER = "p2o-answer"


class PromptEncoder:
    """Encodes chat prompts with a tokenizer of transformers; the prompts used last are remembered.

    A tokenizer without a chat template (a base model) gets the message texts, joined by blank lines. Control tokens in
    a message are text ([`ControlTokens`][p2o.rollout.control_tokens.ControlTokens]).
    """

    def __init__(
        self, tokenizer: Any, template_kwargs: Mapping[str, Any] | None = None, end_ids: Sequence[int] = ()
    ) -> None:
        """`template_kwargs` are further arguments of the chat template (`model.chat_template_kwargs`), `end_ids` the
        tokens that end a response beside the chat template's own end of a turn.

        Raises:
            ConfigError: if the chat template reads the clock in a way that cannot be held still.
        """
        self.tokenizer = tokenizer
        self.template_kwargs = dict(template_kwargs or {})
        self._options = still_template(tokenizer)
        self._draws = any(word in str(tokenizer.chat_template) for word in ("random", "lipsum"))
        self._end_ids = frozenset(end_ids)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._encode)
        self._left_out = lru_cache(maxsize=REMEMBERED)(self._find_left_out)

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Token ids of the prompt, up to where the response begins.

        Raises:
            DataError: if the model's chat template refuses the messages, or the tokenizer cannot read one as text.
        """
        return self._remembered(tuple((message["role"], message["content"]) for message in messages))

    @cached_property
    def control(self) -> ControlTokens:
        """The control tokens of the tokenizer and the chat template."""
        return ControlTokens(self.tokenizer, self._turns(("user", "x"), ("assistant", "x")))

    @cached_property
    def end_of_turn(self) -> str | None:
        """The token by which the chat template ends the model's turn; None if it writes none, or no one token."""
        asked, answered = ("user", "x"), ("assistant", _ANSWER)
        for turns in ((asked, answered), (asked, answered, asked)):
            behind = self._turns(*turns).rpartition(_ANSWER)[2].lstrip()
            if behind:
                return self.control.first(behind)
        return None

    def _encode(self, messages: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
        for role in {role for role, _ in messages} - ROLES:
            if self.control.are_made_of(role):
                raise DataError(f"a message has the role {role!r}, which is a control token of the tokenizer")
        text = self._render(messages)
        if (left_out := self._left_out(tuple(role for role, _ in messages))) is not None:
            raise DataError(
                f"the model's chat template leaves out what a message of the role {left_out!r} says: join it to "
                "another one, or write a template of your own (model.chat_template)"
            )
        ids: list[int] = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        before = [] if self.tokenizer.chat_template else self._opening(text, ids)
        spoken = any(self.control.are_in(content) for _, content in messages)
        if spoken or self.control.among(ids) > self.control.count(text):  # a normaliser may make some
            try:
                hidden = tuple((role, self.control.hide(content)) for role, content in messages)
                ids = self.control.encode(self._render(hidden))
            except DataError:
                if spoken:
                    raise
        return (*before, *ids)

    def _find_left_out(self, roles: tuple[str, ...]) -> str | None:
        """The role of a message that does not get into the prompt. Those of answers may: their thoughts are cut out."""
        numbers = [str(71_305_830 + place) for place in range(len(roles))]  # a text that no filter changes
        text = self._turns(*zip(roles, numbers, strict=True))
        missing = (
            role
            for role, number in zip(roles, numbers, strict=True)
            if text and number not in text and role != "assistant"
        )
        return next(missing, None)

    def _opening(self, text: str, ids: list[int]) -> list[int]:
        """What the tokenizer puts before a text itself. What it appends is left out: the model has to go on."""
        whole: list[int] = list(self.tokenizer(text)["input_ids"])
        starts = range(len(whole) - len(ids) + 1)
        return whole[: next((start for start in starts if whole[start : start + len(ids)] == ids), 0)]

    def _render(self, messages: tuple[tuple[str, str], ...]) -> str:
        """The prompt as characters. A chat template has written the special tokens already."""
        if not self.tokenizer.chat_template:
            return "\n\n".join(content for _, content in messages) + "\n"
        try:
            return self._apply(messages, add_generation_prompt=True)
        except Exception as error:  # a template is a program of the model's and can raise anything
            reason = in_one_line(error)
            roles = ", ".join(role for role, _ in messages)
            hint = "; is it the system message (data.system)?" if messages[0][0] == "system" else ""
            raise DataError(
                f"the model's chat template refuses the messages ({roles}), the last one "
                f"{messages[-1][1][:60]!r}: {reason}{hint}"
            ) from error

    def _turns(self, *messages: tuple[str, str]) -> str:
        """A conversation as the chat template writes it; empty where it refuses."""
        if not self.tokenizer.chat_template:
            return ""
        try:
            return self._apply(messages, add_generation_prompt=False)
        except Exception:  # of a template that takes no answers no token is known
            return ""

    def _apply(self, messages: Sequence[tuple[str, str]], *, add_generation_prompt: bool) -> str:
        state = random.getstate() if self._draws else None
        if self._draws:
            random.seed(0)  # Jinja's filter `random` draws from it
        try:
            text: str = self.tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in messages],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **self._options,
                **self.template_kwargs,
            )
        finally:
            if state is not None:
                random.setstate(state)
        return text

    def decode(self, response_ids: Sequence[int]) -> str:
        """Text of a response, without the tokens that end, begin or fill up. Other special tokens are part of what was
        said: a verifier looks for the answer behind `</think>`.
        """
        silent, spoken = self._special_ids
        if spoken.isdisjoint(response_ids):
            text: str = self.tokenizer.decode(response_ids, skip_special_tokens=True)
            return text
        said = [token for token in response_ids if token not in silent]
        text = self.tokenizer.decode(said, skip_special_tokens=False)
        return text

    @cached_property
    def _special_ids(self) -> tuple[frozenset[int], frozenset[int]]:
        """The special tokens that a response's text leaves out, and the others."""
        named = {
            getattr(self.tokenizer, f"{name}_token_id", None)
            for name in ("bos", "eos", "pad", "unk", "cls", "sep", "mask")
        }
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        special = {number for number, token in added.items() if token.special}
        special.update(getattr(self.tokenizer, "all_special_ids", ()))
        turn = set() if self.end_of_turn is None else {self.control.ids[self.end_of_turn]}
        silent = special & (self._end_ids | named | turn)
        return frozenset(silent), frozenset(special - silent)


def still_template(tokenizer: Any) -> dict[str, str]:
    """The argument `chat_template` with `TODAY` in place of the clock; empty where the template reads none.

    Raises:
        ConfigError: if it reads the clock in another way than by `strftime_now` of a fixed format.
    """
    if "strftime_now" not in str(tokenizer.chat_template):
        return {}
    own = tokenizer.chat_template
    if not isinstance(own, str):  # several, by name
        own = tokenizer.get_chat_template() if "default" in own else ""
    template = _CLOCK.sub(lambda call: repr(TODAY.strftime(call[2])), own)
    if re.search(r"strftime_now(?!\s+is\b)", template):
        raise ConfigError(
            "the chat template calls strftime_now with a format of its own making, so no run can be repeated: write "
            "the date into a template of your own (model.chat_template)"
        )
    return {"chat_template": template} if template else {}


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
    """Tokens that end a response: those of the model's generation settings, and the tokenizer's own."""
    return sorted({*_listed_ends(model), *_known([tokenizer.eos_token_id])})


def list_ends(model: Any, encoder: PromptEncoder) -> str | None:
    """Enters every token that ends a response into the model's generation settings, which are saved with it: whoever
    serves the model stops where we do.

    Returns:
        The chat template's end of the model's turn, where neither the settings nor the tokenizer had it.
    """
    listed, known, turn = _listed_ends(model), end_ids(model, encoder.tokenizer), encoder.end_of_turn
    added = [] if turn is None else [encoder.control.ids[turn]]
    ends = list(dict.fromkeys([*listed, *known, *added]))
    if ends != listed:
        model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]
    return turn if added and added[0] not in known else None


def _listed_ends(model: Any) -> list[int]:
    configured = model.generation_config.eos_token_id
    return _known(configured if isinstance(configured, list) else [configured])


def _known(ids: Sequence[int | None]) -> list[int]:
    return [token for token in ids if token is not None]


def say_how_turns_end(
    encoder: PromptEncoder, prompt: Sequence[int], ends: Sequence[int], added: str | None
) -> None:
    """Warns where configuration and chat template disagree about the end of a turn (`added`, of `list_ends`)."""
    if added is not None:
        LOGGER.warning(
            "responses end at %r as well, the chat template's end of a turn: the end tokens of the model's "
            "configuration lack it, and the generation_config.json of what is saved will name it",
            added,
        )
    if prompt and prompt[-1] in ends:
        LOGGER.warning(
            "prompts end with %r, which ends a response: the chat template writes it, and no begin of an answer",
            encoder.tokenizer.convert_ids_to_tokens(prompt[-1]),
        )


def pad_id(tokenizer: Any) -> int:
    """The padding token, or any token where there is none: padding is masked everywhere."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
