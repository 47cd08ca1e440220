"""Rows that need no scoring pass: no optimizer step lies between their sampling and their update.

Their old log-probs are those that the update computes anyway, and the policy ratio is 1. Until then `old_logp` is NaN.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from p2o.packing import IGNORED_LABEL, MicroBatch
from p2o.policy.config import CorrectionConfig
from p2o.policy.ratios import NO_TOKENS, RatioStatistics, engine_statistics, engine_weight


def complete(
    batch: MicroBatch, logp_N: Tensor, correction: CorrectionConfig
) -> tuple[MicroBatch, RatioStatistics]:
    """Gives the rows whose `old_logp` is NaN the log-probs of the update, and their engine weights.

    Args:
        batch: a micro-batch; with such rows it has the stream `sampler_logp`.
        logp_N: log-probs of the update where `batch.labels` is not -100, in order, shape [N].
        correction: the rule of the engine weight.

    Returns:
        The micro-batch with its streams complete, and the statistics of those rows' engine ratios.
    """
    labelled = batch.labels != IGNORED_LABEL
    missing = np.isnan(batch.streams["old_logp"][labelled])
    statistics = NO_TOKENS
    if not missing.any():
        return batch, statistics
    own = logp_N.detach().cpu().numpy()
    sampler = batch.streams["sampler_logp"][labelled]
    weights = batch.streams["engine_weight"][labelled]
    # Log-probs that are no numbers make a loss that is none, and every rank says so: here a single one would.
    if np.isfinite(own).all():
        ends = np.bincount(batch.sequence_id[labelled], minlength=len(batch.rows)).cumsum()
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            if missing[start:end].any():
                pair = own[start:end], sampler[start:end]
                weights[start:end] = engine_weight(*pair, correction)
                statistics += engine_statistics(*pair, correction, weights[start:end])
    streams = {name: values.copy() for name, values in batch.streams.items()}
    streams["old_logp"][labelled] = np.where(missing, own, streams["old_logp"][labelled])
    streams["engine_weight"][labelled] = weights
    return replace(batch, streams=streams), statistics
