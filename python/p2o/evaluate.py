"""Accuracy on problems the policy was not trained on: always the plain prompt, whatever was evolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from p2o.config import EvaluationConfig
from p2o.rollout.collect import Collector, RolloutRequest, generated_tokens
from p2o.rollout.sampler import Progress, SamplingParams
from p2o.seeds import derive_seed
from p2o.templates import PLAIN
from p2o.types import Problem


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean reward over problems and samples, in all and by family (`meta["family"]`, where there is one)."""

    accuracy: float
    by_family: dict[str, float]
    problems: int
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def evaluate(
    problems: Sequence[Problem],
    collector: Collector,
    config: EvaluationConfig,
    *,
    max_tokens: int,
    seed: int,
    progress: Progress | None = None,
) -> Evaluation:
    """Samples each problem `config.samples` times under the plain prompt, with the same draws at every call."""
    requests = [
        RolloutRequest(problem, PLAIN, index, derive_seed(seed, "evaluation", problem.id, index))
        for problem in problems
        for index in range(config.samples)
    ]
    params = SamplingParams(max_tokens=max_tokens, temperature=config.temperature)
    rollouts = collector.collect(requests, params, progress)
    families: dict[str, list[float]] = {}
    for request, rollout in zip(requests, rollouts, strict=True):
        family = request.problem.meta.get("family")
        if family is not None:
            families.setdefault(str(family), []).append(rollout.reward)
    return Evaluation(
        accuracy=sum(rollout.reward for rollout in rollouts) / len(rollouts),
        by_family={family: sum(rewards) / len(rewards) for family, rewards in sorted(families.items())},
        problems=len(problems),
        tokens=generated_tokens(rollouts),
    )
