"""A reward for the tests of faults: half of all completions succeed, so groups have signal and templates win."""

from __future__ import annotations

import hashlib
from typing import Any


def coin(problem: Any, completion: str) -> float:
    """0 or 1, always the same for the same text."""
    return float(hashlib.sha256(completion.encode()).digest()[0] & 1)
