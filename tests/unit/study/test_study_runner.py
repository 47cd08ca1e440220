"""A study is worked off whatever happens to it: kills, failures, lost parents, time limits."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from p2o.errors import RunDirectoryError
from p2o.study import runner as runner_module
from p2o.study.console import Display
from p2o.study.estimate import describe
from p2o.study.plan import Study
from p2o.study.results import Results
from p2o.study.runner import Runner, Running

STUB = str(Path(__file__).parent / "study_stub.py")

STUDY: dict[str, Any] = {
    "title": "t",
    "tokens": 1000,
    "seeds": [0, 1],
    "arms": {"a": {"label": "A"}, "b": {"label": "B", "set": {"rollout": {"n": 4}}}},
}
SELECTION = {"learning_rates": [1e-4, 2e-4, 4e-4], "seeds": [9]}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "POLL_SECONDS", 0.01)


class StopsWhen(Display):
    def __init__(self, runner: Runner, until: Callable[[], bool]) -> None:
        super().__init__(1000, Console(file=StringIO()))
        self.runner, self.until = runner, until

    def show(self, states: Sequence[Running]) -> None:
        if self.until():
            self.runner.deadline = 0.0


class Bench:
    """A study in a folder of its own, and what its runs were told and did."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.study = Study.model_validate({**STUDY, **changes})
        self.folder = folder
        self.runs = folder / "runs"
        self.runs.mkdir(parents=True, exist_ok=True)
        self.shown = StringIO()

    def behave(self, **behaviour: str) -> None:
        named = {key.replace("__", "/").replace("_", "-"): value for key, value in behaviour.items()}
        (self.runs / "behaviour.json").write_text(
            json.dumps({f"p2o-tiny/{key}": v for key, v in named.items()})
        )

    def runner(self, **options: Any) -> Runner:
        display = Display(self.study.tokens, Console(file=self.shown, width=200))
        options = {"jobs": 2, "worker": (sys.executable, STUB), **options}
        return Runner(self.study, Results(self.folder), self.runs, display, **options)

    def work(self, *, until: Callable[[], bool] | None = None, **options: Any) -> Runner:
        """One call; the time limit comes when `until` holds while runs are at work."""
        runner = self.runner(**options)
        if until is not None:
            runner.display = StopsWhen(runner, until)
        self.finished = runner.work()
        return runner

    def starts(self) -> list[str]:
        log = self.runs / "starts.log"
        return log.read_text().splitlines() if log.exists() else []

    def done(self) -> set[str]:
        records = Results(self.folder).records.values()
        return {record["id"].removeprefix("p2o-tiny/") for record in records if record["status"] == "done"}


FINAL = {"a/final-seed0", "a/final-seed1", "b/final-seed0", "b/final-seed1"}


def test_every_run_is_made_once_and_a_second_call_makes_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.work().left() == []
    assert bench.done() == FINAL
    assert len(bench.starts()) == 4
    bench.work()
    assert len(bench.starts()) == 4
    assert "(4 of 4)" in bench.shown.getvalue()
    assert not list(bench.runs.glob("*.job.json"))
    assert not list(bench.runs.glob("*.result.json"))


def test_a_process_that_ends_without_a_result_has_failed(tmp_path: Path) -> None:
    """What runs code of others may be ended by it; it is not started again and again."""
    bench = Bench(tmp_path)
    bench.behave(a__final_seed0="exit")
    runner = bench.work()
    assert bench.done() == FINAL - {"a/final-seed0"}
    assert len(bench.starts()) == 4
    assert list(runner.failed.values()) == ["it ended without a result"]
    world = Bench(tmp_path / "worlds", worlds={"w": {"leak": 0.1}})
    with pytest.raises(RunDirectoryError, match=r"world w could not be made: its process ended without it$"):
        world.work(worker=(sys.executable, "-c", "pass"))


def test_a_process_that_is_killed_without_a_word_does_not_have_the_last_words_of_another(
    tmp_path: Path,
) -> None:
    """As the system does where memory is short. The log of a run keeps what its earlier attempts said."""
    bench = Bench(tmp_path, seeds=[0], arms={"a": {"label": "A"}})
    bench.behave(a__final_seed0="fail")
    assert list(bench.work().failed.values()) == ["something went wrong"]
    killed = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert list(bench.work(worker=killed).failed.values()) == ["exit code -9"]
    (log,) = bench.runs.glob("p2o-tiny--a--*.log")
    assert "something went wrong" in log.read_text()


