"""The GPU lane's driver: it goes on after kills, keeps to its minutes, and no step stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

LANE = Path(__file__).parents[2] / "benches/gpu"


@pytest.fixture(autouse=True)
def lane_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(LANE))


SCRIPT = """
import os, signal, sys, time
from lane_case import Absent, Failed, Lane, Unfinished
lane = Lane()
def count(name, action=lambda: None):
    def measure():
        with open(lane.folder / "calls", "a") as file:
            file.write(name + "\\n")
        action()
        return {"figure": 1.5}
    return measure
def fails(error):
    def action():
        raise error
    return action
"""


def step(tmp_path: Path, name: str, body: str, limit: float = 60) -> Any:
    from lane_steps import Step

    script = tmp_path / f"{name}.py"
    script.write_text(SCRIPT + body)
    return Step(name, limit, f"What {name} measures.", (sys.executable, str(script)))


class Clock:
    """Goes on by what is waited for, and by `rate` times as much."""

    def __init__(self, rate: float = 1.0) -> None:
        self.now, self.rate = 1000.0, rate

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds * self.rate
        time.sleep(0.005)


def drive(folder: Path, steps: list[Any], *, seconds: float = 600, clock: Clock | None = None) -> bool:
    from lane import Driver

    clock = clock or Clock(rate=0.01)
    environment = {
        "LANE_REHEARSE": "1",
        "LANE_TASKS": "/nowhere",
        "LANE_MACHINE": json.dumps({"card": "A card"}),
    }
    driver = Driver(
        folder, seconds, environment=environment, clock=clock, pause=clock.pause, say=lambda line: None
    )
    driver.end_orphans()
    return driver.work(steps)


def statuses(folder: Path) -> dict[str, str]:
    from lane_results import Results

    latest = Results(folder / "results.jsonl").latest()
    return {"/".join(key): record["status"] for key, record in latest.items()}


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


def test_what_stands_is_not_run_again(tmp_path: Path) -> None:
    body = """
lane.case("good", count("good"))
lane.case("bad", count("bad", fails(ValueError("no such thing"))))
lane.case("missing", count("missing", fails(Absent("no model"))))
lane.case("part", count("part", fails(Unfinished({"runs": 2}))))
"""
    steps = [step(tmp_path, "one", body)]
    assert drive(tmp_path / "r", steps)
    assert statuses(tmp_path / "r") == {
        "one/good": "ok",
        "one/bad": "error",
        "one/missing": "absent",
        "one/part": "stopped",
    }
    assert drive(tmp_path / "r", steps)
    assert calls(tmp_path / "r") == ["good", "bad", "missing", "part", "missing", "part"]
    records = [json.loads(line) for line in (tmp_path / "r/results.jsonl").read_text().splitlines()]
    assert [r["case"] for r in records] == ["good", "bad", "missing", "part", "part"], "absent is said once"
    assert records[0]["values"] == {"figure": 1.5}
    assert records[0]["machine"] == {"card": "A card"}
    assert records[1]["error"].endswith("ValueError: no such thing")


def test_retry_forgets_what_failed(tmp_path: Path) -> None:
    from lane_results import Results

    results = Results(tmp_path / "results.jsonl")
    for case, status in (("a", "ok"), ("b", "error"), ("c", "timeout"), ("d", "ok")):
        results.append("s", case, status)
    results.forget(["error", "timeout"])
    assert statuses(tmp_path) == {"s/a": "ok", "s/d": "ok"}
    assert not results.stands("s", "b")


def test_a_torn_line_costs_that_line_alone(tmp_path: Path) -> None:
    from lane_results import Results

    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.append("s", "a", "ok", values={"x": 1})
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        results.append("s", "b", "ok")
        # A line cut before its newline alone is a whole record.
        assert [r["case"] for r in results.records()] in (["a", "b"], ["a", "a", "b"]), cut
    path.write_bytes(whole + '{"step": "é'.encode()[:-1])
    results.append("s", "c", "ok")
    assert [record["case"] for record in results.records()] == ["a", "c"]


@pytest.mark.parametrize(
    ("action", "status", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "error", "exit code -9"),
        ("(sys.stderr.write('the device is gone\\n'), os._exit(5))", "error", "the device is gone"),
        ("signal.pause()", "timeout", "its limit"),
    ],
)
def test_a_case_that_ends_its_process_costs_that_case_alone(
    tmp_path: Path, action: str, status: str, said: str
) -> None:
    body = f"""
lane.case("before", count("before"))
lane.case("fatal", count("fatal", lambda: {action}), 0.2)
lane.case("after", count("after"))
"""
    other = step(tmp_path, "two", 'lane.case("only", count("only"))')
    assert drive(tmp_path / "r", [step(tmp_path, "one", body), other])
    assert statuses(tmp_path / "r") == {
        "one/before": "ok",
        "one/fatal": status,
        "one/after": "ok",
        "two/only": "ok",
    }
    assert calls(tmp_path / "r") == ["before", "fatal", "after", "only"]
    assert said in (tmp_path / "r/results.jsonl").read_text()


def test_a_step_that_does_not_start_is_said_and_left(tmp_path: Path) -> None:
    broken = step(tmp_path, "broken", "import no_such_module")
    assert drive(tmp_path / "r", [broken, step(tmp_path, "two", 'lane.case("only", count("only"))')])
    assert statuses(tmp_path / "r") == {"broken/": "error", "two/only": "ok"}
    assert "no_such_module" in (tmp_path / "r/results.jsonl").read_text()
    assert drive(tmp_path / "r", [step(tmp_path, "broken", "")])
    assert statuses(tmp_path / "r")["broken/"] == "ok", "it has come through by now"


def test_the_minutes_end_what_runs_and_all_that_it_started(tmp_path: Path) -> None:
    body = """
