"""What the update sees of guidance: the three values of `context.distillation`.

`rollouts` (P²O): rollouts are drawn under the templates and learnt on the plain prompt. `none`: they are learnt on the
prompt that they were drawn under. `reverse_kl`: they are drawn plain, and the policy under the template is their
teacher, token by token (on-policy context distillation, arXiv 2602.12275).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o.policy.context import Distillation, ReverseKLConfig
from p2o.policy.ratios import log_ratios
from p2o.templates import PLAIN
from p2o.types import Rollout, Template


class Guided(NamedTuple):
    """How a rollout of a guided problem is drawn and learnt."""

    drawn: Callable[[Template], tuple[Template, Template]]
    """The template that it is drawn under, and that of its teacher, from the assigned one; `PLAIN` is none."""

    prompt: Callable[[Rollout, Sequence[int]], Sequence[int]]
    """The prompt of the update, from the rollout and the plain prompt of its problem."""


DISTILLATIONS: dict[Distillation, Guided] = {
    "rollouts": Guided(lambda template: (template, PLAIN), lambda rollout, plain: plain),
    "none": Guided(lambda template: (template, PLAIN), lambda rollout, plain: rollout.prompt_ids),
    "reverse_kl": Guided(lambda template: (PLAIN, template), lambda rollout, plain: plain),
}
"""By the values of `context.distillation`."""


def reverse_kl_advantages(
    plain_logp: ArrayLike, teacher_logp: ArrayLike, config: ReverseKLConfig
) -> NDArray[np.float32]:
    """Advantages of the tokens of a plain rollout from its teacher, [T]: weight * clip(log π_T - log π).

    In expectation over the token, the gradient of its log-prob times this is, without the clip, `weight` times the
    gradient of -KL(π ‖ π_T) at its place, over the whole vocabulary, with the tokens before it as they were drawn.

    Args:
        plain_logp: log π_old(y_t | x, y_<t), [T].
        teacher_logp: log π_old(y_t | T(x, z), y_<t), [T].
        config: weight and clip.

    Raises:
        InputError: if the shapes differ or a value is not a log-probability.
    """
    log_ratio = log_ratios(teacher_logp, plain_logp, "teacher", "plain")
    return (config.weight * np.clip(log_ratio, -config.clip, config.clip)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ReverseKLStatistics:
    """Sums over tokens that have a teacher; those of two batches add up to those of both."""

    tokens: int = 0
    log_ratio: float = 0.0
    """Sum of log π - log π_T: its mean estimates the divergence, in nats a token."""
    clipped: int = 0

    @classmethod
    def of(cls, plain_logp: ArrayLike, teacher_logp: ArrayLike, clip: float) -> ReverseKLStatistics:
        """Those of one rollout."""
        log_ratio = log_ratios(plain_logp, teacher_logp, "plain", "teacher")
        return cls(log_ratio.size, float(log_ratio.sum()), int((np.abs(log_ratio) > clip).sum()))

    def __add__(self, other: ReverseKLStatistics) -> ReverseKLStatistics:
        return ReverseKLStatistics(
            self.tokens + other.tokens, self.log_ratio + other.log_ratio, self.clipped + other.clipped
        )

    def metrics(self) -> dict[str, float]:
        """`reverse_kl/mean` and `reverse_kl/clipped`; empty without tokens."""
        if self.tokens == 0:
            return {}
        return {
            "reverse_kl/mean": self.log_ratio / self.tokens,
            "reverse_kl/clipped": self.clipped / self.tokens,
        }