def test_seeds_come_in_turn_so_that_a_study_cut_short_compares_arms(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.work(jobs=1)
    order = [start.removeprefix("p2o-tiny/") for start in bench.starts()]
    assert order == ["a/final-seed0", "b/final-seed0", "a/final-seed1", "b/final-seed1"]


def test_the_best_rate_is_chosen_before_the_final_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, selection=SELECTION)
    bench.work()
    starts = bench.starts()
    assert len(starts) == 2 * 3 + 4
    records = Results(bench.folder).records
    finals = [record for record in records.values() if record["phase"] == "final"]
    assert {record["learning_rate"] for record in finals} == {4e-4}, "the stub is better at larger rates"
    first_final = {arm: next(i for i, s in enumerate(starts) if f"{arm}/final" in s) for arm in "ab"}
    for arm, index in first_final.items():
        assert sum(f"{arm}/selection" in start for start in starts[:index]) == 3


def test_an_arm_that_selects_nothing_takes_the_recipes_rate(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, selection=SELECTION, arms={"a": {"label": "A", "select": False}, "b": {"label": "B"}}
    )
    bench.work()
    assert not any("a/selection" in start for start in bench.starts())
    assert Results(bench.folder).records["p2o-tiny/a/final-seed0"]["learning_rate"] == 4e-4


def test_a_failed_run_is_recorded_and_tried_again_by_the_next_call(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.behave(a__final_seed0="fail")
    runner = bench.work()
    assert bench.finished
    assert bench.done() == FINAL - {"a/final-seed0"}
    assert list(runner.failed.values()) == ["something went wrong"]
    record = Results(bench.folder).records["p2o-tiny/a/final-seed0"]
    assert (record["status"], record["error"]) == ("failed", "something went wrong")
    assert "FAILED: something went wrong (see " in bench.shown.getvalue()
    bench.behave()
    bench.work()
    assert bench.done() == FINAL
    assert Counter(bench.starts())["p2o-tiny/a/final-seed0"] == 2
    assert max(count for start, count in Counter(bench.starts()).items() if "a/final-seed0" not in start) == 1


def test_a_rate_that_fails_is_not_chosen(tmp_path: Path) -> None:
    bench = Bench(tmp_path, selection=SELECTION)
    bench.behave(**{"a__selection_lr0.0004_seed9": "fail"})
    bench.work()
    assert Results(bench.folder).records["p2o-tiny/a/final-seed0"]["learning_rate"] == 2e-4
    assert Results(bench.folder).records["p2o-tiny/b/final-seed0"]["learning_rate"] == 4e-4


def test_an_arm_whose_every_rate_fails_is_left_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, selection=SELECTION)
    bench.behave(**{f"a__selection_lr{rate}_seed9": "fail" for rate in ("0.0001", "0.0002", "0.0004")})
    runner = bench.work()
    assert bench.finished
    assert [job.id for job in runner.left()] == ["p2o-tiny/a/final-seed0", "p2o-tiny/a/final-seed1"]
    assert {"b/final-seed0", "b/final-seed1"} <= bench.done()


def test_the_time_limit_stops_runs_in_order_and_the_next_call_goes_on(tmp_path: Path) -> None:
    """`a` was interrupted, `b` ended well while it was being stopped: its result counts."""
    bench = Bench(tmp_path)
    bench.behave(a__final_seed0="hang", b__final_seed0="late")
    bench.work(until=lambda: len(bench.starts()) == 2)
    assert not bench.finished
    assert (bench.runs / "a.stopped").exists()
    assert bench.done() == {"b/final-seed0"}
    assert len(bench.starts()) == 2
    bench.behave()
    bench.work()
    assert bench.done() == FINAL
    assert Counter(bench.starts())["p2o-tiny/b/final-seed0"] == 1


def test_a_run_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "GRACE_SECONDS", 0.1)
    bench = Bench(tmp_path)
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    runner = bench.work(worker=command, until=lambda: True)
    assert not bench.finished
    assert runner.running == {}
    assert bench.done() == set()


def test_a_time_limit_that_has_passed_starts_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, worlds={"w": {"leak": 0.1}})
    bench.work(time_limit=0.0)
    assert not bench.finished
    assert bench.starts() == []


