"""What is installed and works, and the tests that need a GPU."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from lane_case import ROOT, Absent, Failed, Lane, Values, tail


def doctor(lane: Lane) -> Values:
    """`p2o doctor`."""
    printed = lane.run([sys.executable, "-m", "p2o", "doctor"], "doctor")
    lines = [line.strip() for line in printed.splitlines()]
    settings = [re.match(r"(rollout|optimizer)\S* = '(\w+)': (usable|not usable)", line) for line in lines]
    return {
        "says": lines[-1],
        "GPU": next((line for line in lines if line.startswith(("GPU ", "no GPU"))), ""),
        **{found[2]: found[3] for found in settings if found},
    }


def tests(lane: Lane, path: Path) -> Values:
    """A file of tests; in a rehearsal they are only collected."""
    if path.name == "test_vllm.py" and find_spec("vllm") is None:
        raise Absent("not installed: vllm")
    options = ["--collect-only"] if lane.rehearse else ["-rfE", "--tb=short"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        "-p",
        "no:cacheprovider",
        *options,
        str(path),
    ]
    printed = lane.run(command, path.name, accept=(0, 1))
    last = printed.strip().splitlines()[-1]
    counts = {
        name: int(number) for number, name in re.findall(r"(\d+) (passed|failed|errors?|skipped)", last)
    }
    if any(name.startswith(("failed", "error")) for name in counts):
        raise Failed(tail(printed))
    return counts or {"collected": len(re.findall(r"::", printed)) or last}


def main() -> None:
    lane = Lane()
    lane.case("p2o doctor", lambda: doctor(lane), 60)
    for path in sorted((ROOT / "tests/gpu").glob("test_*.py")):
        lane.case(f"tests/gpu/{path.name}", lambda path=path: tests(lane, path), 150)  # type: ignore[misc]


if __name__ == "__main__":
    main()
