"""A run directory belongs to one process, and a resumed run's logs to one history."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas
import pytest

from p2o.api import begun, placed
from p2o.arguments import lines_of
from p2o.cli.eval import add_arguments, settings_of
from p2o.config import load_config
from p2o.data import load_data, read_problems
from p2o.errors import DataError, RunDirectoryError
from p2o.evolution import Candidate, Evolution
from p2o.evolution.budget import Ledger
from p2o.files import read_jsonl
from p2o.outcomes.outcomes import Outcomes
from p2o.state import LoopState
from p2o.templates import make_template
from p2o.track.metrics import followed_first
from p2o.track.run_directory import (
    LOCK,
    RunDirectory,
    config_values,
    require_free,
    require_resumable,
    rollout_records,
    template_records,
)
from p2o.track.run_paths import newest_run, resumed_config, run_path
from p2o.types import Group, Problem, Rollout

HOLD = """
import sys
from pathlib import Path
from p2o.config import load_config
from p2o.track.run_directory import RunDirectory

directory = RunDirectory.create(Path(sys.argv[1]), load_config("quickstart"), {})
print("held", flush=True)
sys.stdin.read()
"""


def state(step: int = 0) -> LoopState:
    """That of a checkpoint after so many lines of metrics and steps."""
    known = LoopState(Outcomes(), step=step)
    for number in range(1, step + 1):
        known.count_line({"step": number})
    return known


def evolution(*texts: str) -> Evolution:
    candidates = [
        Candidate(i, make_template(text), accepted=True, scores={"a": (1.0, 1)})
        for i, text in enumerate(texts)
    ]
    return Evolution("1", tuple(candidates), (), ("a",), ("b",), Ledger(1), "budget")


def test_a_directory_in_use_is_refused_until_its_process_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunDirectoryError, match="run: another process is at work in it"):
            RunDirectory.resume(path, load_config("quickstart"), {})
        with pytest.raises(RunDirectoryError, match="run: another process is at work in it"):
            require_free(path)  # "remove it" would be bad advice
        with pytest.raises(RunDirectoryError, match="run: another process is at work in it"):
            RunDirectory.resume(
                path, load_config("quickstart"), {}
            )  # to have asked takes the lock from no one
        other.kill()
        other.wait()
    RunDirectory.resume(path, load_config("quickstart"), {})
    RunDirectory.resume(path, load_config("quickstart"), {})  # by the process that has it
    with pytest.raises(RunDirectoryError, match="run exists already: continue it with --resume, remove it"):
        require_free(path)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    require_free(tmp_path / "no" / "such" / "folder")
    with pytest.raises(
        RunDirectoryError, match=r"run: the run directory cannot be made .*file is not a folder"
    ):
        require_free(tmp_path / "file" / "run")
    path = tmp_path / "run"
    RunDirectory.create(path, load_config("quickstart"), {})
    (path / LOCK).unlink()
    (path / LOCK).mkdir()
    with pytest.raises(
        RunDirectoryError, match=r"run cannot be written .*: make it writable, or resume a copy"
    ):
        RunDirectory.resume(path, load_config("quickstart"), {})
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(RunDirectoryError, match=r"new: the run directory cannot be made .* you can write to"):
        require_free(tmp_path / "new")


def test_the_folder_that_p2o_is_called_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty as it may be: it would be moved away, and with it relative paths would lead nowhere."""
    folder = tmp_path / "here" / "below"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    (tmp_path / "link").symlink_to(folder)
    for path in (Path(), Path(".."), folder, folder.parent, tmp_path / "link"):
        with pytest.raises(RunDirectoryError, match="the folder that p2o is called in"):
            RunDirectory.create(path, load_config("quickstart"), {})
    RunDirectory.create(Path("new"), load_config("quickstart"), {}).unlock()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_settings_of_memory_may_change_and_others_may_not(tmp_path: Path) -> None:
    path = tmp_path / "run"
    RunDirectory.create(path, load_config("quickstart"), {})
    RunDirectory.resume(
        path, load_config("quickstart", ["optimizer.micro_batch_tokens=512", "rollout.batch_size=8"]), {}
    )
    with pytest.raises(
        RunDirectoryError, match=r"the run began with optimizer\.learning_rate = 0\.0004, not 0\.1"
    ):
        RunDirectory.resume(path, load_config("quickstart", ["optimizer.learning_rate=0.1"]), {})