import subprocess
def start_and_wait():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (lane.folder / "child").write_text(str(child.pid))
    time.sleep(600)
lane.case("first", count("first"))
lane.case("long", start_and_wait)
"""
    folder = tmp_path / "r"

    class Waiting(Clock):
        def pause(self, seconds: float) -> None:
            """The clock stands, but goes on by a minute a look while the child runs."""
            time.sleep(0.01)
            child = (folder / "child").read_text() if (folder / "child").exists() else ""
            self.now += 60 if child and running(int(child)) else 0

    steps = [step(tmp_path, "one", body, limit=10_000), step(tmp_path, "two", 'lane.case("x", count("x"))')]
    assert not drive(folder, steps, seconds=600, clock=Waiting())
    assert statuses(folder) == {"one/first": "ok", "one/long": "stopped"}
    assert not running(int((folder / "child").read_text()))
    # In the next call it is run again, and its step's own limit leaves the other step its time.
    (folder / "child").unlink()
    steps[0] = step(tmp_path, "one", body, limit=300)
    assert drive(folder, steps, seconds=6000, clock=Waiting())
    assert statuses(folder) == {"one/first": "ok", "one/long": "stopped", "two/x": "ok"}
    assert calls(folder) == ["first", "x"]


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_time_no_step(tmp_path: Path) -> None:
    assert not drive(tmp_path / "r", [step(tmp_path, "one", 'lane.case("x", count("x"))')], seconds=0)
    assert statuses(tmp_path / "r") == {}


def test_what_a_killed_driver_left_running_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    body = 'lane.case("long", lambda: time.sleep(600), 900)'
    code = f"""
import sys
sys.path[:0] = [{str(LANE)!r}, {str(Path(__file__).parent)!r}]
from pathlib import Path
import test_gpu_lane as t
t.drive(Path({str(folder)!r}), [t.step(Path({str(tmp_path)!r}), "one", {body!r})])
"""
    driver = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (folder / "current.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    group = int((folder / "running").read_text())
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert running(group)
    assert drive(folder, [step(tmp_path, "one", 'lane.case("long", count("long"))')])
    assert not running(group)
    assert statuses(folder) == {"one/long": "ok"}


def test_a_number_that_another_process_has_by_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "running").write_text(str(os.getpgid(0)))
    assert drive(tmp_path, [])
    assert not (tmp_path / "running").exists()


RECORDS: list[dict[str, Any]] = [
    {
        "step": "sampling",
        "case": "graphs, 2,048 rows",
        "status": "ok",
        "at": "2026-01-02 03:04:05",
        "machine": {"card": "NVIDIA H100 80GB HBM3", "torch": "2.11.0"},
        "values": {"rows": 2048, "tokens/s": 123456.7, "peak GiB": 3.14159, "share": None},
    },
    {
        "step": "sampling",
        "case": "eager, [red]",
        "status": "error",
        "at": "2026-01-02 03:04:05",
        "error": "exit code 1\nout of |memory|",
    },
]


def test_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from lane_steps import STEPS
    from lane_table import print_tables, write_between_markers

    for width in ("60", "120"):
        monkeypatch.setenv("COLUMNS", width)
        print_tables(RECORDS, STEPS)
        printed = capsys.readouterr().out
        assert "123,457" in printed
        assert "eager, [red]: error: exit code 1 | out of |memory|" in " ".join(printed.split())
        assert "NVIDIA H100 80GB HBM3, torch 2.11.0; 2026-01-02" in printed
        assert max(map(len, printed.splitlines())) <= int(width)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    print_tables(RECORDS, STEPS)
    assert "  graphs, 2,048 rows  2,048   123,457      3.14" in capsys.readouterr().out

    page = tmp_path / "README.md"
    page.write_text("before\n<!-- lane:begin -->\nold\n<!-- lane:end -->\nafter\n")
    write_between_markers(page, RECORDS, STEPS)
    text = page.read_text()
    assert text.startswith("before\n<!-- lane:begin -->\nNVIDIA H100")
    assert text.endswith("<!-- lane:end -->\nafter\n")
    assert "| graphs, 2,048 rows | 2,048 | 123,457 | 3.14 |  |" in text
    assert r"- eager, \[red]: error: exit code 1 \| out of \|memory\|" in text
    assert "old" not in text
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no markers"):
        write_between_markers(page, RECORDS, STEPS)


def test_every_step_has_its_file() -> None:
    from lane_steps import STEPS

    assert [Path(step.argv()[1]).is_file() for step in STEPS] == [True] * len(STEPS)
