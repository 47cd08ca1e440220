"""Settings of mining and of assignment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from p2o.settings import Settings


class MiningConfig(Settings):
    """Which training problems count as hard."""

    near_hard: bool = True
    """Whether problems with exactly one success (in a group of at least two) are hard too."""

    success: float = Field(default=1.0, gt=0, le=1)
    """Reward from which a rollout counts as a success, wherever successes are counted."""

    min_count: int = Field(default=100, ge=2)
    """With fewer hard problems the prompt step is skipped and the next epoch is plain GRPO."""


class AssignConfig(Settings):
    """Which templates the rollouts of a hard problem get."""

    rule: Literal["paper", "thompson"] = "thompson"
    """`paper`: drawn by mean dev score, on a dev problem among the templates that solve it. `thompson`: for
    each rollout the template with the highest draw from its posterior on this problem."""

    per_group: bool = False
    """Whether all rollouts of a group that get a template get the same one; otherwise each has a draw of its own."""

    plain_rollouts: int = Field(default=1, ge=0)
    """Rollouts of each hard problem without a template."""

    rehearsal: int = Field(default=1, ge=0)
    """Rollouts of each problem that is no longer hard under the template that last solved it in training, so that it is
    not forgotten while others are learnt; where it becomes hard again, that template is one of those drawn from."""
