"""Policy losses: pure functions of the streams of a micro-batch and the counts of the whole optimizer batch.

To add one: a file with a function `(streams, counts, config) -> LossOutput`, a name in `LossConfig.name`, a
line in `LOSSES`. Each token's term is multiplied by its context weight and its engine weight, and the sum of
the losses of all micro-batches must be the loss of the whole batch.
"""

from collections.abc import Callable

from p2o.policy.config import LossConfig, LossName
from p2o.policy.losses.cispo import cispo
from p2o.policy.losses.common import LossOutput
from p2o.policy.losses.dapo import dapo
from p2o.policy.losses.dr_grpo import dr_grpo
from p2o.policy.losses.grpo import grpo
from p2o.policy.losses.gspo import gspo
from p2o.policy.streams import GlobalCounts, TokenStreams

LOSSES: dict[LossName, Callable[[TokenStreams, GlobalCounts, LossConfig], LossOutput]] = {
    "dapo": dapo,
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "bnpo": dapo,  # TRL's divides by each process's own tokens; no loss here depends on how a batch is spread
    "gspo": gspo,
    "cispo": cispo,
}

__all__ = ["LOSSES", "LossOutput"]
