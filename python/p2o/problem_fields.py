"""From a record to a problem: which fields hold what, and whether they can be used."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from p2o.errors import DataError, brief
from p2o.types import Message, Problem
from p2o.verifier import VerifyOptions, gold_parses, verify

if TYPE_CHECKING:
    from p2o.data import RecordData

_REMEDY = 'fix it or set data.on_bad_gold = "skip"'


class BadGoldError(DataError):
    """A gold answer that is missing or of no use: `data.on_bad_gold` says what happens."""


_ESCAPED = re.compile(
    "[\a\b\v\f]|\t(?=ext|imes|heta|an\\b|frac|au\\b|riangle|ilde)|\r(?=ight|angle|ho\\b|floor|ceil)"
    "|\n(?=eq\\b|abla|otin|ot\\b|mid\\b)"
)
"""What is left of a LaTeX command whose backslash was read as an escape: a form feed of `\\frac`, a tab of `\\text`."""


PROBLEM_FIELDS = ("problem", "question", "prompt", "messages", "query")
"""Fields that hold the problem, the usual one first: of GSM8K and DeepMath, of verl and TRL, of chats."""

ANSWER_FIELDS = (
    "answer",
    "final_answer",
    "reward_model.ground_truth",
    "ground_truth",
    "expected_answer",
    "gold",
    "target",
    "solution",
)
"""Fields that hold the gold, the usual one first: of DeepMath, of verl, ..., of MATH, open-r1 and TRL."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a file's records hold what."""

    problem: str
    answer: str
    answer_is: Literal["answer", "solution"]
    answer_named: bool
    """Whether the settings name the field with the answer: who names one has one."""
    others: tuple[str, ...] = ()
    """Fields of the first record that might hold the problem or the gold as well."""


def recognise(record: Mapping[str, Any], config: RecordData) -> Fields:
    """The fields that the settings name; of those that they do not, the ones that a record has.

    A gold is in a worked solution if the text has `####`, as in GSM8K, or is a `solution` with a box, as in MATH.
    """
    problem = config.problem_key or _known(record, PROBLEM_FIELDS)
    answer = config.answer_key or _known(record, ANSWER_FIELDS)
    answer_is = config.answer_is
    if answer_is is None:
        text = optional_field(record, answer)
        marked = isinstance(text, str) and ("####" in text or (answer == "solution" and "\\boxed" in text))
        answer_is = "solution" if marked else "answer"
    usual = (
        *(PROBLEM_FIELDS if config.problem_key is None else ()),
        *(ANSWER_FIELDS if config.answer_key is None else ()),
    )
    others = tuple(
        name for name in usual if name not in (problem, answer) and optional_field(record, name) is not None
    )
    return Fields(problem, answer, answer_is, config.answer_key is not None, others)


def _known(record: Mapping[str, Any], names: Sequence[str]) -> str:
    """The usual name, unless the record lacks it and has another one."""
    if names[0] in record:
        return names[0]
    return next((name for name in names if optional_field(record, name) is not None), names[0])


def describe(fields: Fields, config: RecordData) -> str:
    """What was recognised, in a line; empty where nothing had to be."""
    recognised = (
        config.problem_key is None and fields.problem != PROBLEM_FIELDS[0],
        config.answer_key is None and fields.answer != ANSWER_FIELDS[0],
        config.answer_is is None and fields.answer_is == "solution",
        bool(fields.others),
    )
    if not any(recognised):
        return ""
    place = "at the end of the solution in" if fields.answer_is == "solution" else "in"
    others = f"; not used: {', '.join(map(repr, fields.others))}" if fields.others else ""
    return f"the problem in the field {fields.problem!r}, the gold {place} {fields.answer!r}{others}"


def problem_of(
    record: dict[str, Any],
    where: str,
    fields: Fields,
    config: RecordData,
    verifier: VerifyOptions | None,
    *,
    needs_gold: bool,
) -> Problem:
    """The problem of a record. Raises BadGoldError for a gold that cannot be used, which may be skipped."""
    asked = _field(record, fields.problem, where, "problem_key")
    gold = _gold(record, where, fields, needed=needs_gold)
    if verifier is not None and config.on_bad_gold != "accept":
        if escape := lost_backslash(gold):
            raise BadGoldError(
                f"{where}: the gold answer {gold[:80]!r} holds {escape!r} where a LaTeX command began: its "
                f"backslashes must be doubled in JSON; {_REMEDY}"
            )
        if not gold_parses(gold, **verifier):
            raise BadGoldError(f"{where}: the gold answer {gold[:80]!r} cannot be parsed; {_REMEDY}")
    messages = _messages(asked, where, fields, config)
    given = optional_field(record, config.id_key)
    identity = str(given) if given is not None else content_hash(messages, gold)
    used = (fields.problem, fields.answer, config.id_key)
    meta = {key: value for key, value in record.items() if key not in used}
    if config.family_key:
        family = optional_field(record, config.family_key)
        meta["family"] = "?" if family is None else str(family)
    return Problem(identity, messages, gold, meta, where, _solution(record, where, fields, config))


