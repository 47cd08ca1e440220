"""Rewards to advantages, in float64: float32 rounding of the mean must never pass for a signal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o.errors import InputError
from p2o.policy.config import AdvantageName, LossConfig

EPSILON = 1e-6
"""Added to the standard deviation (the value of the method's reference runs)."""

Centered = NDArray[np.float64]
"""Rewards of a group less their mean, [G]."""


def grpo(rewards_G: Centered, centered_G: Centered) -> Centered:
    """(r_i - mean) / (std + epsilon) (method, "Symbols"; GRPO, arXiv 2402.03300 section 4.1.2).

    The standard deviation is the sample's (divisor n - 1), as in the trainers this is compared with.
    """
    deviation: Centered = centered_G / float(rewards_G.std(ddof=1) + EPSILON)
    return deviation


def dr_grpo(rewards_G: Centered, centered_G: Centered) -> Centered:
    """r_i - mean (Dr. GRPO, arXiv 2503.20783): groups that are half solved count most."""
    return centered_G


def rloo(rewards_G: Centered, centered_G: Centered) -> Centered:
    """r_i less the mean of the others, which is the centered reward times n / (n - 1) (RLOO, arXiv 2402.14740)."""
    return centered_G * (len(rewards_G) / (len(rewards_G) - 1))


def max_rl(rewards_G: Centered, centered_G: Centered) -> Centered:
    """(r_i - mean) / mean, 0 where the mean is (MaxRL, arXiv 2602.02710).

    In expectation the gradient of the log of the success rate p, expanded in 1 - p and cut off after n - 1 terms, where
    `dr_grpo` follows that of p. A mean below 0, as with punished lengths, counts as 0.
    """
    mean = rewards_G.mean()
    return centered_G / mean if mean > 0 else np.zeros_like(centered_G)


ADVANTAGES: dict[AdvantageName, Callable[[Centered, Centered], Centered]] = {
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "rloo": rloo,
    "max_rl": max_rl,
}
"""By the names of `loss.advantage`: functions of the rewards of a group that differ, and of those less their mean."""


def group_advantages(rewards_G: ArrayLike, advantage: AdvantageName = "grpo") -> NDArray[np.float64]:
    """The advantages of one group, [G]; exactly 0 when all rewards are equal, a group of one included.

    Args:
        rewards_G: rewards of one group, shape [G].
        advantage: one of `ADVANTAGES`.

    Raises:
        InputError: if the rewards are not a non-empty, finite vector.
    """
    rewards = _checked(rewards_G)
    if not has_signal(rewards):
        return np.zeros_like(rewards)
    return ADVANTAGES[advantage](rewards, rewards - rewards.mean())


def has_signal(rewards_G: ArrayLike) -> bool:
    """Whether the rewards of a group differ, so that its advantages are not all zero."""
    rewards = _checked(rewards_G)
    return bool(rewards.max() != rewards.min())


def overlong_penalties(lengths: Sequence[int], max_tokens: int, config: LossConfig) -> NDArray[np.float64]:
    """The soft overlong punishment, to be added to the rewards (DAPO, arXiv 2503.14476, equation 13).

    0 up to `max_tokens - overlong_buffer` tokens, falling linearly to -1 at `max_tokens`.

    Args:
        lengths: response lengths in tokens, shape [G].
        max_tokens: the length limit of responses.

    Raises:
        InputError: if the buffer exceeds the length limit.
    """
    lengths_G = np.asarray(lengths, dtype=np.float64)
    if config.overlong_buffer == 0:
        return np.zeros_like(lengths_G)
    if config.overlong_buffer > max_tokens:
        raise InputError(
            f"overlong_buffer is {config.overlong_buffer}, longer than responses may be ({max_tokens}): "
            "lower it"
        )
    excess = lengths_G - (max_tokens - config.overlong_buffer)
    penalties: NDArray[np.float64] = np.clip(excess / config.overlong_buffer, 0.0, 1.0)
    return -penalties


def _checked(rewards_G: ArrayLike) -> NDArray[np.float64]:
    rewards = np.asarray(rewards_G, dtype=np.float64)
    if rewards.ndim != 1 or rewards.size == 0:
        raise InputError(f"the rewards of a group must be a non-empty vector, not of shape {rewards.shape}")
    if not np.isfinite(rewards).all():
        raise InputError("the rewards of a group must be finite numbers")
    return rewards
