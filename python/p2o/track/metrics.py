"""The figures of a training step, under TRL's names where it has one."""

from __future__ import annotations

from collections.abc import Sequence

from p2o.outcomes.outcomes import Outcomes
from p2o.seeds import derive_seed
from p2o.templates import PLAIN
from p2o.types import Group


def rollout_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Rewards, lengths and entropy of a step's rollouts.

    `entropy`, in nats a token, is estimated from the tokens that were drawn: the mean of -log p, where p is the
    distribution they were drawn from (with its temperature and top-p).
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]

    def mean(values: Sequence[float]) -> float:
        return sum(values) / max(1, len(rollouts))

    tokens = sum(len(rollout.sampler_logprobs) for rollout in rollouts)
    return {
        "reward": mean([rollout.reward for rollout in rollouts]),
        "frac_reward_zero_std": sum(len({r.reward for r in g.rollouts}) == 1 for g in groups) / len(groups),
        "completions/mean_length": mean([len(rollout.response_ids) for rollout in rollouts]),
        "completions/clipped_ratio": mean([rollout.finish_reason == "length" for rollout in rollouts]),
        "entropy": -sum(sum(rollout.sampler_logprobs) for rollout in rollouts) / max(1, tokens),
        "templated/frac": mean([rollout.template_id != PLAIN.id for rollout in rollouts]),
    }


def followed_first(groups: Sequence[Group], outcomes: Outcomes) -> list[Group]:
    """The groups in the order in which they are worth reading: first of problems that were hard when they were met, and
    in an order of the problems that is the same in every step. The same few can then be followed through a run."""

    def order(group: Group) -> tuple[bool, int]:
        identity = group.problem.id
        return not outcomes.began_hard(identity), derive_seed(0, "followed", identity)

    return sorted(groups, key=order)


def over_mini_batches(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """The figures of a step from those of its mini-batches: extremes of extremes, else means. In order of names."""
    names = sorted({name for part in parts for name in part})
    return {name: _over(name, [part[name] for part in parts if name in part]) for name in names}


def _over(name: str, values: Sequence[float]) -> float:
    if name.endswith("/min"):
        return min(values)
    return max(values) if name.endswith("/max") else sum(values) / len(values)
