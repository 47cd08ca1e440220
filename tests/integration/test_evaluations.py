"""`p2o eval` with the tiny model: killed, resumed, of a run, compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w

from launch import launch
from p2o.cli.main import LOST_PROCESS, main
from p2o.config import load_config
from p2o.tiny import MODEL_PATH
from p2o.tiny.world import make_problems
from p2o.track.run_directory import config_values

WORKER = Path(__file__).with_name("eval_worker.py")

SETTINGS = [
    "evaluation.temperature=1.0",
    "evaluation.samples=8",
    "rollout.max_tokens=8",
    "rollout.batch_size=8",
]
FILES = ["completions.jsonl", "result.json", "result.md"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """Two benchmarks, and a run that has ended."""
    monkeypatch.chdir(tmp_path)
    for name, seed in (("first", 1), ("second", 2)):
        records = [{"problem": p.messages[-1]["content"], "answer": p.gold} for p in make_problems(6, seed)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    Path("run").mkdir()
    Path("run/config.toml").write_text(tomli_w.dumps(config_values(load_config("quickstart", SETTINGS))))
    Path("run/model").symlink_to(MODEL_PATH)


def evaluated(folder: str, *arguments: str) -> dict[str, bytes]:
    assert (
        main(["eval", "run", "--on", "first.jsonl", "--on", "n=second.jsonl", "--output", folder, *arguments])
        == 0
    )
    return {name: Path(folder, name).read_bytes() for name in FILES}


def test_two_processes_share_an_evaluation_out(tmp_path: Path) -> None:
    """They find what one process finds, and rank 0 writes it; if one ends, the other says so, and all can go on."""
    whole = evaluated("whole")
    command = ["eval", "run", "--on", "first.jsonl", "--on", "n=second.jsonl", "--output", "shared"]
    (lost, said_nothing, lines), _ = launch(2, WORKER, "evaluate_until_one_ends", str(tmp_path), command)
    assert (lost, said_nothing) == ("2", "")
    assert lines.endswith("\n" + LOST_PROCESS + "\n") or lines == LOST_PROCESS + "\n"  # behind how far it was
    assert lines.count("error") == 1
    drawn = Path("shared/completions.jsonl").read_bytes()
    assert len(whole["completions.jsonl"]) > len(drawn) > 0

    first, second = launch(2, WORKER, "evaluate", str(tmp_path), command)
    assert {name: Path("shared", name).read_bytes() for name in FILES} == whole
    assert (first[0], second) == ("0", ["0", "", ""])
    assert first[1].endswith("Written to shared.\n")


def test_an_evaluation_killed_within_a_batch_ends_in_the_same_bits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = evaluated("whole")
    Path("killed").mkdir()
    lines = whole["completions.jsonl"].splitlines(keepends=True)
    Path("killed/completions.jsonl").write_bytes(b"".join(lines[:41])[:-20])
    assert evaluated("killed") == whole
    capsys.readouterr()
    assert evaluated("killed", "--json") == whole, "a finished one is read, and written as it was"
    printed = json.loads(capsys.readouterr().out)
    saved = json.loads(whole["result.json"])
    assert {**printed, "by_problem": saved["by_problem"]} == saved
    assert saved["model"] == "run/model"
    assert [one["problems"] for one in saved["benchmarks"].values()] == [6, 6]
    rewards = [json.loads(line)["reward"] for line in lines[1:]]
    assert saved["accuracy"] == pytest.approx(sum(rewards) / 96)

    assert main(["eval", "run", "--on", "first.jsonl", "--output", "killed"]) == 2
    assert "the evaluation there has another list of benchmarks" in capsys.readouterr().err

    assert main(["eval", "compare", "whole", "killed"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("A: whole (avg@8)\n\nB: killed (avg@8)\n")
    # As far as a share of which none of six is seen could reach: 1 - 0.025^(1/6).
    assert "+0.000 [-0.459, +0.459] |      0 |      0 |" in page
