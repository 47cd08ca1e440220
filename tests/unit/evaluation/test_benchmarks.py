"""Benchmarks by name, of files and of the hub (whose answers are made up here: it is not asked)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.arrow_writer import ArrowWriter

from p2o.config import Config, load_config
from p2o.errors import ConfigError, DataError
from p2o.evaluation.benchmarks import BENCHMARKS, load_benchmarks

SUFFIX = " Answer in a box."


def config(*settings: str, **data: Any) -> Config:
    values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in data.items())
    return load_config(
        "smollm2", [f'data={{kind="jsonl", train="unread.jsonl"{", " if values else ""}{values}}}', *settings]
    )


def write(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


ROWS: dict[str, dict[str, Any]] = {
    "aime24": {"id": 60, "problem": "P", "solution": "long", "answer": "204", "url": "u", "year": "2024"},
    "aime25": {"problem": "P", "answer": "70", "id": "0"},
    "amc23": {"id": 0, "question": "P", "answer": "27.0", "url": "u"},
    "math500": {
        "problem": "P",
        "solution": "so $\\boxed{9}$",
        "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
        "subject": "Precalculus",
        "level": 2,
        "unique_id": "test/precalculus/807.json",
    },
    "minerva": {"question": "P", "answer": "4.5e33"},
    "olympiadbench": {"id": 1606, "question": "P", "solution": ["long"], "final_answer": ["$2$"]},
    "gsm8k": {"question": "P", "answer": "She sells 16 - 3 = 13.\n#### 18"},
}
GOLDS = {
    "aime24": ("aime24/60", "204"),
    "aime25": ("aime25/0", "70"),
    "amc23": ("amc23/0", "27.0"),
    "math500": ("math500/test/precalculus/807.json", "\\left( 3, \\frac{\\pi}{2} \\right)"),
    "minerva": ("minerva/0", "4.5e33"),
    "olympiadbench": ("olympiadbench/1606", "$2$"),
    "gsm8k": ("gsm8k/0", "18"),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_named_benchmark_is_read_in_its_fields(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, asked, lines = BENCHMARKS[name], [], list[str]()

    def load(dataset: str, subset: str | None, revision: str | None) -> Any:
        asked.append((dataset, subset, revision))
        # As in the cache of datasets: .../openai___gsm8k/main/0.0.0/<commit>/gsm8k-test.arrow
        file = tmp_path / "0.0.0" / str(revision) / "test.arrow"
        file.parent.mkdir(parents=True, exist_ok=True)
        with ArrowWriter(path=str(file)) as writer:
            writer.write(ROWS[name])
            writer.finalize()
        rows = datasets.Dataset.from_file(str(file))
        return datasets.DatasetDict({hub.split: rows, "another": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    (found,) = load_benchmarks([name], config(suffix=SUFFIX, system="Think."), lines.append)
    assert asked == [(hub.dataset, hub.subset, hub.revision)]
    (problem,) = found.problems
    assert (problem.id, problem.gold) == GOLDS[name]
    assert problem.messages == (
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "P" + SUFFIX},
    )
    assert problem.meta.get("family") == ("Precalculus" if name == "math500" else None)
    assert (found.name, found.source, found.revision) == (name, hub.dataset, hub.revision)
    assert lines == [f"{name}: 1 problems, not the {hub.count:,} of the usual revision"]
    other = "f" * 40
    (again,) = load_benchmarks([f"{name}@{other}"], config(suffix=SUFFIX, system="Think."))
    assert again.revision == other


def test_commits_are_whole_hashes() -> None:
    for hub in BENCHMARKS.values():
        assert hub.revision is None or (len(hub.revision) == 40 and int(hub.revision, 16))


def test_the_commit_is_unknown_where_datasets_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = datasets.DatasetDict({"test": datasets.Dataset.from_list([ROWS["minerva"]])})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: rows)
    (found,) = load_benchmarks(["minerva@main"], config())
    assert found.revision is None
    assert str(found) == f"minerva: math-ai/minervamath, problems {found.fingerprint}"


def test_a_hub_that_is_not_reached_leads_to_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=r"^math-ai/amc23: .*no route to host.*read with --on amc23=FILE$"):
        load_benchmarks(["amc23"], config())


def test_files_are_read_by_the_recipes_settings(tmp_path: Path) -> None:
    records = [{"q": "1+1=?", "a": "2", "topic": "sums"}, {"q": "2*3=?", "a": "6", "topic": "products"}]
    path = write(tmp_path / "mine.jsonl", *records)
    settings = config(problem_key="q", answer_key="a", family_key="topic", suffix=SUFFIX, train_size=1)
    first, second = load_benchmarks([path, f"amc23={path}"], settings)
    assert (first.name, second.name, second.source, second.revision) == ("mine", "amc23", path, None)
    assert [problem.id for problem in second.problems] == ["amc23/0", "amc23/1"]
    assert [problem.gold for problem in first.problems] == ["2", "6"]
    assert [problem.meta["family"] for problem in first.problems] == ["sums", "products"]
    assert first.problems[0].messages[-1]["content"] == "1+1=?" + SUFFIX


def test_ids_do_not_depend_on_the_prompt_and_are_not_prefixed_twice(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl", {"problem": "x", "answer": 1}, {"id": "mine/b", "problem": "y", "answer": 2}
    )
    ids = []
    for suffix in ("", SUFFIX):
        (found,) = load_benchmarks([path], config(suffix=suffix))
        ids.append([problem.id for problem in found.problems])
    assert ids == [["mine/0", "mine/b"]] * 2
    nested = write(tmp_path / "other.jsonl", {"info": {"id": "c"}, "problem": "x", "answer": 1})
    (found,) = load_benchmarks([nested], config(id_key="info.id"))
    assert found.problems[0].id == "other/c"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["aime42"], r"^--on aime42: no benchmark and no file of that name; did you mean aime2"),
        (["gone.jsonl"], r"no file of that name; the benchmarks are aime24, aime25"),
        (["a={0}", "a={0}"], r"^--on names a twice: give one another name, --on NAME=FILE$"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path: Path, names: list[str], message: str) -> None:
    path = write(tmp_path / "mine.jsonl", {"problem": "x", "answer": 1})
    with pytest.raises(ConfigError, match=message):
        load_benchmarks([name.format(path) for name in names], config())
