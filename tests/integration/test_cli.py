"""The commands: a user's mistake is one line on stderr, exit code 2, and nothing on disk."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from unittest.mock import Mock

import pytest
from test_train import what_happened

from p2o.cli.main import COMMANDS, main, main_train
from p2o.cli.train import other_method
from p2o.config import load_config
from p2o.parts import planned_optimizer_steps
from p2o.tiny import MODEL_PATH

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
    "an unknown recipe": (["quickstrat"], "did you mean quickstart?"),
    "an argument that is none": (
        ["--recume"],
        "unrecognized arguments: --recume; p2o train --help explains them",
    ),
    "a wrong choice": (["--compare=ppo"], "invalid choice: 'ppo' (choose from 'grpo'); p2o train --help"),
    "a value where a list belongs": (["--set=track.to=wandb"], "track.to = 'wandb': Input should be a list"),
    "problems that are not there": (
        ['--set=data={kind="jsonl", train="no.jsonl"}'],
        "no.jsonl: no such file; data.train names it",
    ),
    "a missing recipe file": (["missing.toml"], "no such file"),
    "a model that does not exist": (["--set=model.source=./nowhere"], "nowhere"),
    "a model folder without a model": (["--set=model.source=."], "not a model"),
    "nothing to resume": (["--resume"], "nothing to resume"),
    "a reflection prompt that does not exist": (
        ["--set=reflection.prompt=./no.txt"],
        "prompt ./no.txt cannot",
    ),
    "an API key that is not set": (
        [
            "--set=reflection.kind=openai",
            "--set=reflection.endpoint.model=m",
            "--set=reflection.endpoint.api_key_env=P2O_NO_KEY",
        ],
        "environment variable P2O_NO_KEY is not set",
    ),
    "rollouts longer than the model reads": (
        ["--set=rollout.max_tokens=800"],
        "rollout.max_tokens = 800 are more than the 1024 positions of p2o-tiny: lower one of them",
    ),
    "reflection that leaves its prompt no room": (
        ["--set=reflection.max_tokens=1023"],
        "reflection.prompt = 'tiny' is ",
    ),
    "tensorboard that is not installed": (['--set=track.to=["tensorboard"]'], "pip install tensorboard"),
    "wandb that is not installed": (['--set=track.to=["wandb"]'], "pip install wandb"),
    "a reward function that does not exist": (["--set=reward.function=nowhere:f"], "cannot import 'nowhere'"),
    "a device that does not exist": (["--set=model.device=gpu"], "model.device = 'gpu' cannot be used: "),
    "more problems than the tiny world has": (["--set=data.train_size=30000"], "data.train_size and"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("check", [False, True])
def test_a_mistake_is_one_line(
    mistake: str,
    check: bool,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # a reward function adds the working directory
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    arguments, message = MISTAKES[mistake]
    if check and "--resume" in arguments:
        return
    assert main_train([*arguments, *(["--check"] if check else [])]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) == []


def test_check_fails_where_memory_is_lacking(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2o.memory.host_memory", lambda: 2**28)
    assert main_train(["--check"]) == 2
    printed = capsys.readouterr()
    assert "together" in printed.out
    assert "GiB of the host's memory, and 0.2 GiB are available: lower optimizer.micro" in printed.err
    assert main_train(["--check", "--ranks=1"]) == 0, "a launch elsewhere"


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


def test_an_output_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert main_train([*TINY_RUN, "--set=run.output=file/run"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: file/run: the run directory cannot be made (")
    assert printed.endswith("): set run.output\n")
    assert printed.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_comparing_a_method_with_itself_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main_train(["--set=run.method=grpo", "--compare", "grpo"]) == 2
    assert capsys.readouterr().err.startswith("error: --compare grpo compares nothing: run.method is grpo")
    assert list(tmp_path.iterdir()) == []


def test_the_compared_run_has_the_schedule_of_the_first() -> None:
    """384 problems in batches of 24 are 16 optimizer steps an epoch, 96 in 6."""
    config = load_config("quickstart")
    other = other_method(config, "grpo", 1000)
    assert other.run.epochs > 10 * config.run.epochs
    assert planned_optimizer_steps(config, 384) == planned_optimizer_steps(other, 384) == 96
    half = load_config("quickstart", ["run.schedule_epochs=3"])
    assert planned_optimizer_steps(other_method(half, "grpo", 1000), 384) == 48


def test_a_reward_function_beside_the_data_may_have_golds_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    (tmp_path / "reward_of_this_test.py").write_text("def f(problem, completion):\n    return 0.5\n")
    lines = [*GOOD, json.dumps({"problem": "x", "answer": "\\frac{1}{"})]
    arguments = [jsonl(tmp_path, *lines), "--check"]
    assert main_train(arguments) == 2
    assert "line 5: the gold answer" in capsys.readouterr().err
    assert main_train([*arguments, "--set=reward.function=reward_of_this_test:f"]) == 0


def test_a_model_that_takes_no_system_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree(MODEL_PATH, tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())
    settings["chat_template"] = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "{{ messages[-1].content }}"
    )
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "model" / "chat_template.jinja").unlink(missing_ok=True)
    data = jsonl(tmp_path, *GOOD)
    assert main_train([data, "--set=model.source=model", "--check"]) == 0
    capsys.readouterr()
    prompt = resources.files("p2o.evolution.propose").joinpath("prompts/tiny.txt").read_text()
    (tmp_path / "reflect.txt").write_text(prompt + "\n%% system\nYou write instructions.\n")
    for wrong, message in (
        ("--set=data.system=Be exact.", "(system, user), the last one '"),
        ("--set=reflection.prompt=./reflect.txt", "reflection.prompt = './reflect.txt': "),
    ):
        assert main_train([data, "--set=model.source=model", wrong]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert message in printed
        assert "no system role" in printed
        assert not (tmp_path / "runs").exists()


def test_families_are_printed_literally(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [json.dumps({"problem": f"{i}+1=?", "answer": i + 1, "kind": "\x1b[31m[red]"}) for i in range(3)]
    data = jsonl(tmp_path, *lines).replace("evaluation_size=1", 'evaluation_size=1, family_key="kind"')
    assert main(["eval", "quickstart", data]) == 0
    assert "| \ufffd\\[31m\\[red] " in capsys.readouterr().out


def test_check_trains_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main_train(["--check"]) == 0
    printed = capsys.readouterr().out
    assert "parameters" in printed
    assert "memory" in printed
    assert "384 problems to train on" not in printed, "the tiny world is made, not read"
    assert re.search(r"as the model reads it, gold '\d+':\n.*\d+[+*-]\d+=\?", printed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("model.dtype=float16", 'model.dtype = "float16"'),
        ("optimizer.lora={rank=4, target_modules=['nowhere']}", "optimizer.lora.target_modules"),
    ],
)
def test_check_refuses_what_cannot_be_trained(
    setting: str, named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main_train(["--check", f"--set={setting}"]) == 2
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_estimates_a_launch_without_loading_the_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The folder has no weights that could be loaded."""
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(MODEL_PATH / "config.json", folder)
    (folder / "model.safetensors").write_bytes(b"")
    arguments = ["--set=model.source=model", "--check"]
    assert main_train([*arguments, "--ranks", "8"]) == 0
    printed = capsys.readouterr().out
    assert "parameters: 342,240\n" in printed
    assert "memory of each of 8 processes (deepspeed, ZeRO-2)" in printed
    assert main_train(arguments) == 2
    assert "cannot load the model" in capsys.readouterr().err
    assert main_train(["--ranks", "8"]) == 2
    assert "--ranks goes with --check" in capsys.readouterr().err


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
    assert main(["push", str(run), "me/tiny", "--dry-run"]) == 0
    low, high = evaluation["interval"]
    assert f" | {evaluation['accuracy']:.3f} [{low:.3f}, {high:.3f}] |\n" in capsys.readouterr().out
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


