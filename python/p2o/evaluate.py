"""Accuracy on problems the policy was not trained on, under the plain prompt unless another template is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

from p2o.config import Config
from p2o.intervals import Interval, share_interval
from p2o.rollout.collect import Collector, RolloutRequest
from p2o.rollout.rollouts import all_known, generated_tokens
from p2o.rollout.sampler import Progress, SamplingParams
from p2o.seeds import derive_seed
from p2o.templates import PLAIN
from p2o.types import Problem, Template


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Rewards over problems and samples, in all and by family (`meta["family"]`, where there is one)."""

    rewards_PK: list[list[float]]
    """Rewards of each problem's K samples."""

    families_P: list[str | None]
    """The family of each problem."""

    tokens: int
    """Generated tokens."""

    @property
    def problems(self) -> int:
        """Number of problems."""
        return len(self.rewards_PK)

    @property
    def accuracy(self) -> float:
        """Mean reward."""
        return fmean(chain.from_iterable(self.rewards_PK))

    @property
    def by_family(self) -> dict[str, float]:
        """Mean reward of each family."""
        return {name: fmean(self._means(name)) for name in self._families()}

    @property
    def best(self) -> float:
        """Mean over problems of the best sample's reward: with rewards of 0 and 1, pass@K."""
        return fmean(max(rewards) for rewards in self.rewards_PK)

    def interval(self) -> Interval:
        """Accuracy with its bootstrap interval over problems (95%).

        Problems are drawn with all their samples: those of one problem are not independent. Where all problems are
        solved, or none, the interval is the exact one of Clopper and Pearson (1934).
        """
        return share_interval(self._means(None))

    def intervals(self) -> dict[str, Interval]:
        """The same of each family."""
        return {name: share_interval(self._means(name)) for name in self._families()}

    def metrics(self) -> dict[str, float]:
        """Accuracies and the ends of their intervals by the names of metrics.

        `evaluation/accuracy`, `evaluation/low`, `evaluation/high`; of families `evaluation/accuracy/FAMILY` and so on.
        `evaluation/problems` is how many problems there were.
        """
        found = {"": self.interval()} | {f"/{name}": one for name, one in self.intervals().items()}
        return {
            **{f"evaluation/accuracy{suffix}": one.mean for suffix, one in found.items()},
            **{f"evaluation/low{suffix}": one.low for suffix, one in found.items()},
            **{f"evaluation/high{suffix}": one.high for suffix, one in found.items()},
            "evaluation/problems": self.problems,
        }

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        interval = self.interval()
        return {
            "accuracy": self.accuracy,
            "interval": [interval.low, interval.high],
            "by_family": self.by_family,
            "family_intervals": {name: [one.low, one.high] for name, one in self.intervals().items()},
            "best": self.best,
            "samples": len(self.rewards_PK[0]),
            "problems": self.problems,
            "tokens": self.tokens,
        }

    def _families(self) -> list[str]:
        return sorted({family for family in self.families_P if family is not None})

    def _means(self, family: str | None) -> list[float]:
        rows = zip(self.families_P, self.rewards_PK, strict=True)
        return [fmean(rewards) for name, rewards in rows if family is None or name == family]


def evaluation_requests(
    problems: Sequence[Problem], config: Config, template: Template = PLAIN
) -> list[RolloutRequest]:
    """The `evaluation.samples` completions of each problem in turn, with the same draws at every call."""
    return [
        RolloutRequest(
            problem, template, index, derive_seed(config.run.seed, "evaluation", problem.id, index)
        )
        for problem in problems
        for index in range(config.evaluation.samples)
    ]


def evaluation_params(config: Config) -> SamplingParams:
    """How completions of evaluations are drawn."""
    return SamplingParams(config.rollout.max_tokens, config.evaluation.temperature)


def evaluate(
    problems: Sequence[Problem],
    collector: Collector,
    config: Config,
    progress: Progress | None = None,
    template: Template = PLAIN,
) -> Evaluation:
    """Samples each problem `evaluation.samples` times under a template, with the same draws at every call."""
    k = config.evaluation.samples
    requests = evaluation_requests(problems, config, template)
    rollouts = all_known(collector.collect(requests, evaluation_params(config), progress))
    rewards = [rollout.reward for rollout in rollouts]
    return Evaluation(
        rewards_PK=[rewards[i * k : (i + 1) * k] for i in range(len(problems))],
        families_P=[family_of(problem) for problem in problems],
        tokens=generated_tokens(rollouts),
    )


def family_of(problem: Problem) -> str | None:
    """The family by which a problem's accuracy is broken down, if it has one."""
    family = problem.meta.get("family")
    return None if family is None else str(family)
