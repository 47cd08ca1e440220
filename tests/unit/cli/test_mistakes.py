"""What commands say to mistakes: one line, with what is to be done, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2o.cli.main import main
from p2o.config import recipe_names

FILES = {
    "empty.jsonl": b"",
    "table.xlsx": b"PK\x03\x04",
    "latin.csv": "problem,answer\nSchön,1\n".encode("latin-1"),
    "broken.parquet": b"no Parquet",
    "runs/begun/config.toml": b"[run]\n",
    "steering.jsonl": b'{"\\u001b[31mred\\u009b1m\\u202e\\n": 1}\n',
}

RECIPES = ", ".join(recipe_names())

MISTAKES = {
    "": "error: the following arguments are required: COMMAND; p2o --help explains them",
    "trian": "error: argument COMMAND: invalid choice: 'trian'",
    "data": "error: the following arguments are required: FILE; p2o data --help explains them",
    "doctor all": "error: unrecognized arguments: all; p2o doctor --help explains them",
    "probe quickstart --problems 0": "error: argument --problems: must be 1 or more; p2o probe --help explains",
    "data empty.jsonl": "error: empty.jsonl: holds no problems",
    "data table.xlsx": "error: table.xlsx: .xlsx is not read; save it as JSON Lines, JSON, CSV or Parquet",
    "data latin.csv": "error: latin.csv: cannot be read as UTF-8 text (invalid start byte); save it as UTF-8",
    "data broken.parquet": "error: broken.parquet: cannot be read (",
    "data steering.jsonl": "error: steering.jsonl, line 1: no field 'problem' (found: \ufffd[31mred\ufffd1m\ufffd⏎)",
    "eval runs/none": "error: runs/none: no run directory there (no config.toml), and a recipe is a name or a .toml",
    "eval nosuch": f"error: no recipe 'nosuch': give one of {RECIPES}, or the path of a .toml file; nor is there a run "
    "directory nosuch\n",
    "train runs/begun --check": "error: runs/begun is a run directory, not a recipe: p2o-train --resume runs/begun "
    "continues it; the settings of the run, for a new one, are runs/begun/config.toml\n",
    "probe runs/begun": "error: runs/begun is a run directory, not a recipe: p2o-train --resume runs/begun continues",
    "train smollm2 --check --set model.source=nowhere --set data.train=none.jsonl": "error: none.jsonl: no such file; "
    "data.train names it\n",
    "train runs/none": f"error: no recipe 'runs/none': give one of {RECIPES}, or the path of a .toml file\n",
    "eval smolm2": "error: no recipe 'smolm2': did you mean smollm2? give one of ",
    "verify empty.jsonl --threads 99999999999999999999": "error: argument --threads: is too large; p2o verify --help",
    "push runs/none me/model": "error: runs/none: no such run directory",
    "watch runs/begun --port 65536": "error: --port 65536 cannot be used (",
    "watch runs": "error: runs: neither metrics.jsonl nor templates.jsonl has a line; is it a run directory?\n",
    "watch runs/begun runs --port 65536": "error: runs: neither metrics.jsonl nor templates.jsonl has a line; is it a ",
    "report runs": "error: runs: neither metrics.jsonl nor templates.jsonl has a line; is it a run directory?\n",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)
    assert main(command.split()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(MISTAKES[command])
    assert err.count("\n") == 1
