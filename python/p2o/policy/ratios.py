"""Ratios of token probabilities: what the context ratio and the engine ratio share, and the engine weight.

Three ratios are never mixed (method, "Symbols"): the *engine* ratio (trainer over sampler, same prompt, same
weights), the *context* ratio (plain over templated prompt, same weights, both from the trainer) and the
*policy* ratio (new over old weights, plain prompt), which belongs to the losses. Everything is computed from
differences of log-probabilities in float64, so that no ratio overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2o.errors import InputError
from p2o.policy.config import CorrectionConfig

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to ±20 where they are exponentiated: e^20 is beyond every bound in use."""


@dataclass(frozen=True, slots=True)
class RatioStatistics:
    """Sums over tokens of a ratio, so that the statistics of two batches add up to those of both."""

    tokens: int = 0
    ratio_sum: float = 0.0
    log_sum: float = 0.0
    """Sum of the log-ratios, each within ±20."""
    ratio_min: float = math.inf
    ratio_max: float = -math.inf
    low: int = 0
    """Tokens below the lower bound."""
    high: int = 0
    """Tokens above the upper bound."""
    masked: int = 0
    """Tokens of weight 0, whichever rule gave it."""

    def __add__(self, other: RatioStatistics) -> RatioStatistics:
        return RatioStatistics(
            tokens=self.tokens + other.tokens,
            ratio_sum=self.ratio_sum + other.ratio_sum,
            log_sum=self.log_sum + other.log_sum,
            ratio_min=min(self.ratio_min, other.ratio_min),
            ratio_max=max(self.ratio_max, other.ratio_max),
            low=self.low + other.low,
            high=self.high + other.high,
            masked=self.masked + other.masked,
        )

    def metrics(self, prefix: str) -> dict[str, float]:
        """`{prefix}_ratio/{mean,min,max}` and `{prefix}_mask/{frac,low,high}`; empty without tokens."""
        if self.tokens == 0:
            return {}
        return {
            f"{prefix}_ratio/mean": self.ratio_sum / self.tokens,
            f"{prefix}_ratio/min": self.ratio_min,
            f"{prefix}_ratio/max": self.ratio_max,
            f"{prefix}_mask/frac": self.masked / self.tokens,
            f"{prefix}_mask/low": self.low / self.tokens,
            f"{prefix}_mask/high": self.high / self.tokens,
        }


NO_TOKENS = RatioStatistics()
"""The statistics of nothing."""


def engine_weight(
    trainer_logp: ArrayLike, sampler_logp: ArrayLike, config: CorrectionConfig
) -> NDArray[np.float32]:
    """float32 weights [T] that correct for the sampler's engine, of the tokens of one sequence.

    Both log-probabilities [T] are under the prompt that was sampled from. `token` truncates each ratio;
    `sequence` keeps or drops the whole sequence by the geometric mean of its ratios (the product would reject long
    sequences for their length alone).

    Raises:
        InputError: if the shapes differ or a value is not a log-probability.
    """
    log_ratio = log_ratios(trainer_logp, sampler_logp, "trainer", "sampler")
    weights = np.ones_like(log_ratio)
    match config.mode:
        case "token":
            weights = clamped_exp(np.minimum(log_ratio, log_bound(config.bounds_in("token")[1])))
        case "sequence":
            low, high = map(log_bound, config.bounds_in("sequence"))
            if log_ratio.size and not low <= log_ratio.mean() <= high:
                weights = np.zeros_like(log_ratio)
    return weights.astype(np.float32)


def engine_statistics(
    trainer_logp: ArrayLike,
    sampler_logp: ArrayLike,
    config: CorrectionConfig,
    weights: ArrayLike | None = None,
) -> RatioStatistics:
    """Statistics of the engine ratio per token; `high` counts tokens that mode `token` truncates, `low` those below the
    inverse of its bound, `masked` those whose one of `weights` is 0."""
    log_ratio = log_ratios(trainer_logp, sampler_logp, "trainer", "sampler")
    bound = log_bound(config.bounds_in("token")[1])
    return ratio_statistics(log_ratio, -bound, bound, weights)


def log_bound(bound: float) -> float:
    """The logarithm of a ratio's bound; 0 is no bound."""
    return math.log(bound) if bound > 0.0 else -math.inf


def log_ratios(
    numerator: ArrayLike, denominator: ArrayLike, numerator_name: str, denominator_name: str
) -> NDArray[np.float64]:
    """log(numerator / denominator) of log-probabilities, in float64.

    Raises:
        InputError: if the shapes differ or a value is not a log-probability.
    """
    above = np.asarray(numerator, dtype=np.float64)
    below = np.asarray(denominator, dtype=np.float64)
    if above.shape != below.shape:
        raise InputError(
            f"{numerator_name} and {denominator_name} log-probabilities must be of the same tokens: "
            f"shapes {above.shape} and {below.shape}"
        )
    check_logprobs(above, numerator_name)
    check_logprobs(below, denominator_name)
    floor = -1e30  # -inf minus -inf would be NaN
    log_ratio: NDArray[np.float64] = np.maximum(above, floor) - np.maximum(below, floor)
    return log_ratio


def check_logprobs(values: NDArray[Any], name: str) -> None:
    """Refuses what is not a log-probability. Raises InputError."""
    if not (values < 1e-3).all():  # False for NaN as well; engines round log 1 to slightly above 0
        raise InputError(f"a {name} log-probability is NaN or positive: was the model's output finite?")


def clamped_exp(log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ratio, within e^±20."""
    return np.exp(np.clip(log_ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT))


def ratio_statistics(
    log_ratio: NDArray[np.float64], log_low: float, log_high: float, weights: ArrayLike | None = None
) -> RatioStatistics:
    """Statistics of the tokens of one sequence; `low` and `high` count those outside the bounds, `masked` those of
    weight 0 (without `weights` those outside)."""
    if log_ratio.size == 0:
        return RatioStatistics()
    ratio = clamped_exp(log_ratio)
    outside = (log_ratio < log_low) | (log_ratio > log_high)
    masked = outside if weights is None else np.asarray(weights) == 0.0
    return RatioStatistics(
        tokens=int(ratio.size),
        ratio_sum=float(ratio.sum()),
        log_sum=float(np.clip(log_ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).sum()),
        ratio_min=float(ratio.min()),
        ratio_max=float(ratio.max()),
        low=int((log_ratio < log_low).sum()),
        high=int((log_ratio > log_high).sum()),
        masked=int(masked.sum()),
    )
