"""`p2o evolve` on a recipe: the tiny model is the policy and writes the templates."""

import json
from pathlib import Path

import pytest

from p2o.cli.main import main
from p2o.evolution import Evolution

SMALL = [
    "--set=data.train_size=24",
    "--set=data.evaluation_size=6",
    "--set=mining.min_count=2",
    "--set=evolve.budget=150",
    "--set=evolve.dev_size=8",
    "--set=evolve.acceptance=posterior",
]


def test_the_tiny_model_plays_both_roles_and_a_second_call_reads_the_journal(tmp_path: Path, capsys):
    command = ["evolve", "quickstart", *SMALL, "--output", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    evolution = Evolution.from_dict(json.loads((tmp_path / "out" / "evolution.json").read_text()))
    assert first["evolve/proposals"] > 0
    assert first["evolve/reflection_calls"] > 0
    assert 8 < evolution.ledger.rollouts <= 150
    assert len(evolution.dev_ids) <= 8
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main([*command, "--output", str(tmp_path / "short"), "--max-rounds", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["evolve/rounds"] == 1 < first["evolve/rounds"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["quickstart", "--policy-model", "m"], "--policy-model goes with a .jsonl file"),
        (["quickstart", "--set=run.method=grpo"], "has no prompt step"),
        (["quickstart", "--set=mining.min_count=999", *SMALL[:2]], "under mining.min_count"),
        (["problems.jsonl", "--set=a=b"], "--set goes with a recipe"),
        (["nothing"], "no recipe 'nothing'"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments, part, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evolve", *arguments]) == 2
    shown = capsys.readouterr().err
    assert part in shown.splitlines()[-1]
