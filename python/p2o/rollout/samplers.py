"""The samplers by name."""

from __future__ import annotations

from p2o.errors import ConfigError
from p2o.plugins import look_up
from p2o.rollout.sampler import Sampler

SAMPLERS: dict[str, type[Sampler] | str] = {
    "hf": "p2o.rollout.hf:HfSampler",
    "vllm": "p2o.rollout.vllm:VllmSampler",
    "vllm-server": "p2o.rollout.vllm_server:ServerSampler",
}
"""Where the classes are: their modules import torch."""


def sampler_class(name: str) -> type[Sampler]:
    """The class that `rollout.sampler` names.

    Raises:
        ConfigError: if the import path leads to no sampler.
    """
    found = look_up(SAMPLERS, name, "rollout.sampler")
    if not (isinstance(found, type) and issubclass(found, Sampler)):
        raise ConfigError(f"rollout.sampler = {name!r} is no class derived from p2o.rollout.sampler.Sampler")
    return found
