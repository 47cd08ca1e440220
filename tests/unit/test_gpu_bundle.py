"""The bundle for a GPU machine: nothing it requires is missing, and its pieces install as they arrive."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benches/gpu"))
    import bundle

    return bundle


def make_wheel(folder: Path, name: str, number: str, *requires: str, module: bytes = b"") -> Path:
    path = folder / f"{name}-{number}-py3-none-any.whl"
    information = f"{name}-{number}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", module)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {number}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        archive.writestr(f"{information}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{information}/RECORD", "")
    return path


def test_what_is_required_and_nowhere_is_said(tmp_path: Path, bundle: Any) -> None:
    one = make_wheel(
        tmp_path,
        "one",
        "1.0",
        "two>=2",
        "there",
        "known<3",
        "nowhere>=1",
        "other; extra == 'x'",
        "old; python_version < '3.12'",
        "colour; sys_platform == 'win32'",
        "Under_Score",
    )
    two = make_wheel(tmp_path, "two", "1.5")
    machine = {"there": "", "known": "3.1", "under-score": "2.0"}
    assert bundle.unmet([one, two], machine) == [
        f"{one.name} requires two>=2: there is 1.5",
        f"{one.name} requires known<3: there is 3.1",
        f"{one.name} requires nowhere>=1: not bundled, not on the machine",
    ]
    assert bundle.unmet([two], {}) == []


def test_the_lists_are_exact_and_apart(bundle: Any) -> None:
    packages = ROOT / "benches/gpu/packages"
    seen: dict[str, str] = dict.fromkeys(bundle.pinned(packages / "machine.txt"), "machine")
    assert seen["torch"] == "machine"
    for group in (*bundle.GROUPS, "vllm"):
        listed = bundle.pinned(packages / f"{group}.txt")
        assert all(listed.values()), f"{group}: every package has its version"
        assert not listed.keys() & seen.keys(), "a package comes from one place"
        seen |= dict.fromkeys(listed, group)


def install(pieces: Path, site: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [str(ROOT / "benches/gpu/install.sh"), str(pieces), str(site)],
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_pieces_install_as_they_arrive(tmp_path: Path, bundle: Any) -> None:
    wheels, made, arrived = tmp_path / "wheels", tmp_path / "made", tmp_path / "arrived"
    for folder in (wheels, made, arrived):
        folder.mkdir()
    wheel = make_wheel(
        wheels,
        "p2o_test_only",
        "1.0",
        "p2o-test-nowhere>=1",
        module=b"answer = 42  # " + os.urandom(3000).hex().encode(),
    )
    pieces = bundle.write_pieces("train", [wheel], made, piece=2000)
    assert len(pieces) > 2
    assert max(path.stat().st_size for path in pieces) <= 2000
    again = tmp_path / "again"
    again.mkdir()
    bundle.write_pieces("train", [wheel], again, piece=2000)
    assert (again / "train.sha256").read_text() == (made / "train.sha256").read_text()

    site = tmp_path / "site"
    assert install(arrived, site)[0] == 0, "nothing has arrived: nothing to do"
    (arrived / "train.sha256").write_text((made / "train.sha256").read_text())
    for piece in pieces[:-1]:
        (arrived / piece.name).write_bytes(piece.read_bytes())
    assert install(arrived, site) == (0, [f"train: waits for {pieces[-1].name}", f"export PYTHONPATH={site}"])
    (arrived / pieces[-1].name).write_bytes(b"damaged")
    code, lines = install(arrived, site)
    assert (code, lines[-2]) == (1, "train: not installed")
    (arrived / pieces[-1].name).write_bytes(pieces[-1].read_bytes())
    code, lines = install(arrived, site)
    assert code == 0
    assert lines[0].startswith("train: installed in ")
    assert lines[1] == "missing: p2o-test-nowhere>=1 (p2o_test_only requires it)"
    assert b"answer = 42" in (site / "p2o_test_only.py").read_bytes()
    assert install(arrived, site)[1][0] == "train: installed"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in pieces)).hexdigest()
    assert (
        digest
        == hashlib.sha256(b"".join(p.read_bytes() for p in sorted(arrived.glob("*.tar.*")))).hexdigest()
    )
