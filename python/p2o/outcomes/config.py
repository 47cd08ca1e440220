"""Settings of mining and of assignment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from p2o.settings import Settings


class MiningConfig(Settings):
    """Which training samples count as hard."""

    near_hard: bool = True
    """Whether samples with exactly one success (in a group of at least two) are hard too."""

    success: float = Field(default=1.0, gt=0, le=1)
    """Reward from which a rollout counts as a success, wherever successes are counted."""

    min_count: int = Field(default=100, ge=2)
    """With fewer hard samples the prompt step is skipped and the next epoch is plain GRPO."""

    recheck: bool = False
    """Roll each hard sample out once more when the epoch ends, plain, and leave out those that succeed: the epoch's
    first groups were judged by an older policy, and problems that the plain prompt solves by now decide which templates
    are found. The rollouts are the prompt step's."""


class AssignConfig(Settings):
    """Which templates the rollouts of a hard sample get."""

    rule: Literal["paper", "thompson"] = "thompson"
    """`paper`: drawn by mean dev score, on a dev sample among the templates that solve it. `thompson`: for
    each rollout the template with the highest draw from its posterior on this sample."""

    plain_rollouts: int = Field(default=1, ge=0)
    """Rollouts of each hard sample without a template."""
