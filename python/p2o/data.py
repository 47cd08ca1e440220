"""Problems in: JSONL files of problems and gold answers, or the tiny world."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import random
import sys
import unicodedata
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from p2o.errors import DataError
from p2o.settings import Settings
from p2o.tiny.world import make_problems
from p2o.types import Message, Problem
from p2o.verify import VerifyOptions, equivalent, gold_parses

OWN_RULES: VerifyOptions = {}
"""The verifier without options."""


class TinyData(Settings):
    """Problems of the tiny world, made up as needed."""

    kind: Literal["tiny"] = "tiny"

    train_size: int = Field(384, ge=1)
    """Number of training problems, the families in turn."""

    evaluation_size: int = Field(240, ge=1)
    """Number of evaluation problems, none of them among the training problems."""

    seed: int = 0
    """Which problems. Apart from the run's seed, so that runs with different seeds see the same problems."""


class JsonlData(Settings):
    """One JSON object a line, with a problem (or chat messages) and a gold answer."""

    kind: Literal["jsonl"] = "jsonl"

    train: Path = Field(strict=False)
    """File of the training problems."""

    evaluation: Path | None = Field(None, strict=False)
    """File of the evaluation problems; without one, `evaluation_size` problems are taken out of `train`."""

    problem_key: str = "problem"
    """Field with the problem: a text, or a list of chat messages."""

    answer_key: str = "answer"
    """Field with the gold answer, as text or number."""

    id_key: str = "id"
    """Field with a stable id; where it is missing the id is a hash of problem and answer. Fields that are neither
    problem nor answer nor id are kept in `Problem.meta`, for a reward function of one's own."""

    family_key: str | None = None
    """Field by which accuracy is broken down in the reports; unset, a field `family` where there is one."""

    system: str | None = None
    """System message before each problem."""

    suffix: str = ""
    """Text after each problem, such as the demand for a boxed answer. Part of the plain prompt."""

    train_size: int | None = Field(None, ge=1)
    """How many training problems to take, drawn by `seed`; all where unset."""

    evaluation_size: int | None = Field(None, ge=1)
    """How many evaluation problems to take, drawn by `seed`; all where unset."""

    seed: int = 0
    """Which problems are drawn."""

    on_bad_gold: Literal["refuse", "skip", "accept"] = "refuse"
    """What to do with a gold answer that the verifier cannot parse: refuse the file, leave the problem out, or take it.
    Golds are not checked where `reward.function` is one of one's own."""


DataConfig = Annotated[TinyData | JsonlData, Field(discriminator="kind")]


def load_data(
    config: TinyData | JsonlData, *, verifier: VerifyOptions | None = OWN_RULES
) -> tuple[list[Problem], list[Problem]]:
    """The training and the evaluation problems. Duplicates are merged; no training problem is evaluated.

    Problems are the same if their messages are, spacing aside, whatever their ids and golds. An evaluation
    problem whose id is taken by another training problem gets the id `evaluation/<id>`.

    Args:
        config: where the problems are.
        verifier: options of the verifier that judges by the golds; None where something else does, and a
            gold may be any text.

    Raises:
        DataError: naming the file and the line.
        ConfigError: if the tiny world has too few problems.
    """
    if isinstance(config, TinyData):
        held_out = make_problems(config.evaluation_size, config.seed + 1_000_003)
        return make_problems(config.train_size, config.seed, exclude=held_out), held_out
    train = read_jsonl(config.train, config, verifier=verifier)
    if config.evaluation is not None:
        evaluation = read_jsonl(config.evaluation, config, verifier=verifier)
        evaluation = _draw(evaluation, config.evaluation_size, config.seed)
    elif config.evaluation_size is None:
        raise DataError(
            "data.evaluation is not set: give a file, or data.evaluation_size to hold problems out"
        )
    else:
        evaluation = _draw(train, config.evaluation_size, config.seed)
    held_out_content = {_content(problem.messages) for problem in evaluation}
    train = [problem for problem in train if _content(problem.messages) not in held_out_content]
    if not train:
        raise DataError(
            f"{config.train}: no training problem is left after the evaluation problems are held out"
        )
    evaluation = _apart(evaluation, {problem.id for problem in train})
    return _draw(train, config.train_size, config.seed), evaluation


