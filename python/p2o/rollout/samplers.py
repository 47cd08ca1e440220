"""The samplers by name."""

from __future__ import annotations

from p2o.plugins import look_up_class
from p2o.rollout.sampler import Sampler

SAMPLERS: dict[str, type[Sampler] | str] = {
    "hf": "p2o.rollout.hf:HfSampler",
    "vllm": "p2o.rollout.vllm:VllmSampler",
    "vllm-server": "p2o.rollout.vllm_server:ServerSampler",
}
"""Where the classes are: their modules import torch."""


def sampler_class(name: str) -> type[Sampler]:
    """The class that `rollout.sampler` names."""
    return look_up_class(SAMPLERS, name, "rollout.sampler", Sampler)
