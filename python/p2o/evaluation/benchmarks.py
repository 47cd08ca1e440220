"""Benchmarks by name, on the Hugging Face hub, or from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from p2o.config import Config
from p2o.data import DatasetData, JsonlData, RecordData, fingerprint, read_problems
from p2o.errors import ConfigError, DataError
from p2o.problem_fields import optional_field
from p2o.records import Record, dataset_rows, file_records, hub_commit, load_split
from p2o.types import Problem


@dataclass(frozen=True, slots=True)
class HubBenchmark:
    """Where a benchmark is on the hub, and in which fields."""

    dataset: str
    revision: str | None
    """The commit that is loaded; None: the newest one."""
    split: str
    count: int
    """Problems of the benchmark at that commit."""
    problem_key: str = "problem"
    answer_key: str = "answer"
    answer_is: Literal["answer", "solution"] = "answer"
    id_key: str = "id"
    family_key: str | None = None
    subset: str | None = None


BENCHMARKS = {
    "aime24": HubBenchmark(
        "HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", "train", 30
    ),
    "aime25": HubBenchmark("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b", "test", 30),
    "amc23": HubBenchmark(
        "math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057", "test", 40, problem_key="question"
    ),
    "math500": HubBenchmark(
        "HuggingFaceH4/MATH-500",
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        "test",
        500,
        id_key="unique_id",
        family_key="subject",
    ),
    "minerva": HubBenchmark(
        "math-ai/minervamath", "ee46ddc498933b1977577953250ca5c66be64f96", "test", 272, problem_key="question"
    ),
    "olympiadbench": HubBenchmark(
        "math-ai/olympiadbench",
        "4faaf1e6ec17d11a4218a9bf4c049ecaf954dd84",
        "test",
        674,
        problem_key="question",
        answer_key="final_answer",
    ),
    "gsm8k": HubBenchmark(
        "openai/gsm8k",
        "740312add88f781978c0658806c59bc2815b9866",
        "test",
        1319,
        problem_key="question",
        answer_is="solution",
        subset="main",
    ),
}
"""By the names that `--on` takes. The commits are those that other public evaluation code pins."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The problems of a benchmark, and where they come from."""

    name: str
    problems: list[Problem]
    source: str
    """A file, a dataset of the hub, or what the recipe evaluates on."""
    revision: str | None = None
    """The hub's commit that was loaded."""

    def __str__(self) -> str:
        """Name, source and problems in a line."""
        revision = f" at {self.revision[:8]}" if self.revision is not None else ""
        return f"{self.name}: {self.source}{revision}, problems {self.fingerprint}"

    @property
    def fingerprint(self) -> str:
        """A hash of ids, prompts and golds."""
        return fingerprint(self.problems)


def load_benchmarks(
    names: Sequence[str], config: Config, say: Callable[[str], None] = lambda line: None
) -> list[Benchmark]:
    """The benchmarks that `--on` names, in their order. `say` takes lines about what was read.

    A name is one of `BENCHMARKS`, `NAME@REVISION`, a file of problems, or `NAME=FILE`. Prompts have the recipe's
    `data.system` and `data.suffix`; files are read by its settings `data`. Problems without an id are numbered.

    Raises:
        ConfigError: if there is no such benchmark, or a name comes twice.
        DataError: if the problems cannot be read.
    """
    found: list[Benchmark] = []
    for text in names:
        benchmark = load_benchmark(text, config, say)
        if any(benchmark.name == other.name for other in found):
            raise ConfigError(f"--on names {benchmark.name} twice: give one another name, --on NAME=FILE")
        found.append(benchmark)
    return found


def load_benchmark(text: str, config: Config, say: Callable[[str], None]) -> Benchmark:
    """One of them; see `load_benchmarks`."""
    known, _, revision = text.partition("@")
    if known in BENCHMARKS:
        return of_hub(known, BENCHMARKS[known], revision or BENCHMARKS[known].revision, config, say)
    if Path(text).is_file():
        return of_file(Path(text).stem, Path(text), config)
    name, _, file = text.partition("=")
    if name and file:
        return of_file(name, Path(file), config)
    near = get_close_matches(known, BENCHMARKS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the benchmarks are {', '.join(BENCHMARKS)}"
    raise ConfigError(f"--on {text}: no benchmark and no file of that name; {hint}")


def of_file(name: str, path: Path, config: Config) -> Benchmark:
    """The problems of a file, read by the recipe's settings `data`."""
    source = JsonlData(train=path, **_settings_of_files(config.data))
    return Benchmark(name, _problems(name, file_records(path), source, str(path), config), str(path))


def of_hub(
    name: str, hub: HubBenchmark, revision: str | None, config: Config, say: Callable[[str], None]
) -> Benchmark:
    """The problems of a benchmark on the hub. A gold that the verifier cannot read is kept, and never matched."""
    prompt = {key: getattr(config.data, key) for key in ("system", "suffix") if hasattr(config.data, key)}
    fields = ("problem_key", "answer_key", "answer_is", "id_key", "family_key")
    settings = DatasetData(
        train=hub.dataset, on_bad_gold="accept", **{key: getattr(hub, key) for key in fields}, **prompt
    )
    try:
        rows, split = load_split(hub.dataset, hub.subset, hub.split, usual_split=hub.split, revision=revision)
    except DataError as error:
        raise DataError(f"{error}; a copy of it is read with --on {name}=FILE") from None
    records = dataset_rows(rows, hub.dataset, split)
    problems = _problems(name, records, settings, hub.dataset, config)
    if len(problems) != hub.count:
        say(f"{name}: {len(problems):,} problems, not the {hub.count:,} of the usual revision")
    return Benchmark(name, problems, hub.dataset, hub_commit(rows))


def _settings_of_files(data: Any) -> dict[str, Any]:
    """What a recipe sets of how records are read, whatever its source."""
    if not isinstance(data, RecordData):
        return {}
    elsewhere = ("kind", "train", "evaluation", "train_size", "evaluation_size")
    known = RecordData.model_fields.keys() - elsewhere
    return {key: getattr(data, key) for key in known & data.model_fields_set}


def _problems(
    name: str, records: Iterable[Record], settings: RecordData, source: str, config: Config
) -> list[Problem]:
    """The problems, with ids that begin with the benchmark's name."""
    problems = read_problems(
        _numbered(records, settings.id_key),
        settings,
        source,
        verifier=config.reward.verifier_options(),
        needs_gold=config.reward.needs_gold,
    ).problems
    prefix = f"{name}/"
    return [replace(p, id=p.id if p.id.startswith(prefix) else prefix + p.id) for p in problems]


def _numbered(records: Iterable[Record], id_key: str) -> Iterable[Record]:
    """The records, with their number as id where they have none: a hash would change with the prompt."""
    for number, (where, record) in enumerate(records):
        known = optional_field(record, id_key)
        yield where, {**record, id_key: number if known is None else known}
