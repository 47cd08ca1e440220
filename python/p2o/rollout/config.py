"""Settings of the rollouts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from p2o.settings import Settings


class RolloutConfig(Settings):
    """How completions are sampled in training."""

    sampler: Literal["hf"] = "hf"
    """Who samples: `hf` is transformers, in the training process."""

    n: int = Field(6, ge=2)
    """Rollouts per problem and step (the group)."""

    temperature: float = Field(1.0, gt=0)
    """Sampling temperature. The trainer scores tokens at the same temperature."""

    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling; 1 is off. Anything else widens the gap between sampler and trainer."""

    top_k: int = Field(0, ge=0)
    """Sample among the k most likely tokens; 0 is off."""

    max_tokens: int = Field(512, ge=1)
    """Longest response, in tokens."""

    max_prompt_tokens: int = Field(1024, ge=1)
    """Longest templated prompt. A longer problem is an error; a template that makes one longer is not used."""

    batch_size: int = Field(64, ge=1)
    """Completions sampled at once by `hf`."""
