"""The tasks and the map of the real-model study."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REAL = Path(__file__).parents[2] / "benches/real"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"real_{name}", REAL / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tasks, map_ = load("tasks"), load("map")


def test_problems_are_short_readable_and_asked_once() -> None:
    rows = [
        {"id": "a", "problem": "2 + 2 = ?", "answer": "4"},
        {"id": "again", "problem": "2 +  2 = ?", "answer": "5"},
        {"id": "long", "problem": "x" * 701, "answer": "4"},
        {"id": "unreadable", "problem": "List them.", "answer": "['1', '2'"},
        {"id": "b", "problem": "3 + 3 = ?", "answer": "6"},
        {"id": "c", "problem": "4 + 4 = ?", "answer": "8"},
    ]
    assert [row["id"] for row in tasks.usable(iter(rows), 2)] == ["a", "b"]


def test_generated_problems_are_the_same_each_time() -> None:
    first, second = (tasks.usable(tasks.generated("chain_sum", 5), 5) for _ in range(2))
    assert first == second
    assert len(first) == 5


def cell(name: str, **values: Any) -> dict[str, Any]:
    found = {
        "cell": name, "model": "m", "problems": 40, "samples": 6, "plain_rate": 0.01, "plain_rate_heldout": 0.02,
        "never": 0.9, "best_rate_heldout": 0.05, "best_interval_heldout": [0.01, 0.09], "best_template": "Think\nhard.",
        "meets_rule": False,
    }  # fmt: skip
    return found | values


def test_a_line_torn_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "map.jsonl"
    whole = json.dumps(cell("a")) + "\n"
    file.write_text(whole + '{"cell": "b", "mod')
    assert [found["cell"] for found in map_.known(tmp_path)] == ["a"]
    assert file.read_text() == whole


def test_cells_are_tasks_and_suffixes(tmp_path: Path) -> None:
    for name in ("mawps", "gcd"):
        (tmp_path / f"{name}.jsonl").touch()
    assert [name for name, _, _ in map_.cells(tmp_path, None)] == ["gcd", "mawps", "mawps-boxed"]
    assert [suffix != "" for _, _, suffix in map_.cells(tmp_path, ["mawps", "mawps-boxed"])] == [False, True]
    assert all(map_.task_of(name) == (path.stem, suffix) for name, path, suffix in map_.cells(tmp_path, None))


def test_the_table_begins_with_what_meets_the_rule(tmp_path: Path) -> None:
    cells = [
        cell("low"),
        cell("met", meets_rule=True, best_rate_heldout=0.12),
        cell("high", best_rate_heldout=0.3),
    ]
    (tmp_path / "map.jsonl").write_text("".join(json.dumps(found) + "\n" for found in cells))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{map_.MARK[0]}\nold\n{map_.MARK[1]}\nafter\n")
    map_.write_table(tmp_path, page)
    text = page.read_text()
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert rows == ["| task", "| ---", "| met", "| high", "| low"]
    assert "| met | 1.0% | 90% | 12.0% [1%, 9%] | 2.0% | met | Think hard. |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_the_committed_map_is_the_page_s() -> None:
    """The page's table is made of the committed cells."""
    page = (REAL.parents[1] / "docs/real-map.md").read_text(encoding="utf-8")
    assert map_.table(REAL) in page


@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
def test_a_cell_is_a_recipe_that_loads(model: str, tmp_path: Path) -> None:
    import argparse

    from p2o.config import load_config

    args = argparse.Namespace(
        model=model, dtype="bfloat16", device="auto", problems=40, max_tokens=64, batch_size=4096
    )
    config = load_config("smollm2", map_.settings(tmp_path / "gcd.jsonl", map_.SUFFIXES["boxed"], args))
    assert config.data.suffix.endswith("\\boxed{}.")
    assert (config.reward.function == "verify") == (model == "smollm2")
