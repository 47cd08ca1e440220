"""What is said in two places of the repository is the same in both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.M)
    assert found is not None, target
    return [line.strip() for line in found[1].splitlines()]


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_hooks_before_a_commit_are_those_of_make_lint() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    commands = [hook["entry"].replace(".venv/bin", "$(BIN)") for hook in repository["hooks"]]
    given = [i for i, hook in enumerate(repository["hooks"]) if hook.get("pass_filenames", True)]
    for i in given:  # the names of the files that are committed
        commands[i] += " .github/workflows/*.yml"
        pattern = repository["hooks"][i]["files"]
        assert all(
            re.search(pattern, str(path.relative_to(ROOT))) for path in ROOT.glob(".github/workflows/*.yml")
        )
    assert (commands, len(given)) == (recipe("lint"), 1)


def test_ci_runs_what_make_test_and_test_versions_run() -> None:
    targets = load(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["target"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = [re.search(rf"^{name}: (.*?) ##", makefile, re.M) for name in ("test", "test-versions")]
    assert " ".join(targets).split() == " ".join(found[1] for found in wanted if found).split()


def test_actions_are_pinned_to_a_version() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", workflow.read_text(encoding="utf-8"))
        assert used
        assert all(re.search(r"@(v\d+|release/v\d+)$", name) or name.startswith("./") for name in used)


def test_the_licence_is_in_every_crate() -> None:
    wanted = (ROOT / "LICENSE").read_text(encoding="utf-8")
    for crate in ("p2o-core", "p2o-py"):
        assert (ROOT / "rust" / crate / "LICENSE").read_text(encoding="utf-8") == wanted