def lost_backslash(text: str) -> str:
    """The control character that stands where a LaTeX command began; empty without one."""
    found = _ESCAPED.search(text)
    return found[0] if found else ""


def optional_field(record: Mapping[str, Any], key: str) -> Any:
    """The field `key`, nested or not; None if there is none, or no key."""
    if not key:  # pandas gives its numbers of rows a column without a name
        return None
    try:
        return _field(record, key, "", "")
    except DataError:
        return None


def _field(record: Mapping[str, Any], key: str, where: str, setting: str) -> Any:
    """The field `key`; if there is none of that name, for a key `a.b` the field `b` of the field `a`."""
    if key in record:
        return record[key]
    value: Any = record
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            fields = ", ".join(sorted(record)) or "none"
            raise DataError(f"{where}: no field {key!r} (found: {fields}); set data.{setting}")
        value = value[name]
    return value


def _gold(record: Mapping[str, Any], where: str, fields: Fields, *, needed: bool) -> str:
    """The gold as text; empty where there is none and none is `needed`.

    Raises:
        BadGoldError: if it is missing or cannot be one.
    """
    key = fields.answer
    try:
        value = _field(record, key, where, "answer_key")
    except DataError as error:
        if needed or fields.answer_named:
            raise BadGoldError(str(error)) from None
        value = None
    if isinstance(value, list) and value and all(_can_be_gold(one) for one in value):
        value = value[0] if len(value) == 1 else ", ".join(map(str, value))
    if value is None or (isinstance(value, str) and not value.strip()):
        if needed:
            raise BadGoldError(
                f"{where}: field {key!r} must hold a text or a number, and is empty; {_REMEDY}"
            )
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadGoldError(
            f"{where}: field {key!r} must hold a text or a number, not {brief(value)}; {_REMEDY}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise BadGoldError(f"{where}: field {key!r} is {value}, which cannot be compared; {_REMEDY}")
    text = str(value)
    if fields.answer_is == "answer":
        return text
    _, mark, behind = text.rpartition("####")
    behind = behind.strip()
    # A mark before several lines, or a solution with a box, is a heading of Markdown.
    heading = "\n" in behind or "\\boxed" in text
    gold = behind if mark and not heading else verify(text, "0", require_boxed=True).extracted or ""
    if not gold:
        raise BadGoldError(f"{where}: the solution has no box and no ####; {_REMEDY}")
    return gold


def _can_be_gold(value: Any) -> bool:
    """Whether it is a text or a number: of a list of golds each must be one."""
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _solution(record: Mapping[str, Any], where: str, fields: Fields, config: RecordData) -> str:
    """The worked solution of a record, the first of several; empty where it has none.

    Raises:
        DataError: if it is no text.
    """
    key = config.solution_key or (fields.answer if fields.answer_is == "solution" else "")
    value = optional_field(record, key)
    if isinstance(value, list) and value:
        value = value[0]
    if value is not None and not isinstance(value, str):
        raise DataError(
            f"{where}: field {key!r} must hold a text, a worked solution; set data.solution_key to another field"
        )
    return value or ""


def _messages(value: Any, where: str, fields: Fields, config: RecordData) -> tuple[Message, ...]:
    if isinstance(value, str):
        messages = [Message(role="user", content=value)]
    elif isinstance(value, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
        for m in value
    ):
        messages = [Message(role=m["role"], content=m["content"]) for m in value]
    else:
        raise DataError(
            f"{where}: field {fields.problem!r} must hold a text or a list of chat messages (role and content, both "
            f"texts), not {brief(value)}; fix it or set data.problem_key"
        )
    if not messages or messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise DataError(
            f"{where}: field {fields.problem!r} must end with a user message that is not empty: take out what follows "
            "it, or set data.problem_key"
        )
    for message in messages:
        if not re.fullmatch(r"\w[\w-]*", message["role"]):
            raise DataError(
                f"{where}: {message['role'][:40]!r} is no role of a chat message: a word is expected"
            )
    if (
        sum(message["role"].lower() in ("system", "developer") for message in messages) + bool(config.system)
        > 1
    ):
        more = (
            "and data.system another: unset it, or take one out"
            if config.system
            else "more than one: join them"
        )
        raise DataError(f"{where}: field {fields.problem!r} holds a system message, {more}")
    messages[-1]["content"] += config.suffix
    system = [Message(role="system", content=config.system)] if config.system else []
    return tuple(system + messages)


def content_hash(messages: Iterable[Message], gold: str) -> str:
    """The id of a problem that has none."""
    encoded = json.dumps([list(messages), gold], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(encoded.encode()).hexdigest()[:16]
