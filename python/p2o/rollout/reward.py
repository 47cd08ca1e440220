"""The reward of rollouts: the verifier, or a function of the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import Field

from p2o.errors import ConfigError
from p2o.rewards import load_reward
from p2o.settings import Settings
from p2o.types import Problem, Rollout
from p2o.verifier import VerifyOptions, verify_batch


class RewardConfig(Settings):
    """What a completion is worth."""

    function: str = Field("verify", min_length=1)
    """`verify` is the answer verifier. Else an import path `module:function` of a function `(problem, completion) ->
    float` with rewards in [0, 1], or `reasoning-gym:task` (`reasoning-gym:composite` for a mixture)."""

    profile: Literal["default", "strict", "math-verify"] = "default"
    """The verifier's rules: its own, exact forms only, or those of Math-Verify."""

    require_boxed: bool = False
    """Only an answer in a box counts."""

    def verifier_options(self) -> VerifyOptions | None:
        """The options of the verifier, or None where a function of one's own gives the reward."""
        if self.function != "verify":
            return None
        options: VerifyOptions = {"require_boxed": self.require_boxed}
        if self.profile == "strict":
            options["strict"] = True
        elif self.profile == "math-verify":
            options["compat"] = "math-verify"
        return options


class RewardFunction(Protocol):
    """Rewards of rollouts, each beside its problem; order kept."""

    def __call__(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> Sequence[float]:
        """One reward per rollout."""
        ...

    def take_counts(self) -> Counter[str]:
        """What happened since the last call. Counts of several processes add up."""
        ...

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """Counts as metrics, under names that stay the same."""
        ...


class VerifierReward:
    """1 where the completion's answer equals the gold, else 0. Counts why not."""

    def __init__(self, options: VerifyOptions) -> None:
        self.options = options
        self.statuses: Counter[str] = Counter()

    def __call__(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> list[float]:
        """One reward per rollout, all verified in parallel."""
        verdicts = verify_batch(
            [rollout.text for rollout in rollouts],
            [problem.gold for problem in problems],
            return_verdicts=True,
            **self.options,
        )
        self.statuses.update(verdict.status for verdict in verdicts)
        return [float(verdict.correct) for verdict in verdicts]

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


class FunctionReward:
    """A user's function, one completion at a time. Its errors score 0, are counted, and are logged once a kind."""

    def __init__(self, config: RewardConfig) -> None:
        self.function = load_reward(config.function)
        self.worked = False

    def __call__(self, rollouts: Sequence[Rollout], problems: Sequence[Problem]) -> list[float]:
        """One reward per rollout.

        Raises:
            ConfigError: if the function has never worked and fails on every rollout, through no fault of theirs, or
                a reward is outside [0, 1].
        """
        before, faults_before = self.function.errors.copy(), self.function.faults
        rewards = [
            self.function(problem, rollout.text) for rollout, problem in zip(rollouts, problems, strict=True)
        ]
        self.worked |= self.function.faults - faults_before < len(rewards)
        if rewards and not self.worked:
            failed = self.function.errors - before
            raise ConfigError(
                f"reward.function = {self.function.name!r} failed on all {len(rewards)} completions of a batch: "
                f"{next(iter(failed))}"
            )
        return rewards

    def take_counts(self) -> Counter[str]:
        """Errors by their text."""
        counts, self.function.errors = self.function.errors, Counter()
        return counts

    def metrics(self, counts: Counter[str]) -> dict[str, float]:
        """The number of errors."""
        return {"reward/errors": float(counts.total())}


def make_reward(config: RewardConfig) -> RewardFunction:
    """The reward function of `config`.

    Raises:
        ConfigError: if the import path leads to no function.
    """
    options = config.verifier_options()
    return FunctionReward(config) if options is None else VerifierReward(options)
