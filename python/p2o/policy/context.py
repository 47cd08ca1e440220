"""The context ratio and the engine ratio of sampled tokens, and the weights made of them.

Three ratios are never mixed (method, "Symbols"): the *engine* ratio (trainer over sampler, same prompt, same
weights), the *context* ratio (plain over templated prompt, same weights, both from the trainer) and the
*policy* ratio (new over old weights, plain prompt), which belongs to the losses. Everything is computed from
differences of log-probabilities in float64, so that no ratio overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o.errors import InputError
from p2o.policy.config import ContextConfig, CorrectionConfig

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to ±20 where they are exponentiated: e^20 is beyond every bound in use."""


@dataclass(frozen=True, slots=True)
class RatioStatistics:
    """Sums over tokens of a ratio, so that the statistics of two batches add up to those of both."""

    tokens: int = 0
    ratio_sum: float = 0.0
    ratio_min: float = math.inf
    ratio_max: float = -math.inf
    low: int = 0
    """Tokens below the lower bound."""
    high: int = 0
    """Tokens above the upper bound."""

    def __add__(self, other: RatioStatistics) -> RatioStatistics:
        return RatioStatistics(
            tokens=self.tokens + other.tokens,
            ratio_sum=self.ratio_sum + other.ratio_sum,
            ratio_min=min(self.ratio_min, other.ratio_min),
            ratio_max=max(self.ratio_max, other.ratio_max),
            low=self.low + other.low,
            high=self.high + other.high,
        )

    def metrics(self, prefix: str) -> dict[str, float]:
        """`{prefix}_ratio/{mean,min,max}` and `{prefix}_mask/{frac,low,high}`; empty without tokens."""
        if self.tokens == 0:
            return {}
        return {
            f"{prefix}_ratio/mean": self.ratio_sum / self.tokens,
            f"{prefix}_ratio/min": self.ratio_min,
            f"{prefix}_ratio/max": self.ratio_max,
            f"{prefix}_mask/frac": (self.low + self.high) / self.tokens,
            f"{prefix}_mask/low": self.low / self.tokens,
            f"{prefix}_mask/high": self.high / self.tokens,
        }


def context_weight(
    plain_logp: ArrayLike, templated_logp: ArrayLike, config: ContextConfig, *, advantage: ArrayLike = 0.0
) -> NDArray[np.float32]:
    """The weight w of tokens sampled under a template (method, "Policy loss").

    Args:
        plain_logp: log π_old(y_t | x, y_<t) by the trainer, any shape.
        templated_logp: log π_old(y_t | T(x, z), y_<t) by the trainer, the same shape.
        config: mode and bounds; the bounds themselves count as inside.
        advantage: the advantage of the tokens' sequence, or of each token; only `asymmetric` looks at its sign.

    Returns:
        float32 weights of the same shape. Exactly 0 where the modes `hard` and `asymmetric` mask.

    Raises:
        InputError: if the shapes differ or a value is not a log-probability.
    """
    log_ratio = _log_ratio(plain_logp, templated_logp, "plain", "templated")
    log_low, log_high = _log(config.c_low), _log(config.c_high)
    match config.mode:
        case "hard":
            weights = ((log_ratio >= log_low) & (log_ratio <= log_high)).astype(np.float64)
        case "asymmetric":
            kept_low = (log_ratio >= log_low) | (np.asarray(advantage) >= 0.0)
            weights = (kept_low & (log_ratio <= log_high)).astype(np.float64)
        case "soft":
            weights = _exp(np.clip(log_ratio, log_low, log_high) - log_ratio)
        case "truncated":
            weights = _exp(np.minimum(log_ratio, log_high))
        case "none" | "no-distill":
            weights = np.ones_like(log_ratio)
    return weights.astype(np.float32)


def context_statistics(
    plain_logp: ArrayLike, templated_logp: ArrayLike, config: ContextConfig
) -> RatioStatistics:
    """Statistics of the context ratio of templated tokens; `low` and `high` count tokens outside the
    bounds."""
    log_ratio = _log_ratio(plain_logp, templated_logp, "plain", "templated")
    return _statistics(log_ratio, _log(config.c_low), _log(config.c_high))


