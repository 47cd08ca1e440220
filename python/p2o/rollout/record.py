"""A rollout as plain values, for files that a killed run goes on from."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p2o.types import Rollout


def rollout_to_dict(rollout: Rollout) -> dict[str, Any]:
    """As plain values; response ids as int32 and log-probs as float32, the bytes in base64."""
    ids = np.asarray(rollout.response_ids, np.int32)
    logprobs = np.asarray(rollout.sampler_logprobs, np.float32)
    record = {
        **asdict(replace(rollout, response_ids=(), sampler_logprobs=())),
        "prompt_ids": list(rollout.prompt_ids),
        "teacher_ids": list(rollout.teacher_ids),
        "response_ids": _text(ids),
        "sampler_logprobs": _text(logprobs),
    }
    if not record["teacher_ids"]:
        del record["teacher_ids"]
    return record


def rollout_from_dict(record: Mapping[str, Any]) -> Rollout:
    """What `rollout_to_dict` wrote."""
    tokens = {"response_ids": np.int32, "sampler_logprobs": np.float32}
    arrays = {name: np.frombuffer(base64.b64decode(record[name]), dtype) for name, dtype in tokens.items()}
    return Rollout(**{**record, **{name: values.tolist() for name, values in arrays.items()}})


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()
