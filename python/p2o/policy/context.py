"""Context distillation: the prompt of the update, and what a token sampled under a template counts there.

The context ratio c of a token is its probability on the plain prompt over that under the template, both by the
trainer with the weights that sampled. A mode makes a weight of it. To add one: a name in `ContextMode`
and a line in `CONTEXT_WEIGHTS`; or a function of your own, named by its import path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from p2o.errors import InputError
from p2o.plugins import ImportPath, look_up
from p2o.policy.ratios import RatioStatistics, clamped_exp, log_bound, log_ratios, ratio_statistics
from p2o.settings import Settings

ContextMode = Literal["hard", "asymmetric", "soft", "truncated", "none"]
Distillation = Literal["rollouts", "none", "reverse_kl"]


class ReverseKLConfig(Settings):
    """How plain rollouts learn from the policy under a template, by `context.distillation = "reverse_kl"`."""

    weight: float = Field(default=1.0, gt=0.0)
    """Factor of a token's advantage from its teacher: the log of its probability under the template over the plain
    one."""

    clip: float = Field(default=2.0, gt=0.0)
    """Largest size of that logarithm, in nats: single tokens would else outweigh all others."""

    reward_weight: float = Field(default=1.0, ge=0.0)
    """Factor of the advantage from the reward, on rollouts that have a teacher. 0: the teacher alone (OPCD)."""


class ContextConfig(Settings):
    """Context distillation: on which prompt the policy is updated, and how tokens sampled under a template count."""

    distillation: Distillation = "rollouts"
    """What the update sees of a template. `rollouts`: rollouts drawn under it, learnt on the plain prompt as if it had
    not been there. `none`: the same, learnt on the prompt that they were drawn under; nothing is distilled.
    `reverse_kl`: plain rollouts; each token is compared with what the policy would say under the template."""

    reverse_kl: ReverseKLConfig = ReverseKLConfig()
    """Weights of `reverse_kl`."""

    mode: ContextMode | ImportPath = "asymmetric"
    """What a token sampled under a template counts in the update on the plain prompt. `hard`: 1 inside [c_low, c_high],
    0 outside. `asymmetric`: as `hard`, but below c_low only tokens of a negative advantage count 0: what the plain
    prompt hardly ever says and was rewarded is what there is to learn, whatever its ratio. `soft`: clip(c)/c.
    `truncated`: min(c, c_high), the truncated importance weight. `none`: 1. Else an import path `module:function`."""

    failures: Literal["keep", "drop"] = "keep"
    """Rollouts under a template that did not succeed (`mining.success`). `drop` leaves them out of the loss, numerator
    and denominator; advantages are those within the whole group all the same."""

    c_low: float = Field(default=0.01, ge=0.0, le=1.0)
    """Lower bound of the context ratio c, plain over templated probability of the token."""

    c_high: float = Field(default=10.0, ge=1.0, allow_inf_nan=True)  # inf: no bound
    """Upper bound of the context ratio."""


ContextWeight = Callable[[Any, Any, float, float], Any]
"""(log c, advantage, log c_low, log c_high) -> weights: float64 arrays of one shape. The bounds count as inside."""

CONTEXT_WEIGHTS: dict[ContextMode, ContextWeight] = {
    "hard": lambda c, advantage, low, high: (c >= low) & (c <= high),
    "asymmetric": lambda c, advantage, low, high: ((c >= low) | (advantage >= 0.0)) & (c <= high),
    "soft": lambda c, advantage, low, high: clamped_exp(np.clip(c, low, high) - c),
    "truncated": lambda c, advantage, low, high: clamped_exp(np.minimum(c, high)),
    "none": lambda c, advantage, low, high: np.ones_like(c),
}


def context_weight(
    plain_logp: ArrayLike, templated_logp: ArrayLike, config: ContextConfig, *, advantage: ArrayLike = 0.0
) -> NDArray[np.float32]:
    """The weight w of tokens sampled under a template (method, "Policy loss"): float32, exactly 0 where it masks.

    Args:
        plain_logp: log π_old(y_t | x, y_<t) by the trainer, any shape.
        templated_logp: log π_old(y_t | T(x, z), y_<t) by the trainer, the same shape.
        config: mode and bounds.
        advantage: the advantage of the tokens' sequence, or of each token.

    Raises:
        InputError: if the shapes differ, a value is not a log-probability, or a mode of your own returns something else
            than finite weights of that shape.
    """
    log_c = log_ratios(plain_logp, templated_logp, "plain", "templated")
    weigh = look_up(CONTEXT_WEIGHTS, config.mode, "context.mode")
    advantages = np.broadcast_to(np.asarray(advantage, dtype=np.float64), log_c.shape)
    weights = np.asarray(weigh(log_c, advantages, log_bound(config.c_low), log_bound(config.c_high)))
    if weights.shape != log_c.shape or not np.isfinite(weights).all():
        raise InputError(
            f"context.mode = {config.mode!r} made no finite weights of shape {log_c.shape}: shape {weights.shape}"
        )
    return weights.astype(np.float32)


def context_statistics(
    plain_logp: ArrayLike, templated_logp: ArrayLike, config: ContextConfig, weights: ArrayLike | None = None
) -> RatioStatistics:
    """Statistics of the context ratio of templated tokens; `low` and `high` count tokens outside the bounds, `masked`
    those whose one of `weights` is 0."""
    log_c = log_ratios(plain_logp, templated_logp, "plain", "templated")
    return ratio_statistics(log_c, log_bound(config.c_low), log_bound(config.c_high), weights)
