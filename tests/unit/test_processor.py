"""Which tests a processor has to leave to `make test-slow`."""

from __future__ import annotations

import pytest

from processor import emulates_bfloat16


@pytest.mark.parametrize(
    ("cpuinfo", "emulates"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse avx avx2 fma\nbugs\t:", True),
        ("flags\t\t: avx2 avx512f avx512cd", True),  # Knights Landing: oneDNN takes it for AVX2
        ("flags\t\t: avx2 avx512f avx512dq avx512bw avx512vl", False),
        ("processor\t: 0\nFeatures\t: fp asimd crc32", True),
        ("Features\t: fp asimd i8mm bf16", False),
        ("", False),
    ],
)
def test_bfloat16_is_emulated_without_avx512(cpuinfo: str, emulates: bool) -> None:
    assert emulates_bfloat16(cpuinfo) == emulates
