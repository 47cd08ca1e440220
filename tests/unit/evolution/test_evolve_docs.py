"""The examples in docs/evolve.md run, and print what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from evolve_world import step_inputs

from p2o.evolution.propose import Proposal, Task
from p2o.evolution.propose.prompt import ReflectionExample
from p2o.evolution.result import Candidate
from p2o.templates import PLAIN

PAGE = (Path(__file__).parents[3] / "docs" / "evolve.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_step_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    number = next(i for i, (_, text) in enumerate(BLOCKS) if "p2o.evolve(problems" in text)
    language, code = BLOCKS[number]
    assert language == "python"
    exec(code, {})
    assert capsys.readouterr().out == BLOCKS[number + 1][1]
    exec(code, {})
    assert capsys.readouterr().out == BLOCKS[number + 1][1], "read back from the journal"


def test_the_front_answers_what_stands_behind_its_calls() -> None:
    (code,) = (text for _, text in BLOCKS if "p2o.ParetoFront(n_instances" in text)
    names: dict[str, Any] = {}
    checked = 0
    for line in code.splitlines():
        call, _, comment = line.partition("#")
        shown = re.match(r" (\[[\d, ]+\])", comment)
        if shown is None:
            exec(line, names)
            continue
        assert list(eval(call, names)) == eval(shown[1]), line
        checked += 1
    assert checked == 4
    assert len(names["front"]) == 3, "read back from its bytes"


def test_the_proposer_of_the_page_proposes() -> None:
    (code,) = (text for _, text in BLOCKS if "class WorkedExample" in text)
    names: dict[str, Any] = {}
    exec(code, names)
    example = ReflectionExample("2 + 2 = ?", "5", 0.0, "4")
    task = Task(Candidate(0, PLAIN), [], [example])
    (proposal,) = names["WorkedExample"](step_inputs()).propose([task])
    assert proposal == Proposal("2 + 2 = ? Answer: 4", "worked example")
