"""Problems from what the library `datasets` reads."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fsspec.compression import compr

from p2o.data import DatasetData, JsonlData, fingerprint, load_data
from p2o.errors import DataError, MissingDependencyError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Problems as verl keeps them: chat messages, and the answer in a field of a field."""
    return [
        {
            "prompt": [{"role": "user", "content": f"{i}+1=?"}],
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "level": i,
        }
        for i in range(first, first + count)
    ]


VERL = {"problem_key": "prompt", "answer_key": "reward_model.ground_truth"}


def write(path: Path, records: list[dict[str, Any]]) -> str:
    import datasets

    dataset = datasets.Dataset.from_list(records)
    match path.suffix.lower():
        case ".parquet":
            dataset.to_parquet(path)
        case ".csv":
            dataset.to_csv(path)
        case ".json":
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        case _:
            dataset.save_to_disk(path)
    return str(path)


@pytest.mark.parametrize("name", ["train.parquet", "train.json", "saved"])
def test_rows_are_problems_in_order(tmp_path: Path, name: str) -> None:
    config = DatasetData(train=write(tmp_path / name, rows(5)), evaluation_size=2, **VERL)
    train, evaluation = load_data(config)
    assert len(train) == 3
    assert len(evaluation) == 2
    problems = sorted([*train, *evaluation], key=lambda problem: problem.meta["level"])
    assert [problem.gold for problem in problems] == ["1", "2", "3", "4", "5"]
    assert problems[0].messages == ({"role": "user", "content": "0+1=?"},)
    assert problems[0].meta["reward_model"]["style"] == "rule"
    assert load_data(config) == (train, evaluation)


@pytest.mark.parametrize("name", ["train.parquet", "TRAIN.PARQUET"])
def test_a_parquet_file_needs_neither_a_kind_nor_names_of_fields(tmp_path: Path, name: str) -> None:
    source = Path(write(tmp_path / name, rows(5)))
    named = load_data(DatasetData(train=str(source), evaluation_size=2, **VERL))
    assert load_data(JsonlData(train=source, evaluation_size=2)) == named


def test_rows_are_read_as_the_lines_of_a_jsonl_file_are(tmp_path: Path) -> None:
    records = [*rows_of("2*3=?", "6"), *rows_of("1/2=?", "0.5"), *rows_of("2*3=?", "6.0")]
    lines = tmp_path / "d.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    source = write(tmp_path / "d.parquet", records)
    settings: dict[str, Any] = {"evaluation_size": 1, "suffix": "\nBox it.", "system": "Be exact."}
    assert load_data(DatasetData(train=source, **settings)) == load_data(JsonlData(train=lines, **settings))


def test_what_json_has_no_form_for_becomes_text(tmp_path: Path) -> None:
    records = [{**row, "made": datetime.date(2026, 3, 1 + i)} for i, row in enumerate(rows(2))]
    train, evaluation = load_data(
        DatasetData(train=write(tmp_path / "d.parquet", records), evaluation_size=1, **VERL)
    )
    assert {problem.meta["made"] for problem in (*train, *evaluation)} == {"2026-03-01", "2026-03-02"}
    assert len(fingerprint(train)) == 16


def test_numbers_in_a_table(tmp_path: Path) -> None:
    source = write(tmp_path / "d.csv", [*rows_of("7*8=?", 56), *rows_of("1/2=?", 0.5)])
    train, evaluation = load_data(DatasetData(train=source, evaluation_size=1))
    assert {problem.gold for problem in (*train, *evaluation)} == {"56.0", "0.5"}


def rows_of(problem: str, answer: Any) -> list[dict[str, Any]]:
    return [{"problem": problem, "answer": answer}]