@pytest.mark.parametrize("content", [None, "{", "3"])
def test_a_run_without_its_facts_is_told(tmp_path: Path, content: str | None) -> None:
    config = load_config("quickstart")
    RunDirectory.create(tmp_path / "run", config, {"data": "a"})
    facts = tmp_path / "run" / "facts.json"
    facts.unlink() if content is None else facts.write_text(content)
    with pytest.raises(RunDirectoryError, match=r"facts\.json is missing or damaged: .* start a new one$"):
        RunDirectory.resume(tmp_path / "run", config, {"data": "a"})


def group_of(identity: str, rewards: list[float], template: str = "plain") -> Group:
    problem = Problem(identity, ({"role": "user", "content": f"what is {identity}?"},), "4")
    rollouts = [
        Rollout(identity, template, index, [1], [2, 3], [0.0, 0.0], "stop", f"text {index}", reward)
        for index, reward in enumerate(rewards)
    ]
    return Group(problem, rollouts)


@pytest.mark.parametrize(
    ("most", "expected"), [(0, []), (1, ["a"] * 2), (2, ["a"] * 2), (3, ["a", "a", "b", "b"])]
)
def test_rollouts_are_written_in_whole_groups(most: int, expected: list[str]) -> None:
    records = rollout_records(0, [group_of(name, [0.0, 1.0]) for name in "abc"], most)
    assert [record["problem"] for record in records] == expected
    for record in records[:1]:
        assert (record["question"], record["gold"], record["text"]) == ("what is a?", "4", "text 0")


