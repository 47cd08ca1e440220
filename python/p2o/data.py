"""Problems and gold answers, from files, datasets or the tiny world."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from p2o.errors import DataError
from p2o.records import Record, dataset_records, jsonl_records
from p2o.settings import Settings
from p2o.tiny.world import make_problems
from p2o.types import Message, Problem
from p2o.verifier import VerifyOptions, equivalent, gold_parses, verify

_REMEDY = 'fix it or set data.on_bad_gold = "skip"'


class BadGoldError(DataError):
    """A gold answer that is missing or of no use: `data.on_bad_gold` says what happens."""


_ESCAPED = re.compile(
    "[\a\b\v\f]|\t(?=ext|imes|heta|an\\b|frac|au\\b|riangle|ilde)|\r(?=ight|angle|ho\\b|floor|ceil)"
    "|\n(?=eq\\b|abla|otin|ot\\b|mid\\b)"
)
"""What is left of a LaTeX command whose backslash was read as an escape: a form feed of `\\frac`, a tab of `\\text`."""

OWN_RULES: VerifyOptions = {}
"""The verifier without options."""


class TinyData(Settings):
    """Problems of the tiny world, generated as needed."""

    kind: Literal["tiny"] = "tiny"

    train_size: int = Field(384, ge=1)
    """Number of training problems, the families in turn."""

    evaluation_size: int = Field(240, ge=1)
    """Number of evaluation problems, none of them among the training problems."""

    seed: int = 0
    """Which problems. Separate from the run's seed, so that runs with different seeds see the same problems."""


class RecordData(Settings, ABC):
    """Records with a problem (or chat messages) and a gold answer, wherever they come from.

    A source of your own is a subclass with settings of its own; `data.kind = "module:Class"` selects it.
    """

    kind: str
    train: Any
    evaluation: Any = None

    problem_key: str = "problem"
    """Field with the problem: a text, or a list of chat messages. `prompt.text` names a nested field."""

    answer_key: str = "answer"
    """Field with the gold answer, as text or number; `reward_model.ground_truth` names a nested field. It may be
    missing or empty if `reward.function` is your own."""

    answer_is: Literal["answer", "solution"] = "answer"
    """What that field holds: the answer, or a worked `solution` that has it in its last box or after `####`."""

    solution_key: str | None = None
    """Field with a worked solution, for guidance that is made from it. Unset, it is that of `answer_key` if it holds
    solutions; a record may have none."""

    id_key: str = "id"
    """Field with a stable id; without it the id is a hash of problem and answer. All other fields are kept in
    `Problem.meta`, for your own reward function."""

    family_key: str | None = None
    """Field by which accuracy is broken down in the reports; unset, the field `family` if there is one."""

    system: str | None = None
    """System message before each problem."""

    suffix: str = ""
    """Text after each problem, such as a request for a boxed answer. Part of the plain prompt."""

    train_size: int | None = Field(None, ge=1)
    """Number of training problems to take, drawn by `seed`; unset, all."""

    evaluation_size: int | None = Field(None, ge=1)
    """Number of evaluation problems to take, drawn by `seed`; unset, all."""

    seed: int = 0
    """Which problems are drawn."""

    on_bad_gold: Literal["refuse", "skip", "accept"] = "refuse"
    """What to do with a gold answer that the verifier cannot parse: refuse the file, leave the problem out, or take it.
    One that is missing is refused or left out. Golds are not checked if `reward.function` is your own."""

    @abstractmethod
    def training_records(self) -> Iterable[Record]:
        """The records of the training problems."""

    @abstractmethod
    def evaluation_records(self) -> Iterable[Record] | None:
        """Those of the evaluation problems; None if they are held out of the training problems."""


class JsonlData(RecordData):
    """One JSON object per line."""

    kind: Literal["jsonl"] = "jsonl"

    train: Path = Field(strict=False)
    """File of the training problems."""

    evaluation: Path | None = Field(None, strict=False)
    """File of the evaluation problems; without one, `evaluation_size` problems of `train` are held out."""

    def training_records(self) -> Iterable[Record]:
        """The objects of `train`."""
        return jsonl_records(self.train)

    def evaluation_records(self) -> Iterable[Record] | None:
        """The objects of `evaluation`."""
        return None if self.evaluation is None else jsonl_records(self.evaluation)


