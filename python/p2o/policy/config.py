"""Settings of the policy update."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from p2o.settings import Settings

LossName = Literal["dapo", "grpo", "dr_grpo", "bnpo", "gspo", "cispo"]
CorrectionMode = Literal["token", "sequence", "none"]


class LossConfig(Settings):
    """The policy loss and how rewards become advantages."""

    name: LossName = "dapo"
    """The loss: `dapo` (mean over all tokens), `grpo` (mean over sequences of token means), `dr_grpo` (sum
    over sequences times the length limit), `bnpo` (TRL's name for a token mean: the same as `dapo`), `gspo`
    (sequence ratio), `cispo` (clipped importance weight)."""

    clip_low: float = Field(default=0.2, ge=0.0, le=1.0)
    """The policy ratio is clipped below at 1 - clip_low. `gspo` wants far smaller values (its paper:
    0.0003)."""

    clip_high: float = Field(default=0.2, ge=0.0, allow_inf_nan=True)
    """The policy ratio is clipped above at 1 + clip_high ("clip-higher": 0.28). `gspo`'s paper: 0.0004."""

    dual_clip: float | None = Field(default=None, gt=1.0)
    """Bound c of the loss at negative advantages: no token's objective falls below c times its advantage.
    None: no bound."""

    kl_coef: float = Field(default=0.0, ge=0.0)
    """Weight of the KL divergence to the reference policy (k3 estimator). 0: no reference policy is
    scored."""

    std_normalize: bool = True
    """Divide advantages by the standard deviation of the group. Off by default for `dr_grpo`, as in its
    paper."""

    zero_variance: Literal["keep", "drop", "refill"] = "keep"
    """Groups whose rewards are all equal: `keep` counts their tokens in the loss's denominator, `drop` leaves
    them out of the batch, `refill` rolls out further problems of the epoch in their place (dynamic sampling, DAPO,
    arXiv 2503.14476, section 3.2)."""

    refill_limit: float = Field(default=4.0, ge=1.0)
    """`refill` rolls out at most so many times `run.batch_problems` problems in a step."""

    mask_truncated: bool = False
    """Leave rollouts that ended at the length limit out of the loss (numerator and denominator)."""

    overlong_buffer: int = Field(default=0, ge=0)
    """The soft punishment of long responses sets in this many tokens before the length limit and grows linearly to a
    reward of 1 less at the limit. 0: none."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_loss(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") == "dr_grpo":
            return {"std_normalize": False, **values}
        return values

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        if self.name == "cispo" and self.dual_clip is not None:
            raise ValueError(
                "dual_clip has no meaning for the loss cispo, which clips no objective: remove it"
            )
        return self


class CorrectionConfig(Settings):
    """The engine weight: correction of the difference between the sampler's and the trainer's
    probabilities."""

    mode: CorrectionMode = "token"
    """`token`: each token's ratio, truncated at `cap`. `sequence`: 0 for every token of a sequence whose
    geometric mean ratio lies outside [sequence_low, sequence_high], else 1. `none`: 1."""

    cap: float = Field(default=2.0, ge=1.0, allow_inf_nan=True)
    """Upper bound of the per-token weight."""

    sequence_low: float = Field(default=0.95, ge=0.0, le=1.0)
    """Lower bound of a sequence's geometric mean ratio."""

    sequence_high: float = Field(default=1.05, ge=1.0, allow_inf_nan=True)
    """Upper bound of a sequence's geometric mean ratio."""

    max_gap: float | None = Field(default=None, gt=0.0, allow_inf_nan=True)
    """Largest mean difference between the sampler's and the trainer's log-probs after a weight sync, in nats a token;
    above it the run stops. Unset, by the type of the weights: 0.001 in float32, 0.02 in float16, 0.1 in bfloat16."""
