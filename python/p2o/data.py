"""Problems and gold answers, from files, datasets or the tiny world."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr

from p2o.errors import DataError
from p2o.problem_fields import BadGoldError, content_hash, describe, problem_of, recognise
from p2o.records import Record, dataset_records, file_records, given_records
from p2o.settings import Settings
from p2o.tiny.world import make_problems
from p2o.types import Message, Problem
from p2o.verifier import VerifyOptions, equivalent

HELD_OUT = 0.1
"""Share of the problems that is held out for evaluation where neither its number nor another source is set."""

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

    problem_key: str | None = None
    """Field with the problem: a text, or a list of chat messages. `prompt.text` names a nested field. Unset, it is
    `problem`, or recognised by the first record where that has none; so are the next two."""

    answer_key: str | None = None
    """Field with the gold answer, as text, number, or a list of them; `reward_model.ground_truth` names a nested field.
    Unset, it is `answer`, or recognised. It may be missing or empty if `reward.function` is your own."""

    answer_is: Literal["answer", "solution"] | None = None
    """What that field holds: the answer, or a worked `solution` that has it in its last box or after `####`."""

    solution_key: str | None = None
    """Field with a worked solution, for guidance that is made from it. Unset, it is that of `answer_key` if it holds
    solutions; a record may have none."""

    id_key: str = "id"
    """Field, nested or not, with a stable id; without it the id is a hash of problem and answer. All other fields are
    kept in `Problem.meta`, for your own reward function."""

    family_key: str | None = None
    """Field, nested or not, by which accuracy is broken down in the reports; unset, `family` if there is one."""

    system: str | None = None
    """System message before each problem."""

    suffix: str = ""
    """Text after each problem, such as a request for a boxed answer. Part of the plain prompt."""

    train_size: int | None = Field(None, ge=1)
    """Number of training problems to take, drawn by `seed`; unset, all."""

    evaluation_size: int | None = Field(None, ge=1)
    """Number of evaluation problems to take, drawn by `seed`; unset, all of their own source, or a tenth of the
    training problems where they are held out of those."""

    seed: int = 0
    """Which problems are drawn."""

    on_bad_gold: Literal["refuse", "skip", "accept"] = "refuse"
    """What to do with a gold answer that the verifier cannot parse: refuse the file, leave the problem out, or take it.
    One that is missing is refused or left out. Golds are not checked if `reward.function` is your own."""

    on_conflict: Literal["refuse", "first", "skip"] = "refuse"
    """What to do with a problem that comes again with another gold answer: refuse the file, take the first gold, or
    leave the problem out."""

    @abstractmethod
    def training_records(self) -> Iterable[Record]:
        """The records of the training problems."""

    @abstractmethod
    def evaluation_records(self) -> Iterable[Record] | None:
        """Those of the evaluation problems; None if they are held out of the training problems."""

    def shown(self, source: Any) -> str:
        """What messages call a source."""
        return str(source)


class JsonlData(RecordData):
    """Files, read by their suffix: JSON Lines, a JSON array, CSV, TSV (all of them also `.gz`), Parquet or Arrow."""

    kind: Literal["jsonl"] = "jsonl"

    train: Path = Field(strict=False)
    """File of the training problems."""

    evaluation: Path | None = Field(None, strict=False)
    """File of the evaluation problems; without one, `evaluation_size` problems of `train` are held out of training."""

    _held: Mapping[Path, str] = PrivateAttr(default_factory=dict)

    def holding(self, files: Mapping[Path, str]) -> Self:
        """The same, with what some of its files hold (a record in each line) in memory: a new run directory writes
        them. Messages name such a file without folder and suffix: it stands for an argument."""
        copy = self.model_copy()
        copy._held = files
        return copy

    @property
    def held(self) -> Mapping[Path, str]:
        """Files that are in memory."""
        return self._held

    def shown(self, source: Path) -> str:
        """The argument that a file in memory stands for; else its path."""
        return source.stem if source in self._held else str(source)

    def training_records(self) -> Iterable[Record]:
        """The records of `train`."""
        return self._records(self.train, "data.train")

    def evaluation_records(self) -> Iterable[Record] | None:
        """The records of `evaluation`."""
        return None if self.evaluation is None else self._records(self.evaluation, "data.evaluation")

    def require_files(self) -> None:
        """Raises DataError if a file is missing."""
        self._require(self.train, "data.train")
        if self.evaluation is not None:
            self._require(self.evaluation, "data.evaluation")

    def _require(self, file: Path, setting: str) -> None:
        if file not in self._held and not file.exists() and "*" not in str(file):
            raise DataError(f"{file}: no such file; {setting} names it")

    def _records(self, file: Path, setting: str) -> Iterable[Record]:
        self._require(file, setting)
        text = self._held.get(file)
        return file_records(file) if text is None else given_records(text, self.shown(file))


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
    config: DataConfig,
    *,
    verifier: VerifyOptions | None = OWN_RULES,
    needs_gold: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[list[Problem], list[Problem]]:
    """The training and the evaluation problems. Duplicates are merged; no training problem is evaluated.

    Problems are the same if their messages are, spacing aside, whatever their ids and golds. An evaluation
    problem whose id is taken by another training problem gets the id `evaluation/<id>`.

    Args:
        config: where the problems are.
        verifier: options of the verifier that judges by the golds; None if something else judges, and a
            gold may be any text.
        needs_gold: whether a problem without a gold answer is of no use.
        say: takes lines about what was read and what became of it.

    Raises:
        DataError: naming the file and the line, or the dataset and the row.
        ConfigError: if the tiny world has too few problems.
    """
    if isinstance(config, TinyData):
        held_out = make_problems(config.evaluation_size, config.seed + 1_000_003)
        return make_problems(config.train_size, config.seed, exclude=held_out), held_out
    source = config.shown(config.train)
    reading = read_problems(
        config.training_records(), config, source, verifier=verifier, needs_gold=needs_gold
    )
    train, readings = reading.problems, {source: reading}
    records = config.evaluation_records()
    if records is not None:
        other_source = config.shown(config.evaluation or config.train)
        other = read_problems(records, config, other_source, verifier=verifier, needs_gold=needs_gold)
        evaluation = _draw(other.problems, config.evaluation_size, config.seed)
        readings |= {f"{other_source} (evaluation)": other}
    else:
        size = config.evaluation_size or max(1, round(HELD_OUT * len(train)))
        evaluation = _draw(train, size, config.seed)
    held_out_content = {content_key(problem.messages) for problem in evaluation}
    train = [problem for problem in train if content_key(problem.messages) not in held_out_content]
    if not train:
        raise DataError(
            f"{source}: no training problem is left after the {len(evaluation):,} for evaluation are held out: "
            "lower data.evaluation_size, or set data.evaluation to other problems"
        )
    evaluation = _apart(evaluation, {problem.id for problem in train})
    drawn = _draw(train, config.train_size, config.seed)
    for name, each in readings.items():
        say(f"{name}: {each}" + (f"; {each.fields}" if each.fields else ""))
    capped = f" (data.train_size, of {len(train):,})" if len(drawn) < len(train) else ""
    say(f"{len(drawn):,} problems to train on{capped}, {len(evaluation):,} to evaluate on")
    return drawn, evaluation


def read_jsonl(path: Path, config: JsonlData, *, verifier: VerifyOptions | None = OWN_RULES) -> list[Problem]:
    """The problems of one file: see `read_problems`."""
    return read_problems(file_records(path), config, path, verifier=verifier).problems


def read_problems(
    records: Iterable[Record],
    config: RecordData,
    source: Path | str,
    *,
    verifier: VerifyOptions | None = OWN_RULES,
    needs_gold: bool = True,
) -> Reader:
    """What has read the problems of `source`. `verifier` and `needs_gold` as in `load_data`.

    Raises:
        DataError: if there are none, or a record lacks something or contradicts an earlier one (named by its place), as
            far as that is not to be left out.
    """
    reader = Reader(config, verifier, needs_gold=needs_gold)
    skipped: BadGoldError | None = None
    for where, record in records:
        try:
            reader.add(where, record)
        except BadGoldError as error:
            if config.on_bad_gold != "skip":
                raise
            reader.skipped += 1
            skipped = skipped or error
        except ConflictError:
            if config.on_conflict == "refuse":
                raise
    if not reader.problems and skipped is not None:
        raise DataError(f"all {reader.skipped} problems would be skipped, the first one since {skipped}")
    if not reader.problems:
        raise DataError(f"{source}: holds no problems")
    return reader


class ConflictError(DataError):
    """A problem comes again with another gold answer: `data.on_conflict` says what happens."""


class Reader:
    """Takes records one by one; keeps their problems, duplicates merged, and counts."""

    def __init__(self, config: RecordData, verifier: VerifyOptions | None, *, needs_gold: bool) -> None:
        self.config = config
        self.verifier = verifier
        self.needs_gold = needs_gold
        self.records = 0
        self.merged = 0
        """Records that repeat an earlier one."""
        self.skipped = 0
        """Records left out by `on_bad_gold`."""
        self.conflicts = 0
        """Records with another gold than an earlier one of the same problem."""
        self.fields = ""
        """What was recognised of the fields, in a line; empty where nothing had to be."""
        self._problems: dict[str, Problem] = {}
        self._places: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._dropped: set[str] = set()

    def __str__(self) -> str:
        """The counts in words."""
        parts = [f"{self.records:,} read"]
        parts += [f"{self.merged:,} merged as duplicates"] if self.merged else []
        parts += [f"{self.skipped:,} skipped for their golds"] if self.skipped else []
        parts += [f"{self.conflicts:,} contradict earlier ones"] if self.conflicts else []
        return ", ".join(parts)

    @property
    def problems(self) -> list[Problem]:
        """Those so far, in order."""
        return [problem for key, problem in self._problems.items() if key not in self._dropped]

    def add(self, where: str, record: dict[str, Any]) -> None:
        """Takes a record.

        Raises:
            BadGoldError: if its gold is of no use.
            ConflictError: if an earlier one has another gold.
            DataError: if it lacks something, or its id is taken.
        """
        if self.records == 0:
            self._fields = recognise(record, self.config)
            self.fields = describe(self._fields, self.config)
        self.records += 1
        problem = problem_of(
            record, where, self._fields, self.config, self.verifier, needs_gold=self.needs_gold
        )
        key = content_key(problem.messages)
        if self._ids.setdefault(problem.id, key) != key:
            raise DataError(
                f"{where}: id {problem.id!r} belongs to another problem already: make ids unique, or set "
                'data.id_key to another field (to "" for ids made of the problems)'
            )
        place = self._places.setdefault(key, where.rpartition(", ")[2])
        known = self._problems.setdefault(key, problem)
        if known is problem:
            return
        if _same_gold(known.gold, problem.gold, self.verifier):
            self.merged += 1
            return
        self.conflicts += 1
        if self.config.on_conflict == "skip":
            self._dropped.add(key)
        raise ConflictError(
            f"{where}: the same problem as {place} with another answer, {problem.gold[:40]!r} instead of "
            f'{known.gold[:40]!r}; keep the right one, or set data.on_conflict = "first" or "skip"'
        )


def _same_gold(gold: str, other: str, verifier: VerifyOptions | None) -> bool:
    if gold.strip() == other.strip():
        return True
    return verifier is not None and equivalent(gold, other, **verifier)


def content_key(messages: Iterable[Message]) -> str:
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
        own.add(identity)
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
            f"{problem.id}\x1f{content_hash(problem.messages, problem.gold)}\x1f{shown}{meta}\x1e".encode()
        )
    return digest.hexdigest()[:16]
