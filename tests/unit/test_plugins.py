"""Parts from outside the package, named by import path: a data source, and what is said where a path is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from p2o.assembly import check_surroundings
from p2o.config import load_config
from p2o.data import RecordData, load_data
from p2o.errors import ConfigError
from p2o.plugins import load, look_up
from p2o.records import Record
from p2o.track.run_directory import config_values
from p2o.track.tracker import Tracker, check_trackers


class Sums(RecordData):
    """A data source with a setting of its own."""

    train: Any = "sums"
    largest: int

    def training_records(self) -> Iterable[Record]:
        for number in range(self.largest):
            yield f"sum {number}", {"problem": f"{number} + 1", "answer": number + 1}

    def evaluation_records(self) -> None:
        return None


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("my_parts")
    module.Sums = Sums  # type: ignore[attr-defined]
    module.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_parts", module)
    return module


def source(*overrides: str) -> Any:
    kept = ["run.output=x", "model.source=x"]
    return load_config("smollm2", [*kept, "data.kind=my_parts:Sums", *overrides])


def test_a_data_source_of_your_own(parts: ModuleType, recwarn: pytest.WarningsRecorder) -> None:
    config = source("data.largest=7", "data.evaluation_size=2", "data.train_size=4")
    train, evaluation = load_data(config.data)
    assert (len(train), len(evaluation)) == (4, 2)
    assert all(int(problem.gold) == int(problem.messages[0]["content"][0]) + 1 for problem in train)
    assert config_values(config)["data"]["largest"] == 7
    assert not recwarn.list


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.evaluation_size=2"], "setting data.largest is missing"),
        (["data.largest=7", "data.smallest=1"], "unknown setting data.smallest"),
        (
            ["data.largest=7", "data.kind=my_parts:Nothing"],
            "data: kind = 'my_parts:Nothing': 'my_parts' has no",
        ),
        (
            ["data.largest=7", "data.kind=nowhere:Sums"],
            "data: kind = 'nowhere:Sums': cannot import 'nowhere'",
        ),
    ],
)
def test_one_line_where_it_is_wrong(parts: ModuleType, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        source(*overrides)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_look_up(parts: ModuleType) -> None:
    assert look_up({"three": 3}, "three", "section.name") == 3
    assert look_up({"three": 3}, "my_parts:Sums", "section.name") is Sums
    with pytest.raises(ConfigError, match=r"^section.name = 'my_parts:number' is not a function or a class"):
        load("my_parts:number", "section.name")
    with pytest.raises(ConfigError, match=r"^section.name = 'four' is not an import path"):
        look_up({"three": 3}, "four", "section.name")


def test_a_class_that_lacks_methods_is_refused_by_name(parts: ModuleType) -> None:
    """Before anything is loaded: it would fail when the first object of it is made."""

    class Half(RecordData):
        def training_records(self) -> Iterable[Record]:
            return []

    class Mute(Tracker):
        def close(self) -> None: ...

    parts.Half, parts.Mute = Half, Mute  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"kind = 'my_parts:Half' is a class without evaluation_records: "):
        source("data.kind=my_parts:Half")
    config = load_config("quickstart", {"track.to": ["my_parts:Mute"]})
    with pytest.raises(ConfigError, match=r"^track.to = 'my_parts:Mute' is a class without metrics, open: "):
        check_trackers(config)


def test_a_context_mode_that_leads_nowhere_is_refused_before_a_run_starts() -> None:
    """Without the check it would be met at the first row under a template, an epoch later."""
    with pytest.raises(ConfigError, match=r"^context.mode = 'nowhere:weight': cannot import 'nowhere'"):
        check_surroundings(load_config("quickstart", ["context.mode=nowhere:weight"]))


def test_a_module_that_calls_exit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaving.py").write_text("exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot import 'leaving' \(SystemExit: 0\)"):
        load("leaving:score", "reward.function")
