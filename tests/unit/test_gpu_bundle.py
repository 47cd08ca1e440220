"""The bundle for a GPU machine: nothing it requires is missing, and its pieces install as they arrive."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
        replaced = {name for name in listed.keys() & seen.keys() if seen[name] == "machine"}
        assert not listed.keys() & seen.keys() - replaced, "a package comes from one place"
        assert replaced == (
            {"torch", "torchvision", "triton", "nvidia-nccl-cu13"} if group == "vllm" else set()
        )
        seen |= dict.fromkeys(listed, group)
    unused = bundle.pinned(packages / "unused.txt")
    assert not any(unused.values())
    assert {name for name in unused if seen.get(name, "machine") != "machine"} == set(), (
        "bundled, so not unused"
    )


def test_what_p2o_requires_is_bundled_or_on_the_machine(bundle: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = ROOT / "benches/gpu/packages"
    have = {**bundle.pinned(packages / "machine.txt"), **bundle.pinned(packages / "core.txt")}
    for line in (*project["dependencies"], *project["optional-dependencies"]["train"]):
        needed = Requirement(line)
        number = have.get(canonicalize_name(needed.name))
        assert number is not None, needed
        assert not number or needed.specifier.contains(number), f"{needed}: there is {number}"


def fat_binary(*entries: tuple[int, int, bytes]) -> bytes:
    """A fat binary of entries (kind, architecture, code), as nvcc lays it out."""
    body = b""
    for kind, architecture, code in entries:
        body += struct.pack("<HHIQ12xI32x", kind, 0x101, 64, len(code), architecture) + code
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def test_code_of_other_architectures_is_cleared(tmp_path: Path, bundle: Any) -> None:
    magic = struct.pack("<I", 0xBA55ED50)
    many = fat_binary((2, 80, b"A" * 40), (2, 90, b"B" * 24), (1, 120, b"C" * 8), (2, 90, b"D" * 16))
    cleared = fat_binary((2, 80, bytes(40)), (2, 90, b"B" * 24), (1, 120, bytes(8)), (2, 90, b"D" * 16))
    other = fat_binary((2, 80, b"E" * 40))  # nothing for Hopper: as it is
    around = [
        b"\x7fELF text",
        magic + b"chance",
        b"\0" * 5,
        magic + struct.pack("<HHQ", 1, 16, 2**40),
        b"end " + magic,
    ]
    library = around[0] + many + around[1] + other + around[2] + many + around[3] + many + around[4]
    expected = around[0] + cleared + around[1] + other + around[2] + cleared + around[3] + cleared + around[4]

    from slim import keep_architecture, slim

    pruned = bytearray(library)
    assert keep_architecture(pruned) == 3 * 48
    assert bytes(pruned) == expected
    assert keep_architecture(bytearray(b"")) == 0

    wheel = tmp_path / "vllm-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("vllm/_C.abi3.so", library)
        archive.writestr("vllm/vllm-rs", b"a server")
        archive.writestr("vllm/code.py", b"answer = 42")
        archive.writestr("vllm-1.0.dist-info/RECORD", "vllm/_C.abi3.so,,\nvllm/vllm-rs,,\nvllm/code.py,,\n")
    with zipfile.ZipFile(slim(wheel, tmp_path / "slim")) as archive:
        assert archive.read("vllm/_C.abi3.so") == expected
        assert "vllm/vllm-rs" not in archive.namelist()
        assert archive.read("vllm/code.py") == b"answer = 42"
        assert archive.read("vllm-1.0.dist-info/RECORD") == b"vllm/_C.abi3.so,,\nvllm/code.py,,\n"
    plain = make_wheel(tmp_path, "plain", "1.0")
    assert slim(plain, tmp_path / "slim") == plain


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


def test_a_bundle_that_is_carried_anew_takes_the_place_of_the_one_before(tmp_path: Path, bundle: Any) -> None:
    """It has another version in fewer pieces. With the metadata of both nobody knew which was measured."""
    arrived, site = tmp_path / "arrived", tmp_path / "site"
    arrived.mkdir()
    for number, piece in (("1.0", 2000), ("1.1", 4000)):
        module = f"number = {number}  # {os.urandom(3000).hex()}".encode()
        wheel = make_wheel(tmp_path, "p2o_test_only", number, module=module)
        made = tmp_path / number
        made.mkdir()
        bundle.write_pieces("train", [wheel], made, piece=piece)
        for path in made.iterdir():
            (arrived / path.name).write_bytes(path.read_bytes())
        code, lines = install(arrived, site)
        assert (code, lines[0].partition(" in ")[0]) == (0, "train: installed")
        assert f"number = {number}".encode() in (site / "p2o_test_only.py").read_bytes()
        assert [path.name for path in site.glob("*.dist-info")] == [f"p2o_test_only-{number}.dist-info"]