class DatasetData(RecordData):
    """Rows of a dataset that the library `datasets` reads: Parquet, CSV, JSON, Arrow, or from the Hugging Face hub."""

    kind: Literal["dataset"] = "dataset"

    train: str = Field(min_length=1)
    """The training problems: a file (a pattern with `*` for several), a folder that `save_to_disk` wrote, or the name
    of a dataset on the hub."""

    evaluation: str | None = Field(None, min_length=1)
    """Dataset of the evaluation problems. Unset, it is that of `train` if `splits` names a second; else
    `evaluation_size` training problems are held out."""

    subset: str | None = None
    """Configuration of the datasets, if they have several."""

    splits: tuple[str, ...] = Field((), max_length=2, strict=False)
    """Splits of the training and of the evaluation problems: `["train", "validation"]`. One that is not given is the
    dataset's only one, or `train` and `test`."""

    def training_records(self) -> Iterable[Record]:
        """The rows of the training split."""
        return dataset_records(self.train, self.subset, next(iter(self.splits), None), usual_split="train")

    def evaluation_records(self) -> Iterable[Record] | None:
        """The rows of the evaluation split."""
        split = next(iter(self.splits[1:]), None)
        if self.evaluation is None and split is None:
            return None
        return dataset_records(self.evaluation or self.train, self.subset, split, usual_split="test")


DataConfig = TinyData | RecordData


def load_data(
    config: DataConfig, *, verifier: VerifyOptions | None = OWN_RULES, needs_gold: bool = True
) -> tuple[list[Problem], list[Problem]]:
    """The training and the evaluation problems. Duplicates are merged; no training problem is evaluated.

    Problems are the same if their messages are, spacing aside, whatever their ids and golds. An evaluation
    problem whose id is taken by another training problem gets the id `evaluation/<id>`.

    Args:
        config: where the problems are.
        verifier: options of the verifier that judges by the golds; None if something else judges, and a
            gold may be any text.
        needs_gold: whether a problem without a gold answer is of no use.

    Raises:
        DataError: naming the file and the line, or the dataset and the row.
        ConfigError: if the tiny world has too few problems.
    """
    if isinstance(config, TinyData):
        held_out = make_problems(config.evaluation_size, config.seed + 1_000_003)
        return make_problems(config.train_size, config.seed, exclude=held_out), held_out
    train = read_problems(
        config.training_records(), config, config.train, verifier=verifier, needs_gold=needs_gold
    )
    records = config.evaluation_records()
    if records is not None:
        source = config.evaluation or config.train
        evaluation = read_problems(records, config, source, verifier=verifier, needs_gold=needs_gold)
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
    """The problems of one JSONL file: see `read_problems`."""
    return read_problems(jsonl_records(path), config, path, verifier=verifier)


def read_problems(
    records: Iterable[Record],
    config: RecordData,
    source: Path | str,
    *,
    verifier: VerifyOptions | None = OWN_RULES,
    needs_gold: bool = True,
) -> list[Problem]:
    """The problems of `source`, in order, duplicates merged. `verifier` and `needs_gold` as in `load_data`.

    Raises:
        DataError: if there are none, or a record lacks something or contradicts an earlier one (named by its place).
    """
    problems: dict[str, Problem] = {}
    places: dict[str, str] = {}
    ids: dict[str, str] = {}
    skipped: list[BadGoldError] = []
    for where, record in records:
        try:
            problem = _problem(record, where, config, verifier, needs_gold=needs_gold)
        except BadGoldError as error:
            if config.on_bad_gold != "skip":
                raise
            skipped.append(error)
            continue
        key = _content(problem.messages)
        if ids.setdefault(problem.id, key) != key:
            raise DataError(
                f"{where}: id {problem.id!r} belongs to another problem already; ids must be unique"
            )
        known = problems.setdefault(key, problem)
        first = places.setdefault(key, where.rpartition(", ")[2])
        if not _same_gold(known.gold, problem.gold, verifier):
            raise DataError(
                f"{where}: the same problem as {first} with another answer, {problem.gold[:40]!r} instead of "
                f"{known.gold[:40]!r}; keep the right one"
            )
    if not problems and skipped:
        raise DataError(f"all {len(skipped)} problems would be skipped, the first one since {skipped[0]}")
    if not problems:
        raise DataError(f"{source}: holds no problems")
    return list(problems.values())


