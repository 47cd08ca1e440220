"""What settings were called before, and what became of those that are gone.

A recipe with a former name is refused with the present one. The results of a study stay valid by meaning: what a run
computes is hashed under the names and values of the time when the first results were recorded (`in_former_terms`), so
that a renamed setting makes no run another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Gone(NamedTuple):
    """A setting that is gone: the value that every run has had since, and what to do instead."""

    value: Any
    instead: str


RENAMED: dict[str, str] = {}
"""Former name -> present name, in full (`section.name`)."""

GONE: dict[str, Gone] = {
    "loss.overlong_penalty": Gone(1.0, "it is 1; loss.overlong_buffer sets where it begins"),
    "optimizer.beta1": Gone(0.9, "set optimizer.betas = [beta1, beta2]"),
    "optimizer.beta2": Gone(0.999, "set optimizer.betas = [beta1, beta2]"),
}
"""Former name -> what became of it."""

ADDED: dict[str, Any] = {
    "optimizer.betas": [0.9, 0.999],
    "rollout.decoding": "auto",
}
"""Settings of later versions -> the value at which a run is what it was without them."""


def advice(name: str) -> str | None:
    """What to write in place of a former setting; None if there never was one of that name."""
    if name in RENAMED:
        return f"setting {name} is now {RENAMED[name]}"
    return f"setting {name} is gone: {GONE[name].instead}" if name in GONE else None


def in_former_terms(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, unset ones left out, as they would have been written down at first."""
    present = {present: former for former, present in RENAMED.items()}
    kept = {name: value for name, value in settings.items() if name not in ADDED or ADDED[name] != value}
    constant = {name: gone.value for name, gone in GONE.items() if gone.value is not None}
    return constant | {present.get(name, name): value for name, value in kept.items()}
