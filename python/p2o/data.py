"""Problems in: JSONL files of problems and gold answers, or the tiny world."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from p2o.errors import DataError
from p2o.settings import Settings
from p2o.tiny.world import make_problems
from p2o.types import Message, Problem
from p2o.verify import gold_parses


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

    train: Path
    """File of the training problems."""

    evaluation: Path | None = None
    """File of the evaluation problems; without one, `evaluation_size` problems are taken out of `train`."""

    problem_key: str = "problem"
    """Field with the problem: a text, or a list of chat messages."""

    answer_key: str = "answer"
    """Field with the gold answer, as text or number."""

    id_key: str = "id"
    """Field with a stable id; where it is missing the id is a hash of problem and answer."""

    family_key: str | None = None
    """Field by which accuracy is broken down in the reports."""

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
    """What to do with a gold answer that the verifier cannot parse: refuse the file, leave the problem out, or take it
    (for a reward function of one's own)."""


DataConfig = Annotated[TinyData | JsonlData, Field(discriminator="kind")]


def load_data(config: TinyData | JsonlData) -> tuple[list[Problem], list[Problem]]:
    """The training and the evaluation problems. Duplicates are merged; no training problem is evaluated.

    Raises:
        DataError: naming the file and the line.
    """
    if isinstance(config, TinyData):
        held_out = make_problems(config.evaluation_size, config.seed + 1_000_003)
        return make_problems(config.train_size, config.seed, exclude=held_out), held_out
    train = read_jsonl(config.train, config)
    if config.evaluation is not None:
        evaluation = _draw(read_jsonl(config.evaluation, config), config.evaluation_size, config.seed)
    elif config.evaluation_size is None:
        raise DataError(
            "data.evaluation is not set: give a file, or data.evaluation_size to hold problems out"
        )
    else:
        evaluation = _draw(train, config.evaluation_size, config.seed)
    held_out_ids = {problem.id for problem in evaluation}
    train = _draw([p for p in train if p.id not in held_out_ids], config.train_size, config.seed)
    if not train:
        raise DataError(
            f"{config.train}: no training problem is left after the evaluation problems are held out"
        )
    return train, evaluation


def read_jsonl(path: Path, config: JsonlData) -> list[Problem]:
    """The problems of one file, in order, duplicates merged.

    Raises:
        DataError: the file is missing or empty, or a line is malformed (named by its number).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    problems: dict[str, Problem] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            problem = _parse_line(line, f"{path}, line {number}", config)
            if problem is None:
                continue
            known = problems.setdefault(problem.id, problem)
            if (known.messages, known.gold) != (problem.messages, problem.gold):
                raise DataError(
                    f"{path}, line {number}: id {problem.id!r} belongs to another problem already; ids must be unique"
                )
    if not problems:
        raise DataError(f"{path}: holds no problems; one JSON object a line is expected")
    return list(problems.values())


def _parse_line(line: str, where: str, config: JsonlData) -> Problem | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: a JSON object is expected, got {type(record).__name__}")
    for key, setting in ((config.problem_key, "problem_key"), (config.answer_key, "answer_key")):
        if key not in record:
            fields = ", ".join(sorted(record)) or "none"
            raise DataError(f"{where}: no field {key!r} (found: {fields}); set data.{setting}")
    gold = record[config.answer_key]
    if isinstance(gold, bool) or not isinstance(gold, str | int | float) or not str(gold).strip():
        raise DataError(f"{where}: field {config.answer_key!r} must hold a text or a number")
    gold = str(gold)
    if config.on_bad_gold != "accept" and not gold_parses(gold):
        if config.on_bad_gold == "skip":
            return None
        raise DataError(
            f'{where}: the gold answer {gold[:80]!r} cannot be parsed; mend it or set data.on_bad_gold = "skip"'
        )
    messages = _messages(record[config.problem_key], where, config)
    given = record.get(config.id_key)
    identity = str(given) if given is not None else _hash(messages, gold)
    meta = {"family": str(record.get(config.family_key, "?"))} if config.family_key else {}
    return Problem(id=identity, messages=messages, gold=gold, meta=meta)


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


def _draw(problems: Sequence[Problem], size: int | None, seed: int) -> list[Problem]:
    """`size` of the problems, drawn by `seed`, in file order."""
    if size is None or size >= len(problems):
        return list(problems)
    chosen = sorted(random.Random(f"p2o data {seed}").sample(range(len(problems)), size))
    return [problems[index] for index in chosen]


def fingerprint(problems: Iterable[Problem]) -> str:
    """A hash of ids, prompts and golds: a resumed run must see the data it began with."""
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(f"{problem.id}\x1f{_hash(problem.messages, problem.gold)}\x1e".encode())
    return digest.hexdigest()[:16]
