"""Rewards to advantages, in float64: float32 rounding of the mean must never pass for a signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o.errors import InputError
from p2o.policy.config import LossConfig

EPSILON = 1e-6
"""Added to the standard deviation (the value of the method's reference runs)."""


def group_advantages(
    rewards_G: ArrayLike, *, std_normalize: bool = True, epsilon: float = EPSILON
) -> NDArray[np.float64]:
    """A_i = (r_i - mean) / (std + epsilon) over one group (method, "Symbols"; GRPO, arXiv 2402.03300 section
    4.1.2).

    The standard deviation is the sample's (divisor n - 1), as in the trainers this is compared with. Exactly
    0 when all rewards are equal, a group of one included.

    Args:
        rewards_G: rewards of one group, shape [G].
        std_normalize: False leaves r_i - mean (Dr. GRPO, arXiv 2503.20783).
        epsilon: added to the standard deviation.

    Returns:
        Advantages, shape [G].

    Raises:
        InputError: if the rewards are not a non-empty, finite vector.
    """
    rewards = _checked(rewards_G)
    if not has_signal(rewards):
        return np.zeros_like(rewards)
    centered: NDArray[np.float64] = rewards - rewards.mean()
    if not std_normalize:
        return centered
    return centered / float(rewards.std(ddof=1) + epsilon)


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
