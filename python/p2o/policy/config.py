"""Settings of the policy update."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from p2o.plugins import ImportPath
from p2o.settings import Settings

LossName = Literal["dapo", "grpo", "dr_grpo", "gspo", "cispo"]
AdvantageName = Literal["grpo", "dr_grpo", "rloo", "max_rl"]
CorrectionMode = Literal["token", "sequence", "none"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Clip = Annotated[float, Field(ge=0.0, allow_inf_nan=True)]
UpperBound = Annotated[float, Field(ge=1.0, allow_inf_nan=True)]

DEFAULTS_OF_LOSS: dict[str, dict[str, Any]] = {
    "dr_grpo": {"advantage": "dr_grpo"},
    "gspo": {"clip": (3e-4, 4e-4)},
    "cispo": {"clip": (1.0, 4.0)},
}
"""Settings whose default goes by the loss."""


class LossConfig(Settings):
    """The policy loss and how rewards become advantages."""

    name: LossName | ImportPath = "dapo"
    """The loss: `dapo` (mean over all tokens), `grpo` (mean over sequences of token means), `dr_grpo` (sum
    over sequences times the length limit), `gspo` (sequence ratio), `cispo` (clipped importance weight). Else an
    import path `module:function` of a `p2o.policy.losses.Loss`."""

    clip: tuple[Share, Clip] = Field(default=(0.2, 0.2), strict=False)
    """The policy ratio is clipped to [1 - the first, 1 + the second]; "clip-higher" is [0.2, 0.28]. The default with
    `gspo` is its paper's [0.0003, 0.0004]; with `cispo`, [1, 4]: no bound below, as in its paper, and 5 above (ScaleRL,
    arXiv 2510.13786)."""

    dual_clip: UpperBound = math.inf
    """Where the advantage A is negative, a token's loss is at most this times -A, however far the policy ratio has
    grown (dual-clip PPO, arXiv 1912.09729, equation 5); beyond, it has no gradient. `inf` is no bound. Not with
    `cispo`, which clips nothing but a constant; a loss of your own sees to it itself."""

    kl_coef: float = Field(default=0.0, ge=0.0)
    """Weight of the KL divergence to the reference policy (k3 estimator). 0: no reference policy is scored."""

    advantage: AdvantageName = "grpo"
    """The advantage of a rollout, from the rewards of its group: `dr_grpo`, its reward less the mean (the default with
    the loss `dr_grpo`); `grpo`, that over the standard deviation; `rloo`, its reward less the mean of the others;
    `max_rl`, less the mean and over it, so that groups with few successes count more."""

    zero_variance: Literal["keep", "drop", "refill"] = "keep"
    """Groups whose rewards are all equal: `keep` counts their tokens in the loss's denominator, `drop` leaves
    them out of the batch, `refill` rolls out further problems of the epoch in their place (dynamic sampling, DAPO,
    arXiv 2503.14476, section 3.2)."""

    mask_truncated: bool = False
    """Leave rollouts that ended at the length limit out of the loss (numerator and denominator)."""

    overlong_buffer: int = Field(default=0, ge=0)
    """The soft punishment of long responses sets in this many tokens before the length limit and grows linearly to a
    reward of 1 less at the limit. 0: none."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_loss(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {**DEFAULTS_OF_LOSS.get(str(values.get("name")), {}), **values}
        return values

    @model_validator(mode="after")
    def _dual_clip_has_a_surrogate(self) -> Self:
        if self.name == "cispo" and self.dual_clip < math.inf:
            raise ValueError(
                f'dual_clip = {self.dual_clip:g} bounds a clipped surrogate, which loss.name = "cispo" has none of: '
                "leave it out"
            )
        return self


class CorrectionConfig(Settings):
    """The engine weight: correction of the difference between the sampler's and the trainer's probabilities."""

    old_logprobs: Literal["auto", "trainer", "sampler"] = "auto"
    """Where the old log-probs of rollouts come from that are learnt on the prompt they were drawn under. `trainer`: a
    forward pass before the update. `auto`: the same, but for the first optimizer step after the sampling from the
    update itself, whose policy ratio is 1. `sampler`: from the sampler, with no engine weight; the policy ratio then
    holds the difference of the engines too."""

    mode: CorrectionMode = "token"
    """`token`: each token's ratio, truncated at the upper one of `bounds`. `sequence`: 0 for every token of a sequence
    whose geometric mean ratio lies outside `bounds`, else 1 (not with `rollout.top_p` or `top_k`). `none`: 1."""

    bounds: tuple[Share, UpperBound] | None = Field(default=None, strict=False)
    """Bounds of the ratio. Unset, [0, 2] in mode `token`, which has no lower bound, and [0.95, 1.05] in mode
    `sequence`."""

    max_gap: float | None = Field(default=None, gt=0.0, allow_inf_nan=True)
    """Largest mean difference between the sampler's and the trainer's log-probs after a weight sync (with the sampler
    `hf` at the start of a run), in nats a token; above it the run stops. Unset, by the type of the weights: 0.001 in
    float32, 0.02 in float16 and in float32 under vLLM on a GPU (its attention uses TF32), 0.1 in bfloat16; in
    float16 and bfloat16 twice as much with `hf`."""

    @model_validator(mode="after")
    def _no_lower_bound_of_tokens(self) -> Self:
        if self.mode == "token" and self.bounds is not None and self.bounds[0] > 0:
            raise ValueError('bounds must begin with 0, since correction.mode = "token" has no lower one')
        return self

    def bounds_in(self, mode: Literal["token", "sequence"]) -> tuple[float, float]:
        """The bounds of the mode's ratio; its usual ones where the mode is another."""
        usual = (0.0, 2.0) if mode == "token" else (0.95, 1.05)
        return self.bounds if self.bounds is not None and self.mode == mode else usual
