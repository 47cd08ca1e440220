"""TRL's own vLLM engine (`use_vllm=True`, `vllm_mode="colocate"`), as p2o's sampler."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from p2o.rollout.sampler import Ended, Progress, SampleRequest, SamplingParams
from p2o.rollout.vllm import VllmSampler


class TrainersEngine(VllmSampler):
    """Samples from the engine that the trainer has started, and brings its weights up to date before it does."""

    def __init__(self, trainer: Any, end_ids: Sequence[int], at_once: int) -> None:
        self.trainer = trainer
        self.llm = trainer.vllm_generation.llm
        self.end_ids = sorted(end_ids)
        self.max_model_len = self.llm.llm_engine.model_config.max_model_len
        self.at_once = at_once
        self.asleep = False
        self.version = "of the trainer"
        self._given_up = 0

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        """See [`p2o.rollout.sampler.Sampler.stream`][]. TRL pushes weights before a batch, not before a prompt step."""
        trainer = self.trainer
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step
        yield from super().stream(requests, params, progress, at_once)
