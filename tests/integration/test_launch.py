"""Two processes of one launch that are not alike: refused in one line, before the first step."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from launch import launch

SMALL = ["--set=data.train_size=8", "--set=data.evaluation_size=4"]


def train(folders: list[str], *cases: list[list[str]]) -> list[Any]:
    """Exit code and last line of each case, with this rank's own arguments; called in each process."""
    from p2o.cli.main import main

    rank = int(os.environ["RANK"])
    os.environ["LOCAL_RANK"] = "0"  # each on a node of its own, which tells its errors
    os.chdir(folders[rank])
    outcomes = []
    for own in cases:
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            code = main(["train", "quickstart", "--set=run.output=runs/one", *own[rank]])
        outcomes.append([code, (told.getvalue().splitlines() or [""])[-1]])
    return outcomes


def test_ranks_that_are_not_alike_are_refused(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, gold in zip(folders, ("3", "4"), strict=True):
        folder.mkdir()
        lines = [f'{{"problem": "What is {i}?", "answer": "{gold}"}}\n' for i in range(8)]
        (folder / "problems.jsonl").write_text("".join(lines))
    settings = [[*SMALL, "--set=rollout.n=6"], [*SMALL, "--set=rollout.n=5"]]
    data = [["--set=data={kind='jsonl', train='problems.jsonl', evaluation_size=2}"]] * 2
    alike = [SMALL, SMALL]
    ranks = launch(2, Path(__file__), "train", list(map(str, folders)), settings, data, alike)
    for outcomes in ranks:
        assert [code for code, _ in outcomes] == [2, 2, 2]
        of_settings, of_data, of_folders = (told for _, told in outcomes)
        assert of_settings.startswith(
            "error: rank 1 has another rollout.n than rank 0 (5, not 6): start all ranks"
        )
        assert of_data.startswith("error: rank 1 has another data than rank 0 ('")
        assert "runs: not the same folder on every node, for rank 1 on " in of_folders
        assert of_folders.endswith("set run.output to a folder that all nodes share")
    assert not (folders[0] / "runs" / "one").exists()
