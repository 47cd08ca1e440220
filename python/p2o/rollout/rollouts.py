"""Several rollouts: their groups, rewards and tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from p2o.errors import RewardError
from p2o.types import Group, Problem, Rollout


def in_groups(problems: Sequence[Problem], rollouts: Sequence[Rollout], n: int) -> list[Group]:
    """The `n` rollouts of each problem in turn, without those whose reward is not known."""
    groups = (rollouts[i * n : (i + 1) * n] for i in range(len(problems)))
    return [
        Group(problem, [rollout for rollout in group if not math.isnan(rollout.reward)])
        for problem, group in zip(problems, groups, strict=True)
    ]


def generated_tokens(rollouts: Sequence[Rollout]) -> int:
    """Response tokens of the rollouts."""
    return sum(len(rollout.response_ids) for rollout in rollouts)


def is_judged(rollout: Rollout) -> bool:
    """Whether there is a response to judge."""
    return rollout.finish_reason != "prompt_too_long"


def with_rewards(rollouts: Mapping[int, Rollout], rewards: Sequence[float]) -> dict[int, Rollout]:
    """Rollouts by their places, with the rewards of those that are judged, which are in the order of places."""
    judged = [place for place in sorted(rollouts) if is_judged(rollouts[place])]
    earned = dict(zip(judged, rewards, strict=True))
    return {p: replace(rollout, reward=float(earned.get(p, 0.0))) for p, rollout in rollouts.items()}


def all_known(rollouts: list[Rollout]) -> list[Rollout]:
    """The rollouts of an evaluation or a prompt step, of which none can be left out.

    Raises:
        RewardError: if a reward is not known.
    """
    if unknown := sum(math.isnan(rollout.reward) for rollout in rollouts):
        raise RewardError(
            f"reward.function could not judge {unknown} of {len(rollouts)} rollouts of an evaluation or a prompt step, "
            "which only training can do without: --resume goes on when it works again"
        )
    return rollouts


def told(rollout: Rollout) -> Rollout:
    """A rollout as other ranks are told of it: how long its response is, and whether it has a teacher; no tokens."""
    return replace(
        rollout,
        prompt_ids=(),
        response_ids=range(len(rollout.response_ids)),
        sampler_logprobs=(),
        text="",
        teacher_ids=rollout.teacher_ids[:1],
    )
