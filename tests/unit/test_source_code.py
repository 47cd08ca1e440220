"""The hash of a module's source: an edit of the module or of anything of one's own that it imports changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2o.source_code import code_of

FILES = {
    "own_grader.py": "import json\nfrom own_weights import HALF\nimport own_package.rules as rules\nimport p2o\n",
    "own_weights.py": "HALF = 0.5\n",
    "own_package/__init__.py": "",
    "own_package/rules.py": "from . import units\n\ndef late():\n    from own_late import x\n",
    "own_package/units.py": "from ..above import nothing\n",
    "own_package/other.py": "",
    "own_late.py": "x = (  # does not even compile\n",
    "own_unused.py": "",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_an_edit_of_what_is_imported_is_noticed(name: str, folder: Path) -> None:
    before = code_of("own_grader")
    assert before == code_of("own_grader") is not None
    (folder / name).write_text(FILES[name] + "\n# edited\n")
    assert (code_of("own_grader") != before) == (name not in ("own_unused.py", "own_package/other.py"))


def test_no_code_of_ones_own() -> None:
    assert code_of("p2o.rewards") is code_of("no_such_module") is code_of("sys") is None
    assert code_of("json.decoder") == code_of("json.decoder") is not None, "named itself"


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
def test_packages_outside_this_environment_are_no_code_of_ones_own(
    packages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the system below a virtual environment, or of `pip install --user`: torch alone would take minutes."""
    installed = tmp_path / packages
    installed.mkdir()
    (installed / "someones_package.py").write_text("")
    (tmp_path / "own_grader.py").write_text("import someones_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(installed)
    before = code_of("own_grader")
    (installed / "someones_package.py").write_text("# another release\n")
    assert code_of("own_grader") == before is not None
    assert code_of("someones_package") is not None, "named itself"