def _problem(
    record: dict[str, Any],
    where: str,
    config: RecordData,
    verifier: VerifyOptions | None,
    *,
    needs_gold: bool,
) -> Problem:
    """The problem of a record. Raises BadGoldError for a gold that cannot be used, which may be skipped."""
    asked = _field(record, config.problem_key, where, "problem_key")
    gold = _gold(record, where, config, needed=needs_gold)
    if verifier is not None and config.on_bad_gold != "accept":
        if escape := _ESCAPED.search(gold):
            raise BadGoldError(
                f"{where}: the gold answer {gold[:80]!r} holds {escape[0]!r} where a LaTeX command began: its "
                f"backslashes must be doubled in JSON; {_REMEDY}"
            )
        if not gold_parses(gold, **verifier):
            raise BadGoldError(f"{where}: the gold answer {gold[:80]!r} cannot be parsed; {_REMEDY}")
    messages = _messages(asked, where, config)
    given = record.get(config.id_key)
    identity = str(given) if given is not None else _hash(messages, gold)
    used = (config.problem_key, config.answer_key, config.id_key)
    meta = {key: value for key, value in record.items() if key not in used}
    if config.family_key:
        meta["family"] = str(record.get(config.family_key, "?"))
    return Problem(identity, messages, gold, meta, where, _solution(record, where, config))


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


def _gold(record: Mapping[str, Any], where: str, config: RecordData, *, needed: bool) -> str:
    """The gold as text; empty where there is none and none is `needed`.

    Raises:
        BadGoldError: if it is missing or cannot be one.
    """
    key = config.answer_key
    try:
        value = _field(record, key, where, "answer_key")
    except DataError as error:
        if needed or "answer_key" in config.model_fields_set:  # who names a field has one
            raise BadGoldError(str(error)) from None
        value = None
    if value is None or (isinstance(value, str) and not value.strip()):
        if needed:
            raise BadGoldError(
                f"{where}: field {key!r} must hold a text or a number, and is empty; {_REMEDY}"
            )
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadGoldError(f"{where}: field {key!r} must hold a text or a number; {_REMEDY}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadGoldError(f"{where}: field {key!r} is {value}, which cannot be compared; {_REMEDY}")
    text = str(value)
    if config.answer_is == "answer":
        return text
    _, mark, behind = text.rpartition("####")
    gold = behind.strip() if mark else verify(text, "0", require_boxed=True).extracted or ""
    if not gold:
        raise BadGoldError(f"{where}: the solution has no box and no ####; {_REMEDY}")
    return gold


def _solution(record: Mapping[str, Any], where: str, config: RecordData) -> str:
    """The worked solution of a record; empty where it has none.

    Raises:
        DataError: if the field of `solution_key` is missing or no text.
    """
    if config.solution_key is not None:
        value = _field(record, config.solution_key, where, "solution_key")
    elif config.answer_is == "solution":
        value = _field(record, config.answer_key, where, "answer_key")
    else:
        return ""
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: field {config.solution_key!r} must hold a text, a worked solution")
    return value or ""


def _same_gold(gold: str, other: str, verifier: VerifyOptions | None) -> bool:
    if gold.strip() == other.strip():
        return True
    return verifier is not None and equivalent(gold, other, **verifier)


def _messages(value: Any, where: str, config: RecordData) -> tuple[Message, ...]:
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
        raise DataError(f"{where}: field {config.problem_key!r} holds a system message, {more}")
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
        shown = f"{problem.solution}\x1f" if problem.solution else ""
        digest.update(
            f"{problem.id}\x1f{_hash(problem.messages, problem.gold)}\x1f{shown}{meta}\x1e".encode()
        )
    return digest.hexdigest()[:16]