def read_jsonl(path: Path, config: JsonlData, *, verifier: VerifyOptions | None = OWN_RULES) -> list[Problem]:
    """The problems of one file, in order, duplicates merged. `verifier` as in `load_data`.

    Raises:
        DataError: the file is missing or empty, or a line is malformed or contradicts an earlier one (named by
            its number).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    problems: dict[str, Problem] = {}
    lines: dict[str, int] = {}
    ids: dict[str, str] = {}
    # Only the newline ends a line: JSON strings may hold the other separators that str.splitlines knows.
    for number, raw in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        where = f"{path}, line {number}"
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: cannot be read as UTF-8 text ({error.reason})") from None
        problem = _parse_line(line, where, config, verifier) if line.strip() else None
        if problem is None:
            continue
        key = _content(problem.messages)
        if ids.setdefault(problem.id, key) != key:
            raise DataError(
                f"{where}: id {problem.id!r} belongs to another problem already; ids must be unique"
            )
        known = problems.setdefault(key, problem)
        first = lines.setdefault(key, number)
        if not _same_gold(known.gold, problem.gold, verifier):
            raise DataError(
                f"{where}: the problem of line {first} with another answer, {problem.gold[:40]!r} instead of "
                f"{known.gold[:40]!r}; keep the right one"
            )
    if not problems:
        raise DataError(f"{path}: holds no problems; one JSON object a line is expected")
    return list(problems.values())


def _parse_line(line: str, where: str, config: JsonlData, verifier: VerifyOptions | None) -> Problem | None:
    record = _parse_object(line, where)
    for key, setting in ((config.problem_key, "problem_key"), (config.answer_key, "answer_key")):
        if key not in record:
            fields = ", ".join(sorted(record)) or "none"
            raise DataError(f"{where}: no field {key!r} (found: {fields}); set data.{setting}")
    gold = _gold(record[config.answer_key], where, config)
    if verifier is not None and config.on_bad_gold != "accept" and not gold_parses(gold, **verifier):
        if config.on_bad_gold == "skip":
            return None
        raise DataError(
            f'{where}: the gold answer {gold[:80]!r} cannot be parsed; mend it or set data.on_bad_gold = "skip"'
        )
    messages = _messages(record[config.problem_key], where, config)
    given = record.get(config.id_key)
    identity = str(given) if given is not None else _hash(messages, gold)
    used = (config.problem_key, config.answer_key, config.id_key)
    meta = {key: value for key, value in record.items() if key not in used}
    if config.family_key:
        meta["family"] = str(record.get(config.family_key, "?"))
    return Problem(id=identity, messages=messages, gold=gold, meta=meta)


def _parse_object(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if "\\u" in line:
            # Half of a surrogate pair is valid JSON, but no text: nothing could encode it.
            json.dumps(record, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error.msg} at column {error.colno})") from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: a text holds half of a surrogate pair (\\ud800 to \\udfff)") from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply") from None
    except ValueError:
        limit = sys.get_int_max_str_digits()
        raise DataError(f"{where}: an integer has over {limit} digits; write it as text") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: a JSON object is expected, got {type(record).__name__}")
    return record


def _gold(value: Any, where: str, config: JsonlData) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise DataError(f"{where}: field {config.answer_key!r} must hold a text or a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(
            f"{where}: field {config.answer_key!r} is {value}, which is no number to compare with"
        )
    return str(value)


def _same_gold(gold: str, other: str, verifier: VerifyOptions | None) -> bool:
    if gold.strip() == other.strip():
        return True
    return verifier is not None and equivalent(gold, other, **verifier)


def _messages(value: Any, where: str, config: JsonlData) -> tuple[Message, ...]:
    if isinstance(value, str):
        messages = [Message(role="user", content=value)]
    elif isinstance(value, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
        for m in value
    ):
        messages = [Message(role=m["role"], content=m["content"]) for m in value]
    else:
        raise DataError(f"{where}: field {config.problem_key!r} must hold a text or a list of chat messages")
    if not messages or messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise DataError(
            f"{where}: field {config.problem_key!r} must end with a user message that is not empty"
        )
    messages[-1]["content"] += config.suffix
    system = [Message(role="system", content=config.system)] if config.system else []
    return tuple(system + messages)


def _hash(messages: Iterable[Message], gold: str) -> str:
    encoded = json.dumps([list(messages), gold], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(encoded.encode()).hexdigest()[:16]


def _content(messages: Iterable[Message]) -> str:
    """A hash of what is asked, without the gold; Unicode forms, spacing and empty lines make no difference."""
    normalised = []
    for message in messages:
        lines = unicodedata.normalize("NFC", message["content"]).splitlines()
        normalised.append((message["role"], [" ".join(line.split()) for line in lines if line.strip()]))
    return hashlib.sha256(json.dumps(normalised).encode()).hexdigest()


def _apart(problems: Iterable[Problem], taken: Container[str]) -> list[Problem]:
    """The problems, with other ids for those whose ids are taken by other problems."""
    problems = list(problems)
    own = {problem.id for problem in problems}
    renamed = []
    for problem in problems:
        identity = problem.id
        while identity in taken or (identity != problem.id and identity in own):
            identity = f"evaluation/{identity}"
        renamed.append(problem if identity == problem.id else replace(problem, id=identity))
    return renamed


def _draw(problems: Sequence[Problem], size: int | None, seed: int) -> list[Problem]:
    """`size` of the problems, drawn by `seed`, in file order."""
    if size is None or size >= len(problems):
        return list(problems)
    chosen = sorted(random.Random(f"p2o data {seed}").sample(range(len(problems)), size))
    return [problems[index] for index in chosen]


def fingerprint(problems: Iterable[Problem]) -> str:
    """A hash of ids, prompts, golds and further fields: a resumed run must see the data it began with."""
    digest = hashlib.sha256()
    for problem in problems:
        meta = json.dumps(dict(problem.meta), sort_keys=True)
        digest.update(f"{problem.id}\x1f{_hash(problem.messages, problem.gold)}\x1f{meta}\x1e".encode())
    return digest.hexdigest()[:16]
