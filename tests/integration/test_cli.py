"""The commands: a user's mistake is one line on stderr, exit code 2, and nothing on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2o.cli.main import main, main_train

TINY_RUN = [
    "--set=data.train_size=12",
    "--set=data.evaluation_size=6",
    "--set=run.batch_problems=6",
    "--set=run.epochs=2",
    "--set=mining.min_count=2",
    "--set=evolve.budget=20",
    "--set=evolve.dev_size=2",
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def jsonl(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return f'--set=data={{kind="jsonl", train="{path}", evaluation_size=1}}'


GOOD = [json.dumps({"problem": f"{i}+1=?", "answer": str(i + 1)}) for i in range(4)]

MISTAKES = {
    "a misspelt setting": (["--set=optimizer.learning_rat=1"], "did you mean optimizer.learning_rate?"),
    "a wrong type": (["--set=rollout.n=six"], "rollout.n"),
    "an unknown recipe": (["quickstrat"], "quickstart"),
    "a missing recipe file": (["missing.toml"], "no such file"),
    "a model that does not exist": (["--set=model.source=./nowhere"], "nowhere"),
    "a model folder without a model": (["--set=model.source=."], "not a model"),
    "nothing to resume": (["--resume"], "nothing to resume"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("check", [False, True])
def test_a_mistake_is_one_line(
    mistake: str, check: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments, message = MISTAKES[mistake]
    if check and "--resume" in arguments:
        return
    assert main_train([*arguments, *(["--check"] if check else [])]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "holds no problems"),
        ([*GOOD, "{oops"], "line 5: not valid JSON"),
        ([*GOOD, '{"problem": "x"}'], "line 5: no field 'answer'"),
        ([*GOOD, json.dumps({"problem": "x", "answer": "\\frac{1}{"})], "line 5: the gold answer"),
    ],
)
def test_bad_data_is_one_line(
    lines: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main_train([jsonl(tmp_path, *lines)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["problems.jsonl"]


def test_a_problem_that_is_too_long_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    long = json.dumps({"id": "long", "problem": "1+1=?" + "?" * 400, "answer": "2"})
    assert main_train([jsonl(tmp_path, *GOOD, long)]) == 2
    assert "problem 'long'" in capsys.readouterr().err


def test_check_trains_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main_train(["--check"]) == 0
    printed = capsys.readouterr().out
    assert "parameters" in printed
    assert "memory" in printed
    assert list(tmp_path.iterdir()) == []


def test_train_compare_evaluate_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main_train([*TINY_RUN, "--compare", "grpo"]) == 0
    printed = capsys.readouterr().out
    for wanted in ("Accuracy on unseen problems", "addition", "Epochs", "tokens generated", "grpo", "p2o"):
        assert wanted in printed
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert runs == ["quickstart-grpo-seed0", "quickstart-p2o-seed0"]
    run = tmp_path / "runs" / "quickstart-p2o-seed0"
    assert (run / "model" / "model.safetensors").exists()
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert main(["eval", "quickstart", "--model", str(run), "--json", *TINY_RUN]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert (
        evaluation["accuracy"] == [r for r in lines if "evaluation/accuracy" in r][-1]["evaluation/accuracy"]
    )
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").exists()


def test_runs_are_numbered_and_the_newest_resumes(tmp_path: Path) -> None:
    for _ in range(2):
        assert main_train([*TINY_RUN, "--set=run.method=grpo", "--set=run.epochs=1"]) == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["quickstart-grpo-seed0", "quickstart-grpo-seed0-2"]
    assert main_train([*TINY_RUN, "--set=run.method=grpo", "--set=run.epochs=1", "--resume"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names


def test_report_of_something_else(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "is it a run directory?" in capsys.readouterr().err


def test_without_torch_training_says_what_to_install(tmp_path: Path) -> None:
    """A wheel without its extras: `find_spec` finds neither torch nor transformers."""
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in ('torch', 'transformers') else real(name, *a)\n"
        "from p2o.cli.main import main_train; sys.exit(main_train([]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={**os.environ}
    )
    assert result.returncode == 2
    assert result.stderr == "error: training needs torch and transformers: pip install 'p2o-rl[train]'\n"


def test_doctor_says_what_works(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "training works here" in printed
    assert "torch 2" in printed
    from p2o.cli import doctor

    monkeypatch.setattr(doctor, "PARTS", (("no-such-package", "training", "p2o-rl[train]"),))
    assert main(["doctor"]) == 1
    assert (
        "no-such-package is missing, needed for training: pip install 'p2o-rl[train]'"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("command", ["train", "eval", "verify", "evolve", "report", "doctor"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: p2o {command}")
