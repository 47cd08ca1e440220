"""A rollout as plain values, for files that a killed run goes on from."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from p2o.types import Rollout


def rollout_to_dict(rollout: Rollout) -> dict[str, Any]:
    """As plain values; response ids as int32 and log-probs as float32, the bytes in base64."""
    record = {
        **asdict(replace(rollout, response_ids=(), sampler_logprobs=())),
        "prompt_ids": list(rollout.prompt_ids),
        "teacher_ids": list(rollout.teacher_ids),
        "response_ids": _text(array("i", rollout.response_ids)),
        "sampler_logprobs": _text(array("f", rollout.sampler_logprobs)),
    }
    if not record["teacher_ids"]:
        del record["teacher_ids"]
    return record


def rollout_from_dict(record: Mapping[str, Any]) -> Rollout:
    """What `rollout_to_dict` wrote."""
    kinds = {"response_ids": "i", "sampler_logprobs": "f"}
    tokens = {name: array(kind, base64.b64decode(record[name])) for name, kind in kinds.items()}
    return Rollout(**{**record, **tokens})


def _text(values: array[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()