def test_splits(tmp_path: Path) -> None:
    import datasets

    splits = {"train": rows(4), "test": rows(2, first=10), "extra": rows(1, first=20)}
    datasets.DatasetDict({name: datasets.Dataset.from_list(r) for name, r in splits.items()}).save_to_disk(
        tmp_path / "d"
    )
    source = str(tmp_path / "d")

    def levels(**settings: Any) -> tuple[list[int], list[int]]:
        train, evaluation = load_data(DatasetData(train=source, **VERL, **settings))
        return [p.meta["level"] for p in train], [p.meta["level"] for p in evaluation]

    assert levels(splits=["train", "test"]) == ([0, 1, 2, 3], [10, 11])
    assert levels(evaluation=source) == ([0, 1, 2, 3], [10, 11])
    assert levels(splits=["extra", "train"]) == ([20], [0, 1, 2, 3])
    assert levels(splits=["extra"], evaluation=source) == ([20], [10, 11])
    held_out = levels(splits=["train"], evaluation_size=1)
    assert sorted(held_out[0] + held_out[1]) == [0, 1, 2, 3], "one split leaves the evaluation to be held out"
    with pytest.raises(DataError, match=r"no split 'dev' \(found: train, test, extra\); set data.splits"):
        levels(splits=["train", "dev"])


SOLUTIONS = [
    ("He has 5+6=11.\nSo <<11*2=22>>22.\n#### 22", "22"),
    (r"Thus \boxed{1}, and then $x = \boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
]


@pytest.mark.parametrize(("solution", "gold"), SOLUTIONS)
def test_the_answer_in_a_solution(tmp_path: Path, solution: str, gold: str) -> None:
    source = write(tmp_path / "d.parquet", [*rows_of("?", solution), *rows_of("1+1=?", "#### 2")])
    train, evaluation = load_data(DatasetData(train=source, evaluation_size=1, answer_is="solution"))
    assert {problem.gold for problem in (*train, *evaluation)} == {gold, "2"}


def test_a_solution_without_a_marked_answer_is_refused_or_left_out(tmp_path: Path) -> None:
    source = write(
        tmp_path / "d.parquet", [*rows_of("a", "it is 3"), *rows_of("b", "#### 4"), *rows_of("c", "#### 5")]
    )
    settings: dict[str, Any] = {"train": source, "evaluation_size": 1, "answer_is": "solution"}
    with pytest.raises(
        DataError, match=r"row 0 of train: the solution has no box and no ####; fix it or set"
    ):
        load_data(DatasetData(**settings))
    train, evaluation = load_data(DatasetData(**settings, on_bad_gold="skip"))
    assert {problem.gold for problem in (*train, *evaluation)} == {"4", "5"}


def test_a_fault_names_the_row(tmp_path: Path) -> None:
    source = write(tmp_path / "d.parquet", [*rows_of("a", "1"), *rows_of("a", "2")])
    with pytest.raises(
        DataError, match=r"d.parquet, row 1 of train: the same problem as row 0 of train with another answer"
    ):
        load_data(DatasetData(train=source, evaluation_size=1))
    with pytest.raises(
        DataError, match=r"row 0 of train: no field 'reward_model.ground_truth' \(found: answer, problem\)"
    ):
        load_data(DatasetData(train=source, evaluation_size=1, answer_key="reward_model.ground_truth"))


def broken(path: Path) -> str:
    path.write_bytes(b"not parquet")
    return str(path)


@pytest.mark.parametrize("kind", ["broken file", "nobody/nothing", "missing/folder/"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, kind: str) -> None:
    source = broken(tmp_path / "b.parquet") if kind == "broken file" else kind
    with pytest.raises(
        DataError, match=r"cannot be read \(.*\); (a file is missing|check the name)"
    ) as refused:
        load_data(DatasetData(train=source, evaluation_size=1))
    assert str(refused.value).startswith(source)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.parquet", "no such file"),
        ("no-*.jsonl", "no such file"),
        ("all/*.zip", ".zip is not read; save it as JSON Lines, JSON, CSV or Parquet"),
        ("all/*", "this is not read; save it as JSON Lines, JSON, CSV or Parquet"),
    ],
)
def test_a_name_that_leads_to_nothing(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError) as refused:
        load_data(DatasetData(train=str(tmp_path / name), evaluation_size=1))
    assert str(refused.value) == f"{tmp_path / name}: {message}"


def test_several_zstd_files_need_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(compr, "zstd", raising=False)  # as without the package
    (tmp_path / "a.jsonl.zst").touch()
    with pytest.raises(MissingDependencyError, match="pip install zstandard"):
        load_data(DatasetData(train=str(tmp_path / "*.jsonl.zst"), evaluation_size=1))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"p2o-rl\[data\]\""):
        load_data(DatasetData(train="x.parquet", evaluation_size=1))