def test_only_some_arms(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.work(only=["b"])
    assert bench.done() == {"b/final-seed0", "b/final-seed1"}


def test_only_an_arm_whose_rate_another_one_chooses(tmp_path: Path) -> None:
    """Arm b takes the rate of a: the three runs that choose it are made, no final one of a."""
    arms = {"a": {"label": "A"}, "b": {"label": "B", "rate_of": "a"}}
    bench = Bench(tmp_path, arms=arms, selection=SELECTION)
    shown = describe(bench.study, Results(tmp_path), jobs=1, only=("b",))
    assert "0 runs done, 5 to go" in shown
    assert [line.split(",")[:2] for line in shown.splitlines()[1:3]] == [
        ["  a    3 to choose the learning rate", "   0 final"],
        ["  b    0 to choose the learning rate", "   2 final"],
    ]
    assert bench.work(only=["b"]).left() == []
    choice = {f"a/selection-lr{rate}-seed9" for rate in ("0.0001", "0.0002", "0.0004")}
    assert bench.done() == {*choice, "b/final-seed0", "b/final-seed1"}


def test_a_changed_arm_is_run_again_and_the_others_are_not(tmp_path: Path) -> None:
    Bench(tmp_path).work()
    arms = {"a": STUDY["arms"]["a"], "b": {"label": "B", "set": {"rollout": {"n": 5}}}}
    changed = Bench(tmp_path, arms=arms)
    changed.work()
    counts = Counter(changed.starts())
    assert {start: count for start, count in counts.items() if "/b/" in start} == {
        "p2o-tiny/b/final-seed0": 2,
        "p2o-tiny/b/final-seed1": 2,
    }
    assert all(count == 1 for start, count in counts.items() if "/a/" in start)


def test_results_alone_are_enough_to_go_on(tmp_path: Path) -> None:
    """The results of another machine, without its run directories."""
    Bench(tmp_path / "there").work(only=["a"])
    here = Bench(tmp_path / "here")
    (tmp_path / "here" / "results.jsonl").write_text((tmp_path / "there" / "results.jsonl").read_text())
    here.work()
    assert here.done() == FINAL
    assert all("/b/" in start for start in here.starts())


def test_worlds_are_made_once_and_first(tmp_path: Path) -> None:
    worlds = {"w1": {"leak": 0.1}, "w2": {"leak": 0.2}}
    bench = Bench(tmp_path, worlds=worlds)
    bench.work(jobs=4)
    starts = bench.starts()
    assert sorted(starts[:2]) == ["world w1 2", "world w2 2"], "four cores for two worlds"
    assert len(starts) == 2 + 3 * 4
    records = Results(bench.folder).records
    assert records["w1/a/final-seed0"]["source"] == str((bench.runs / "worlds" / "w1").resolve())
    assert records["p2o-tiny/a/final-seed0"]["source"] == "p2o-tiny"
    bench.work()
    assert len(bench.starts()) == len(starts)
    changed = Bench(tmp_path, worlds={**worlds, "w2": {"leak": 0.3}})
    (changed.runs / "worlds" / "w2" / "config.json").unlink()
    changed.runs.joinpath("worlds", "w2", "world.json").unlink()
    (changed.runs / "worlds" / "w2").rmdir()
    changed.work()
    again = changed.starts()[len(starts) :]
    assert [start.split()[0] for start in again if start.startswith("world")] == ["world"]
    assert all("w2" in start for start in again)


def test_a_world_that_cannot_be_made_ends_the_study(tmp_path: Path) -> None:
    bench = Bench(tmp_path, worlds={"w": {"leak": 0.1}})
    command = (sys.executable, "-c", "import sys; sys.exit('no memory')")
    with pytest.raises(RunDirectoryError, match="world w could not be made: no memory"):
        bench.work(worker=command)


def test_two_studies_in_one_folder_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with (bench.runs / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunDirectoryError, match="another p2o study is at work there"):
            bench.work()
    bench.work()
    assert bench.done() == FINAL


DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_study_runner import Bench
bench = Bench(Path(sys.argv[1]))
bench.work()
"""


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_study_leaves_no_process_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    """SIGKILL: the runs see their input close and end by themselves, and a result written then is not lost."""
    bench = Bench(tmp_path)
    bench.behave(a__final_seed0="hang", b__final_seed0="late")
    code = DRIVER.format(tests=str(Path(__file__).parent))
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_for(bench.runs / "hanging")
    while len(bench.starts()) < 2:
        time.sleep(0.02)
    os.kill(driver.pid, number)
    driver.wait()
    wait_for(bench.runs / "a.stopped")
    wait_for(bench.runs / "b.stopped")
    bench.behave()
    if number == signal.SIGKILL:
        wait_for(bench.runs / f"{bench.runner().left()[1].folder_name}.result.json")
    bench.work()
    assert bench.done() == FINAL
    counts = Counter(start.removeprefix("p2o-tiny/") for start in bench.starts())
    assert counts == {"a/final-seed0": 2, "b/final-seed0": 1, "a/final-seed1": 1, "b/final-seed1": 1}
