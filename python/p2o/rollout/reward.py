"""The reward of rollouts: the verifier, or a function of the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal, Protocol

from pydantic import Field, field_validator

from p2o.rewards import with_usual_end_of_thought
from p2o.rollout.function_reward import FunctionReward
from p2o.rollout.judging import InThread, Judging
from p2o.settings import Settings
from p2o.types import Problem, Rollout
from p2o.verifier import Verdict, VerifyOptions, verify_batch
from p2o.verifier import licences as all_licences


class RewardConfig(Settings):
    """What a completion is worth."""

    function: str = Field("verify", min_length=1)
    """`verify` is the answer verifier. Else an import path `module:function` of a function `(problem, completion) ->
    float` with rewards in [0, 1], or `reasoning-gym:task` (`reasoning-gym:composite` for a mixture)."""

    timeout_s: float = Field(120.0, gt=0)
    """Longest call of your own function, in seconds. One that takes longer has failed."""

    concurrency: int = Field(64, ge=1)
    """Calls at once of your own function, if it is an `async def`."""

    max_failures: int = Field(0, ge=0)
    """When your own function cannot work at all (a judge that is down) and goes on so for half a minute, as many
    rollouts in a row are left out of their groups; one more ends the run, with a checkpoint."""

    profile: Literal["default", "strict", "math-verify"] = "default"
    """The verifier's rules: its own, exact forms only, or those of Math-Verify."""

    licences: dict[str, bool] = Field(default_factory=dict)
    """Conventions of the verifier that are switched on or off, beside those of `profile`: `"unit-dropped" = false`.
    docs/verifier.md lists them."""

    require_boxed: bool = False
    """Only an answer in a box counts."""

    @field_validator("licences")
    @classmethod
    def _known(cls, licences: dict[str, bool]) -> dict[str, bool]:
        known = [licence.name for licence in all_licences()]
        for name in licences:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "docs/verifier.md lists them"
                raise ValueError(f"there is no licence {name!r}: {hint}")
        return licences

    @property
    def needs_gold(self) -> bool:
        """Whether a problem needs a gold answer: for all that is known, a function of one's own does not."""
        return self.function in ("verify", "p2o.rewards:first_line")

    def verifier_options(self) -> VerifyOptions | None:
        """The options of the verifier, or None where a function of one's own gives the reward."""
        if self.function != "verify":
            return None
        options: VerifyOptions = {
            "require_boxed": self.require_boxed,
            "allow": tuple(name for name, counts in self.licences.items() if counts),
            "deny": tuple(name for name, counts in self.licences.items() if not counts),
        }
        if self.profile == "strict":
            options["strict"] = True
        elif self.profile == "math-verify":
            options["compat"] = "math-verify"
        return options


class RewardFunction(Protocol):
    """Who rewards rollouts, each beside its problem; order kept."""

    @property
    def code(self) -> str | None:
        """A hash of the source, where it is not p2o's own: a resumed run must have the same."""
        ...

    def begin(self, *, apart: bool) -> Judging:
        """Judges completions while others are sampled; `apart` if the engine goes on whatever its caller does."""
        ...

    def judges_beside(self, *, apart: bool) -> bool:
        """Whether rewards are known while other completions are sampled; arguments as of `begin`."""
        ...

    def take_counts(self) -> Counter[str]:
        """What happened since the last call. Counts of several processes add up."""
        ...

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """Counts as metrics, under names that stay the same."""
        ...


class VerifierReward(RewardFunction):
    """1 where the completion's answer equals the gold, else 0. Counts why not."""

    code = None

    def __init__(self, options: VerifyOptions) -> None:
        self.options = options
        self.statuses: Counter[str] = Counter()

    def begin(self, *, apart: bool) -> Judging:
        """See [`RewardFunction`][]."""
        return InThread(self._verify, self._count)

    def judges_beside(self, *, apart: bool) -> bool:
        """See [`RewardFunction`][]."""
        return True

    def _verify(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> list[Verdict]:
        return verify_batch(
            [with_usual_end_of_thought(rollout.text) for rollout in rollouts],
            [problem.gold for problem in problems],
            return_verdicts=True,
            **self.options,
        )

    def _count(self, verdicts: Sequence[Verdict]) -> None:
        self.statuses.update(verdict.status for verdict in verdicts)

    def take_counts(self) -> Counter[str]:
        """Verdicts by status."""
        counts, self.statuses = self.statuses, Counter()
        return counts

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """Shares of the verdicts that say something is missing or was not decided."""
        total = max(1, counts.total())
        return {
            f"verify/{status}": counts[status] / total
            for status in ("no_answer", "timeout", "gold_unparsable")
        }


def make_reward(config: RewardConfig) -> RewardFunction:
    """The reward function of `config`.

    Raises:
        ConfigError: if the import path leads to no function.
    """
    options = config.verifier_options()
    return FunctionReward(config) if options is None else VerifierReward(options)