def test_problems_that_began_hard_are_followed_through_the_steps() -> None:
    """First in every step and in one order, also when they are solved."""
    names = [f"problem {number}" for number in range(8)]
    hard = set(names[::2])
    outcomes = Outcomes()
    first = [group_of(name, [0.0, 0.0] if name in hard else [0.0, 1.0]) for name in names]
    for group in first:
        outcomes.observe(group, "0")
    order = [group.problem.id for group in followed_first(first, outcomes)]
    assert set(order[:4]) == hard
    later = [group_of(name, [1.0, 1.0]) for name in reversed(names[:6])]
    for group in later:
        outcomes.observe(group, "1")
    assert [group.problem.id for group in followed_first(later, outcomes)] == [
        name for name in order if name in names[:6]
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_fields_are_recognised_by_the_settings_that_a_run_wrote(tmp_path: Path, suffix: str) -> None:
    """As they were when the run began: a default in `config.toml` must not pass for a name that was given."""
    file = tmp_path / f"gsm8k{suffix}"
    record = {"question": "3 + 4?", "answer": "It is 7.\n#### 7"}
    if suffix == ".parquet":
        pandas.DataFrame([record]).to_parquet(file)
    else:
        file.write_text(json.dumps(record) + "\n")
    began = load_config("smollm2", [f"data.train={file}"])
    RunDirectory.create(tmp_path / "run", began, {})
    for config in (began, RunDirectory.config_of(tmp_path / "run")):
        (problem,) = read_problems(config.data.training_records(), config.data, "x", verifier=None).problems  # type: ignore[union-attr]
        assert (problem.messages[0]["content"].split("\n")[0], problem.gold) == ("3 + 4?", "7")


def test_a_resumed_run_goes_on_after_its_last_step(tmp_path: Path) -> None:
    """Two lines of metrics and two steps are in the checkpoint; what came after them comes again."""
    directory = RunDirectory(tmp_path)
    directory.rollouts.mkdir()
    for step in (1, 2, 3):
        directory.log({"step": step})
        directory.log_rollouts(step, [])
    directory.rewind(state(step=2))
    assert read_jsonl(directory.metrics) == [{"step": 1}, {"step": 2}]
    assert sorted(file.name for file in directory.rollouts.iterdir()) == [
        "step-000001.jsonl",
        "step-000002.jsonl",
    ]


@pytest.mark.parametrize(
    "found", ['{"step": 1}\n', '{"step": 1}\n{"step": 8}\n', '{"step": 1}\n{"step\n{"step": 2}\n', ""]
)
def test_damaged_metrics_are_told(tmp_path: Path, found: str) -> None:
    directory = RunDirectory(tmp_path)
    directory.metrics.write_text(found)
    with pytest.raises(
        RunDirectoryError, match=r"metrics\.jsonl is damaged: its first 2 lines are not those of"
    ):
        directory.rewind(state(step=2))
    assert directory.metrics.read_text() == found


def test_what_carries_over_is_written_once_and_taken_back_with_its_epoch(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.log_transfer(0, [])
    directory.rewind(state())
    assert not directory.transfer.exists(), "a run without templates has no such file"
    for epoch, template in ((0, "a"), (1, "killed"), (1, "b")):
        directory.log_transfer(epoch, [{"template": template}])
    assert read_jsonl(directory.transfer) == [{"epoch": 0, "template": "a"}, {"epoch": 1, "template": "b"}]
    directory.rewind(LoopState(Outcomes(), epoch=1))
    assert read_jsonl(directory.transfer) == [{"epoch": 0, "template": "a"}]


def test_templates_of_an_epoch_are_written_once(tmp_path: Path) -> None:
    """A run that was killed between a prompt step and its checkpoint writes them again."""

    directory = RunDirectory(tmp_path)
    for epoch, texts in ((1, ["of one"]), (2, ["cut", "short"]), (2, ["of two"])):
        directory.log_templates(epoch, template_records(epoch, epoch, evolution(*texts)))
    records = read_jsonl(directory.templates)
    assert [(record["epoch"], record["text"]) for record in records] == [(1, "of one"), (2, "of two")]


def test_damaged_templates_are_told(tmp_path: Path) -> None:
    """Also those that are whole lines: one is missing, say. What came after the checkpoint is written again."""
    directory, known = RunDirectory(tmp_path), state()
    directory.rollouts.mkdir()
    directory.rewind(known)
    for epoch, texts in ((1, ["a", "b"]), (2, ["c"])):
        records = template_records(epoch, epoch, evolution(*texts))
        directory.log_templates(epoch, records)
        if epoch == 1:
            known.count_templates(records)
    whole = directory.templates.read_bytes()
    lines = whole.splitlines(keepends=True)
    flipped = whole.replace(b'"text": "b"', b'"text": "`"')
    for damaged in (flipped, lines[0], b"", lines[1] + lines[0], lines[0] + lines[1][:9]):
        directory.templates.write_bytes(damaged)
        with pytest.raises(
            RunDirectoryError, match=r"templates\.jsonl is damaged: its first 2 lines are not"
        ):
            directory.rewind(known)
        assert directory.templates.read_bytes() == damaged
    directory.templates.write_bytes(whole.replace(b"c", b"d"))
    with pytest.raises(RunDirectoryError, match=r"templates\.jsonl is damaged"):
        directory.rewind(known)
    directory.templates.write_bytes(lines[0] + lines[1] + lines[2].replace(b"c", b"d"))
    directory.rewind(known)
    assert directory.templates.read_bytes() == lines[0] + lines[1]
    directory.templates.write_bytes(flipped)
    directory.rewind(
        LoopState.from_dict({**known.to_dict(), "templates_logged": None})
    )  # of an earlier version


def test_a_configuration_that_is_damaged_is_told(tmp_path: Path) -> None:
    config = load_config("quickstart")
    RunDirectory.create(tmp_path / "run", config, {})
    file = tmp_path / "run" / "config.toml"
    text = file.read_bytes()
    for damaged, reason in (
        (text.replace(b"\nseed", b"\nsee\xe4"), r"line \d+ is not UTF-8 text"),
        (text.replace(b"seed = 0", b"seed = "), r"not valid TOML \(Invalid value \(at line \d+"),
        (text.replace(b"seed = 0", b"seed = " + b"1" * 5000), "not valid TOML"),
        (text.replace(b"seed = 0", b"seed = " + b"[" * 5000), "nested too deeply"),
        (b"", "cannot be used: setting model is missing"),
    ):
        assert damaged != text
        file.write_bytes(damaged)
        with pytest.raises(RunDirectoryError, match=reason) as caught:
            RunDirectory.resume(tmp_path / "run", config, {})
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_of_runs_that_begin_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    config = load_config("quickstart")

    def create(number: int) -> str:
        try:
            RunDirectory.create(tmp_path / "run", config, {"number": number})
        except RunDirectoryError as error:
            return str(error)
        return f"{number}"

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(create, range(8)), key=len)
    assert len(found[0]) == 1
    assert all("exists already" in error for error in found[1:])
    assert RunDirectory.facts_of(tmp_path / "run")["number"] == int(found[0])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_settings_that_somebody_changed_are_refused(tmp_path: Path) -> None:
    """A resumed run takes them from the file: nothing else would show a damaged digit."""
    path, config = tmp_path / "run", load_config("quickstart")
    RunDirectory.create(path, config, {})
    text = (path / "config.toml").read_text()
    (path / "config.toml").write_text(text.replace("learning_rate = 0.0004", "learning_rate = 0.0005"))
    with pytest.raises(RunDirectoryError, match=r"config\.toml is not as the run wrote it"):
        RunDirectory.resume(path, RunDirectory.config_of(path), {})
    (path / "config.toml").write_text(text)
    longer = load_config("quickstart", ["run.epochs=9", "run.schedule_epochs=6"])
    RunDirectory.resume(path, longer, {})
    assert RunDirectory.resume(path, RunDirectory.config_of(path), {}).path == path, "the longer run's file"


@pytest.mark.parametrize("recipe", ["quickstart", "mine [v1]"])
def test_runs_of_a_recipe_are_numbered(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe has the name of its file, whatever characters that has."""
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        path = run_path(load_config("quickstart"), recipe)
        path.mkdir(parents=True)
        names.append(path.name.removeprefix(f"{recipe}-p2o-seed0"))
    assert names == ["", "-2", "-3"]


def test_the_run_of_a_recipe_that_was_at_work_last_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one that is goes by its last checkpoint, not by when it began."""
    monkeypatch.chdir(tmp_path)
    asked = load_config("quickstart", ["run.seed=0", "run.method=grpo"]).run
    with pytest.raises(RunDirectoryError, match=r"nothing to resume: there is no run of quickstart in runs/"):
        newest_run("quickstart", asked, ())
    work = {
        "p2o-seed0": 4,
        "p2o-seed0-2": 5,
        "p2o-seed1": 6,
        "grpo-seed0": 3,
        "grpo-seed0-2": 2,
        "grpo-seed12": 1,
    }
    for name, time in {
        **{f"quickstart-{name}": time for name, time in work.items()},
        "smollm2-p2o-seed0": 9,
    }.items():
        run = tmp_path / "runs" / name
        (run / "checkpoints" / "epoch-1").mkdir(parents=True)
        (run / "config.toml").touch()
        os.utime(run / "config.toml", (0, 0))
        os.utime(run / "checkpoints" / "epoch-1", (time, time))
    (tmp_path / "runs" / "quickstart-p2o-seed7").mkdir()

    def found(*named: str) -> str:
        return newest_run("quickstart", asked, named).name.removeprefix("quickstart-")

    assert found() == "p2o-seed1"
    assert found("run.seed") == "p2o-seed0-2"
    assert found("run.method") == found("run.method", "run.seed", "run.epochs") == "grpo-seed0"
    elsewhere = asked.model_copy(update={"output": Path("elsewhere")})
    assert newest_run("quickstart", elsewhere, ()) == Path("elsewhere")


def eval_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser


def test_a_run_that_was_moved_has_its_problems_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that `p2o.train` was given in memory."""
    monkeypatch.chdir(tmp_path)
    problems = [{"problem": f"{n}+1", "answer": str(n + 1)} for n in range(6)]
    held = {
        "problems": lines_of(problems[:4], "problems"),
        "evaluation": lines_of(problems[4:], "evaluation"),
    }
    config = placed(begun("smollm2", held, {}), Path("runs/before"), held, resume=False)
    RunDirectory.create(Path("runs/before"), config, {}).unlock()
    before = load_data(resumed_config(Path("runs/before")).data)
    Path("runs/before").rename("moved")
    resumed = resumed_config(Path("moved"))
    assert load_data(resumed.data) == before
    assert config_values(resumed) == config_values(config), "its settings stay as they were"
    require_resumable(Path("moved"), resumed)
    Path("moved/model").mkdir()  # that of its end
    evaluated, _ = settings_of(eval_arguments().parse_args(["moved"]))
    assert load_data(evaluated.data) == before
    Path("moved/problems.jsonl").unlink()
    with pytest.raises(DataError, match=r"^runs/before/problems.jsonl: no such file"):
        load_data(resumed_config(Path("moved")).data)


def test_a_longer_run_keeps_the_learning_rates_of_the_epochs_that_are_done(tmp_path: Path) -> None:
    began = load_config("quickstart", ["run.epochs=3"])
    RunDirectory.create(tmp_path / "run", began, {}).unlock()
    for overrides, expected in (
        ([], (3, None)),
        (["run.epochs=3"], (3, None)),
        (["run.epochs=5"], (5, 3)),
        (["run.epochs=5", "run.schedule_epochs=4"], (5, 4)),
    ):
        run = resumed_config(tmp_path / "run", overrides).run
        assert (run.epochs, run.schedule_epochs) == expected


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    config = load_config("quickstart")
    with pytest.raises(RunDirectoryError, match="file exists already"):
        RunDirectory.create(tmp_path / "file", config, {})
    RunDirectory.create(tmp_path / "empty", config, {}).unlock()
    with pytest.raises(RunDirectoryError, match="empty exists already"):
        RunDirectory.create(tmp_path / "empty", config, {})
