"""Settings of guidance."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from p2o.plugins import ImportPath
from p2o.settings import Settings

GuidanceKind = Literal["evolve", "self_hint", "solution_prefix"]

GUIDANCES: dict[str, str] = {
    "evolve": "p2o.guidance.evolved:Evolved",
    "self_hint": "p2o.guidance.self_hint:SelfHint",
    "solution_prefix": "p2o.guidance.solution_prefix:SolutionPrefix",
}
"""Where the classes are, by `guidance.kind`."""

WITHOUT_REFLECTION = frozenset({"solution_prefix"})
"""Kinds that ask no reflection model."""

PLACEHOLDERS = {"self_hint": "{problem}", "solution_prefix": "{prefix}"}
"""What `guidance.prompt` must hold."""

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class GuidanceConfig(Settings):
    """Where the guidance of hard problems comes from, when, and what it may spend."""

    kind: GuidanceKind | ImportPath = "evolve"
    """`evolve`: templates for many problems, by `[evolve]` (there too: unjudged, given, or worked examples).
    `self_hint`: for each problem a hint that the reflection model writes from the reference solution.
    `solution_prefix`: the beginning of that solution. The last two need `data.solution_key`. `module:name`: a
    `p2o.guidance.guidance.Guidance` of your own."""

    prompt: str | None = Field(default=None, min_length=1)
    """A wording of your own. For `self_hint` the request: a text with `{problem}` and `{solution}`, if you like with
    `{gold}` and `{strength}`. For `solution_prefix` what stands before the problem: a text with `{prefix}`."""

    prefix_shares: tuple[Share, ...] = Field(default=(0.5, 0.25), min_length=1, strict=False)
    """Share of the solution's words that `solution_prefix` shows, step by step; the last one stays."""

    every: PositiveInt | None = None
    """A step of guidance after every so many steps of an epoch as well as between epochs, on the problems that are
    hard so far; unset, between epochs only. A run of one epoch is guided that way."""

    train_on_evaluations: bool = True
    """Whether a prompt step's rollouts of the dev problems, plain and under the templates it chose, are trained on: a
    policy step before the next rollouts."""

    spend: Literal["fixed", "adaptive"] = "adaptive"
    """`fixed`: each prompt step may spend `evolve.budget`. `adaptive`: in proportion to what earlier prompt steps
    unlocked; a step ends after its evaluation of the plain prompt where a plain rollout solves more hard problems than
    one of the step is expected to, and from the second one on after a row of failures that is unlikely by chance."""

    @model_validator(mode="after")
    def _prompt_is_of_use(self) -> Self:
        if self.prompt is not None and self.kind in GUIDANCES:
            wanted = PLACEHOLDERS.get(self.kind)
            if wanted is None:
                raise ValueError(
                    f"kind {self.kind!r} has no use for prompt: its wording is reflection.prompt"
                )
            if wanted not in self.prompt:
                raise ValueError(f"prompt lacks {wanted}, which kind {self.kind!r} fills in")
        return self
