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


class Reworded(NamedTuple):
    """Values that say the same: those of former settings, and those of today's."""

    former: Mapping[str, Any]
    present: Mapping[str, Any]


RENAMED: dict[str, str] = {}
"""Former name -> present name, in full (`section.name`)."""

GONE: dict[str, Gone] = {
    "rollout.vllm.mode": Gone("colocate", 'of a server write rollout.sampler = "vllm-server"'),
    "rollout.vllm.enforce_eager": Gone(None, "vLLM compiles and records CUDA graphs on a GPU"),
    "rollout.vllm.sleep": Gone(
        True, "an engine on a GPU always gives its memory to the trainer between rollouts"
    ),
    "rollout.vllm.transfer_folder": Gone("/dev/shm", 'write rollout.vllm.transfer = "shared-memory:/FOLDER"'),
    "rollout.vllm.transfer_address": Gone("127.0.0.1", 'write rollout.vllm.transfer = "nccl:ADDRESS:PORT"'),
    "rollout.vllm.transfer_port": Gone(29600, 'write rollout.vllm.transfer = "nccl:ADDRESS:PORT"'),
    "rollout.vllm.timeout": Gone(600.0, "a server counts as dead after 600 seconds without an answer"),
    "context.renormalize": Gone(False, "masked tokens always stay in the loss's denominator"),
}
"""Former name -> what became of it."""

REWORDED: tuple[Reworded, ...] = (
    Reworded({"rollout.sampler": "vllm", "rollout.vllm.mode": "server"}, {"rollout.sampler": "vllm-server"}),
    Reworded({"context.mode": "no-distill"}, {"context.prompt": "sampled"}),
)
"""What was said by other values."""

ADDED: dict[str, Any] = {
    "rollout.decoding": "auto",
    "context.prompt": "plain",
}
"""Settings of later versions -> the value at which a run is what it was without them."""


def advice(name: str) -> str | None:
    """What to write in place of a former setting; None if there never was one of that name."""
    if name in RENAMED:
        return f"setting {name} is now {RENAMED[name]}"
    return f"setting {name} is gone: {GONE[name].instead}" if name in GONE else None


def advice_on_value(name: str, value: Any) -> str | None:
    """What to write in place of a value that a setting no longer has; None if it never had it."""
    for words in REWORDED:
        if words.former == {name: value}:
            instead = " and ".join(f"{present} = {said!r}" for present, said in words.present.items())
            return f"setting {name} = {value!r} is now {instead}"
    return None


def in_former_terms(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, unset ones left out, as they would have been written down at first."""
    present = {present: former for former, present in RENAMED.items()}
    said = {name: gone.value for name, gone in GONE.items() if gone.value is not None}
    kept = {name: value for name, value in settings.items() if name not in ADDED or ADDED[name] != value}
    for words in REWORDED:
        if words.present.items() <= kept.items():
            kept = {name: value for name, value in kept.items() if name not in words.present}
            said |= words.former
    return {present.get(name, name): value for name, value in kept.items()} | said