def engine_weight(
    trainer_logp: ArrayLike,
    sampler_logp: ArrayLike,
    config: CorrectionConfig,
    *,
    offsets: ArrayLike | None = None,
) -> NDArray[np.float32]:
    """The weight that corrects for the sampler's engine: both sides under the prompt that was sampled from.

    Args:
        trainer_logp: log-probabilities of the sampled tokens by the trainer, shape [T].
        sampler_logp: the same by the sampler, shape [T].
        config: `token` truncates each ratio at `cap`; `sequence` keeps or drops whole sequences by the
            geometric mean of their ratios (the product would reject long sequences for their length alone).
        offsets: start of each sequence and the end of the last, shape [S + 1]; None: one sequence.

    Returns:
        float32 weights, shape [T].

    Raises:
        InputError: if the shapes differ, the offsets do not cover the tokens, or a value is not a
            log-probability.
    """
    log_ratio = _log_ratio(trainer_logp, sampler_logp, "trainer", "sampler")
    match config.mode:
        case "token":
            weights = _exp(np.minimum(log_ratio, _log(config.cap)))
        case "sequence":
            weights = np.ones_like(log_ratio)
            bounds = _checked_offsets(offsets, log_ratio)
            low, high = _log(config.sequence_low), _log(config.sequence_high)
            for start, end in pairwise(bounds.tolist()):
                if end > start and not low <= log_ratio[start:end].mean() <= high:
                    weights[start:end] = 0.0
        case "none":
            weights = np.ones_like(log_ratio)
    return weights.astype(np.float32)


def engine_statistics(
    trainer_logp: ArrayLike, sampler_logp: ArrayLike, config: CorrectionConfig
) -> RatioStatistics:
    """Statistics of the engine ratio per token; `high` counts tokens above `cap`, `low` those below its
    inverse."""
    log_ratio = _log_ratio(trainer_logp, sampler_logp, "trainer", "sampler")
    return _statistics(log_ratio, -_log(config.cap), _log(config.cap))


def _log(bound: float) -> float:
    return math.log(bound) if bound > 0.0 else -math.inf


def _log_ratio(
    numerator: ArrayLike, denominator: ArrayLike, numerator_name: str, denominator_name: str
) -> NDArray[np.float64]:
    above = np.asarray(numerator, dtype=np.float64)
    below = np.asarray(denominator, dtype=np.float64)
    if above.shape != below.shape:
        raise InputError(
            f"{numerator_name} and {denominator_name} log-probabilities must be of the same tokens: "
            f"shapes {above.shape} and {below.shape}"
        )
    for name, values in ((numerator_name, above), (denominator_name, below)):
        if not (values < 1e-3).all():  # False for NaN as well; engines round log 1 to slightly above 0
            raise InputError(f"a {name} log-probability is NaN or positive: was the model's output finite?")
    floor = -1e30  # -inf minus -inf would be NaN
    log_ratio: NDArray[np.float64] = np.maximum(above, floor) - np.maximum(below, floor)
    return log_ratio


def _exp(log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(np.clip(log_ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT))


def _statistics(log_ratio: NDArray[np.float64], log_low: float, log_high: float) -> RatioStatistics:
    if log_ratio.size == 0:
        return RatioStatistics()
    ratio = _exp(log_ratio)
    return RatioStatistics(
        tokens=int(ratio.size),
        ratio_sum=float(ratio.sum()),
        ratio_min=float(ratio.min()),
        ratio_max=float(ratio.max()),
        low=int((log_ratio < log_low).sum()),
        high=int((log_ratio > log_high).sum()),
    )


def _checked_offsets(offsets: ArrayLike | None, log_ratio: NDArray[np.float64]) -> NDArray[np.int64]:
    if log_ratio.ndim != 1:
        raise InputError(f"the mode sequence needs log-probabilities of shape [T], not {log_ratio.shape}")
    if offsets is None:
        return np.array([0, log_ratio.size])
    bounds = np.asarray(offsets, dtype=np.int64)
    if bounds.ndim != 1 or bounds.size == 0 or bounds[0] != 0 or bounds[-1] != log_ratio.size:
        raise InputError(f"offsets must run from 0 to the number of tokens, {log_ratio.size}")
    if (np.diff(bounds) < 0).any():
        raise InputError("offsets must not fall")
    return bounds