def test_a_run_is_resumed_by_its_own_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs the one that was at work last, whatever its seed; a run that is named; and none that is not there."""
    full = OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")
    ends: tuple[tuple[int, BaseException, int, str], ...] = (
        (9, KeyboardInterrupt(), 130, "interrupted\n"),
        (0, full, 2, "error: metrics.jsonl: No space left on device\n"),
    )
    for seed, end, code, told in ends:
        begun = [*TINY_RUN, "--set=run.method=grpo", "--set=run.epochs=1", f"--set=run.seed={seed}"]
        with monkeypatch.context() as patch:
            patch.setattr("p2o.loop.update", Mock(side_effect=end))
            assert main_train(begun) == code
        said = capsys.readouterr()
        assert f"to go on: p2o-train --resume runs/quickstart-grpo-seed{seed}\n" in said.out
        assert said.err == told
    os.utime("runs/quickstart-grpo-seed9/config.toml", (2**31, 2**31))
    assert main_train(["quickstart", "--resume"]) == 0
    assert "resuming runs/quickstart-grpo-seed9 at step 0\n" in capsys.readouterr().out
    assert not Path("runs/quickstart-grpo-seed0/model").exists()
    assert main_train(["--resume", "runs/quickstart-grpo-seed0", "--set=rollout.batch_size=7"]) == 0
    assert "resuming runs/quickstart-grpo-seed0 at step 0\n" in capsys.readouterr().out
    for arguments, message in (
        (["quickstart", "--resume", "--set=run.seed=3"], "there is no run of quickstart in runs/"),
        (["--resume", "runs"], "runs: no run to resume there"),
        (["quickstart", "--resume", "runs/quickstart-grpo-seed0"], "leave out the recipe quickstart"),
        (["--resume", "runs/quickstart-grpo-seed0", "--set=run.seed=3"], "the run began with run.seed = 0"),
    ):
        assert main_train(arguments) == 2
        assert message in capsys.readouterr().err


def test_a_run_that_has_ended_goes_on_for_more_epochs(tmp_path: Path) -> None:
    """As the run that had them from the start, with the learning rates of the shorter one beyond its end."""
    settings = ["--set=evolve.budget=60", "--set=optimizer.schedule=linear", "--set=track.rollouts=1000"]
    for name, epochs in (("long", ["run.epochs=3", "run.schedule_epochs=2"]), ("short", ["run.epochs=2"])):
        chosen = [f"--set={each}" for each in (f"run.output={name}", *epochs)]
        assert main_train([*TINY_RUN, *settings, *chosen]) == 0
    assert main_train(["--resume", "short", "--set=run.epochs=3"]) == 0
    assert what_happened(Path("short")) == what_happened(Path("long"))
    kept = load_config("short/config.toml").run
    assert (kept.epochs, kept.schedule_epochs) == (3, 2)


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
    assert result.stderr == "error: torch and transformers are not installed: pip install 'p2o-rl[train]'\n"


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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    usage, summary, *parts = capsys.readouterr().out.rstrip().split("\n\n")
    assert usage.startswith(f"usage: p2o {command}")
    assert re.fullmatch(r"[A-Z][^.]+\.", summary)
    assert all(len(line) <= 80 for part in parts for line in part.splitlines())
    assert not re.search(r"^  (--?\S+|[a-z]+)( [A-Z]+)?$(?!\n {10})", "\n\n".join(parts), re.M), (
        "help for each"
    )
