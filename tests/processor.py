"""What the processor does in hardware."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def emulates_bfloat16(cpuinfo: str) -> bool:
    """Whether matrix products in bfloat16 are emulated (tens of times slower), by the text of /proc/cpuinfo.

    On x86 oneDNN has fast ones from AVX-512 on; ARM has the extension bf16. What is neither is taken for fast.
    """
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return not {"avx512bw", "avx512vl", "avx512dq"} <= set(value.split())
        if name.strip() == "Features":
            return "bf16" not in value.split()
    return False


def this_one_emulates_bfloat16() -> bool:
    """The same of this machine."""
    return CPUINFO.is_file() and emulates_bfloat16(CPUINFO.read_text())
