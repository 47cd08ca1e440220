"""Wheels without what one kind of GPU never runs: machine code of other architectures, tools, servers.

A CUDA library holds its kernels once for every architecture, in fat binaries: a header, then entries, each with a
header of its own that names the architecture. The code of the entries for other architectures is overwritten with
zeros, which the wheel's compression makes nothing of. The headers stay, so the driver finds what it looks for.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ARCHITECTURE = 90
"""Hopper: sm_90 and sm_90a."""

DROPPED = re.compile(
    r"""^(
    vllm/vllm-rs                                       # vLLM's own HTTP front end
    | vllm/vllm_flash_attn/_vllm_fa2_C.*               # attention before Hopper
    | vllm/_(flashkda|deepselect|qutlass|flashmla)_C.* # attention and quantisation of single architectures
    | vllm/third_party/deep_gemm/include/.*
    | torch/(include|test)/.*
    | triton/backends/nvidia/(bin/(ptxas-blackwell|nvdisasm)|lib/cupti/.*)
    | triton/(_C/libproton\.so|instrumentation/.*)
    | mistral_common/data/tekken.*
    | pycountry/locales/.*
    )$""",
    re.VERBOSE,
)

STRIPPED = re.compile(r"triton/_C/libtriton\.so|torch/lib/libtorch_cpu\.so")
"""Libraries with hundreds of MB of symbols."""

CONTAINER = struct.Struct("<IHHQ")
"""Header of a fat binary: magic number, version, size of this header, bytes that follow."""

ENTRY = struct.Struct("<HHIQ12xI")
"""Header of an entry: kind, version, size of this header, bytes that follow; the architecture at offset 28."""

MAGIC = struct.pack("<I", 0xBA55ED50)


def entries(library: bytes | bytearray | memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and architecture of the code of each entry between two offsets.

    Raises:
        ValueError: if these are no entries.
    """
    while start < end:
        kind, _, header, size, architecture = ENTRY.unpack_from(library, start)
        if kind not in (1, 2) or header < ENTRY.size or start + header + size > end:
            raise ValueError("not a fat binary")
        yield start + header, start + header + size, architecture
        start += header + size


def keep_architecture(library: bytearray, architecture: int = ARCHITECTURE) -> int:
    """Overwrites the code for other architectures with zeros, in place; returns how many bytes that were.

    A fat binary that has nothing for `architecture` is left as it is.
    """
    cleared, position = 0, library.find(MAGIC)
    while position >= 0:
        following = position + len(MAGIC)
        if position + CONTAINER.size <= len(library):
            _, version, header, size = CONTAINER.unpack_from(library, position)
            first, end = position + header, position + header + size
            try:
                if version != 1 or header != CONTAINER.size or end > len(library):
                    raise ValueError("not a fat binary")
                found = list(entries(library, first, end))
            except (ValueError, struct.error):
                found = []  # these four bytes meant something else
            else:
                following = end
            if any(name == architecture for *_, name in found):
                for start, stop, name in found:
                    if name != architecture:
                        library[start:stop] = bytes(stop - start)
                        cleared += stop - start
        position = library.find(MAGIC, following)
    return cleared


def without_symbols(library: bytes) -> bytes:
    """The library as binutils' `strip` leaves it; as it was where that is not installed."""
    if shutil.which("strip") is None:
        return library
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(library)
        file.flush()
        subprocess.run(["strip", "--strip-all", file.name], check=True, capture_output=True)
        return Path(file.name).read_bytes()


def slim(wheel: Path, folder: Path) -> Path:
    """The slim wheel in `folder`, made if it is not there; one that holds no library is returned as it is."""
    target = folder / wheel.name
    if target.exists():
        return target
    with zipfile.ZipFile(wheel) as source:
        members = source.infolist()
        if not any(".so" in member.filename or DROPPED.match(member.filename) for member in members):
            return wheel
        folder.mkdir(parents=True, exist_ok=True)
        new = target.with_name(target.name + ".new")
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as written:
            for member in members:
                if DROPPED.match(member.filename):
                    continue
                content = source.read(member)
                if member.filename.endswith(".dist-info/RECORD"):
                    lines = content.decode().splitlines(keepends=True)
                    content = "".join(
                        line for line in lines if not DROPPED.match(line.partition(",")[0])
                    ).encode()
                elif ".so" in member.filename:
                    if STRIPPED.fullmatch(member.filename):
                        content = without_symbols(content)
                    library = bytearray(content)
                    if keep_architecture(library):
                        content = bytes(library)
                written.writestr(member, content, zipfile.ZIP_DEFLATED)
    new.replace(target)
    return target
