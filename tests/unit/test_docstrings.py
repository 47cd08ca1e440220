"""What `help` says of the public names: there is something, and its examples work."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import p2o
from p2o.errors import InputError


@pytest.mark.parametrize("name", [name for name in p2o.__all__ if name != "__version__"])
def test_a_public_name_explains_itself(name: str) -> None:
    named = getattr(p2o, name)
    assert inspect.getdoc(named)
    examples = doctest.DocTestFinder(recurse=False).find(named, name, globs={"p2o": p2o})
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0
    if inspect.isfunction(named) and inspect.signature(named).parameters:
        assert "Raises:" in str(named.__doc__)


def test_only_public_names_are_listed() -> None:
    assert dir(p2o) == sorted(p2o.__all__)


def test_arguments_of_another_type_are_named() -> None:
    for call in (lambda: p2o.verify("4", 4), lambda: p2o.equivalent("4", 4), lambda: p2o.gold_parses(4)):  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"(gold|b) is a int, not a string: give str\((gold|b)\)"):
            call()


def test_a_result_is_made_of_a_path_or_its_text(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "evaluation/accuracy": 0.25}\n')
    assert p2o.Result(str(tmp_path)).accuracy_before == p2o.Result(tmp_path).accuracy_after == 0.25
