"""An engine lent to the reflection model: a run's own, which is a vLLM engine, with other weights than the policy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from p2o.rollout.sampler import Progress, Sample, Sampler, SampleRequest, SamplingParams

if TYPE_CHECKING:
    from p2o.policy.weights import Weights


class LentSampler(Sampler):
    """Samples from `weights` through `sampler`, which has those of `owner` before and after.

    Two pushes a call, and no second engine in memory. All ranks call it together.
    """

    def __init__(self, sampler: Sampler, weights: Weights, owner: Weights) -> None:
        self.sampler = sampler
        self.weights = weights
        self.owner = owner
        self.ranks_per_engine = sampler.ranks_per_engine
        self.max_model_len = sampler.max_model_len

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """One sample per request, in request order."""
        self.sampler.sync(self.weights)
        try:
            return self.sampler.sample(requests, params, progress)
        finally:
            self.sampler.sync(self.owner)

    def sync(self, policy: Weights) -> None:
        """Its weights are frozen; the engine's owner is from now on `policy`."""
        self.owner = policy


class BareSampler(Sampler):
    """Samples from the weights under the adapters of `sampler`: the policy as it was at the start, without a push."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.ranks_per_engine = sampler.ranks_per_engine
        self.max_model_len = sampler.max_model_len

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """One sample per request, in request order."""
        adapter, self.sampler.adapter = self.sampler.adapter, None
        try:
            return self.sampler.sample(requests, params, progress)
        finally:
            self.sampler.adapter = adapter

    def sync(self, policy: Weights) -> None:
        """Nothing: what is under the adapters is frozen."""
