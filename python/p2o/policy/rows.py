"""From verified groups to what the update needs: rows with advantages, and the three ratios made into weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p2o.policy.advantages import group_advantages, has_signal, overlong_penalties
from p2o.policy.config import ContextConfig, CorrectionConfig, LossConfig
from p2o.policy.context import (
    RatioStatistics,
    context_statistics,
    context_weight,
    engine_statistics,
    engine_weight,
)
from p2o.templates import PLAIN
from p2o.types import Group, Rollout

Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]
"""(prompt ids, response ids) pairs."""

Score = Callable[[Sequences], list[NDArray[np.float32]]]
"""Log-probs of each response under the current weights, [T] each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rollout in the update. Streams are [T] over its response tokens."""

    prompt_ids: Sequence[int]
    """The prompt of the *update*: plain, whatever the rollout was sampled under (except in mode `no-distill`)."""
    rollout: Rollout
    advantage: float
    counted: bool
    """Whether its tokens are in the loss (False: truncated and masked)."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with the log-probs and weights that stay fixed during the update."""

    row: Row
    old_logp_T: NDArray[np.float32]
    context_weight_T: NDArray[np.float32]
    engine_weight_T: NDArray[np.float32]
    ref_logp_T: NDArray[np.float32] | None = None


def shaped_rewards(group: Group, loss: LossConfig, max_tokens: int) -> NDArray[np.float64]:
    """Rewards of a group as advantages are computed from them: with the soft overlong punishment, [G]."""
    lengths = [len(rollout.response_ids) for rollout in group.rollouts]
    return np.array(group.rewards_G) + overlong_penalties(lengths, max_tokens, loss)


def enters_update(group: Group, loss: LossConfig, max_tokens: int) -> bool:
    """Whether the group has a part in the loss under `zero_variance`."""
    return loss.zero_variance == "keep" or has_signal(shaped_rewards(group, loss, max_tokens))


def make_rows(
    groups: Sequence[Group],
    plain_prompt: Callable[[Group], Sequence[int]],
    loss: LossConfig,
    context: ContextConfig,
    max_tokens: int,
) -> list[Row]:
    """Rows of the groups that are trained on, advantages within each group.

    Context distillation is this line: the update's prompt is the plain one.
    """
    rows = []
    for group in groups:
        if not enters_update(group, loss, max_tokens):
            continue
        advantages = group_advantages(
            shaped_rewards(group, loss, max_tokens), std_normalize=loss.std_normalize
        )
        plain = plain_prompt(group)
        for rollout, advantage in zip(group.rollouts, advantages, strict=True):
            rows.append(
                Row(
                    prompt_ids=rollout.prompt_ids if context.mode == "no-distill" else plain,
                    rollout=rollout,
                    advantage=float(advantage),
                    counted=not (loss.mask_truncated and rollout.finish_reason == "length"),
                )
            )
    return rows


def needs_forward(row: Row, loss: LossConfig, context: ContextConfig) -> bool:
    """False where the row's loss and gradient are known to be exactly 0 and only its length counts."""
    return row.counted and (row.advantage != 0.0 or loss.kl_coef > 0 or context.renormalize)


def score_rows(
    rows: Sequence[Row],
    score: Score,
    reference: Score | None,
    context: ContextConfig,
    correction: CorrectionConfig,
) -> tuple[list[ScoredRow], dict[str, float]]:
    """Old log-probs and weights of the rows, and the statistics of the context and engine ratios.

    Two forward passes: the update's prompt for every row, the templated prompt only for rows where it differs.
    """
    old = score([(row.prompt_ids, row.rollout.response_ids) for row in rows])
    templated = [i for i, row in enumerate(rows) if tuple(row.prompt_ids) != tuple(row.rollout.prompt_ids)]
    sampled_under = list(old)
    scored = score([(rows[i].rollout.prompt_ids, rows[i].rollout.response_ids) for i in templated])
    for i, logp in zip(templated, scored, strict=True):
        sampled_under[i] = logp
    ref = reference([(r.prompt_ids, r.rollout.response_ids) for r in rows]) if reference is not None else None
    distilled = set(templated)
    context_ratio, engine_ratio = RatioStatistics(), RatioStatistics()
    result = []
    for i, row in enumerate(rows):
        weight = np.ones_like(old[i])
        if i in distilled:
            weight = context_weight(old[i], sampled_under[i], context, advantage=row.advantage)
            context_ratio += context_statistics(old[i], sampled_under[i], context)
        sampler_logp = np.asarray(row.rollout.sampler_logprobs, dtype=np.float32)
        engine_ratio += engine_statistics(sampled_under[i], sampler_logp, correction)
        result.append(
            ScoredRow(
                row=row,
                old_logp_T=old[i],
                context_weight_T=weight,
                engine_weight_T=engine_weight(sampled_under[i], sampler_logp, correction),
                ref_logp_T=None if ref is None else ref[i],
            )
        )
    return result, {**context_ratio.metrics("context"), **engine_ratio.metrics("engine")}


def is_templated(rollout: Rollout) -> bool:
    """Whether the rollout was sampled under a template."""
    return rollout.template_id != PLAIN.id
