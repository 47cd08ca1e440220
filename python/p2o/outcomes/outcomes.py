"""The ledger of rollouts: what is known about which template works where, by which policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from p2o.errors import InputError
from p2o.templates import PLAIN
from p2o.types import Group

if TYPE_CHECKING:
    from p2o.policy.ratios import RatioStatistics

TRAINING = "training"
"""The source of training's rollouts: problems are hard by those alone. Other sources are prompt steps."""

_TOLERANCE = 1e-6
"""Rewards that are sums or float32 may miss the threshold by a rounding."""


class Tally(NamedTuple):
    """Rollouts added up; weighted by age they are fractions."""

    successes: float = 0
    trials: float = 0
    rewards: float = 0.0
    """Sum of the rewards."""


class ContextTally(NamedTuple):
    """The context ratio of tokens sampled under a template, summed over those of the rows that were learnt from."""

    tokens: int = 0
    log_ratio: float = 0.0
    """Sum of the logarithms: over `tokens` it is that of the geometric mean."""
    masked: int = 0
    """Tokens of weight 0."""


def is_success(reward: float, threshold: float) -> bool:
    """The one rule of what counts as a success."""
    return reward >= threshold - _TOLERANCE


class Outcomes:
    """Rollouts by policy version, template and problem.

    Versions are ordered by when they began, or by their first record: the last one is the newest.

    Args:
        success: reward from which a rollout counts as a success (`mining.success`).
    """

    def __init__(self, success: float = 1.0) -> None:
        self.success = success
        self._sources: dict[str, dict[str, None]] = {}
        """Sources of each version in the order in which they came: sums do not depend on how a set is hashed."""
        self._versions: dict[str, dict[tuple[str, str, str], Tally]] = {}
        self._context: dict[str, dict[str, ContextTally]] = {}

    @property
    def versions(self) -> Sequence[str]:
        """The policy versions, the oldest first."""
        return tuple(self._versions)

    def tallies(self, policy_version: str) -> Mapping[tuple[str, str, str], Tally]:
        """What a version came to, by source, template and problem."""
        return self._versions.get(policy_version, {})

    def is_success(self, reward: float) -> bool:
        """Whether a rollout with this reward counts as a success."""
        return is_success(reward, self.success)

    def begin(self, policy_version: str) -> None:
        """Makes a version the newest before it has a record: what is known is then of an older policy."""
        self._versions.setdefault(policy_version, {})

    def record(
        self, policy_version: str, template_id: str, problem_id: str, reward: float, source: str = TRAINING
    ) -> None:
        """Adds a rollout."""
        reward = float(reward)  # one of numpy has no JSON
        version = self._versions.setdefault(policy_version, {})
        self._sources.setdefault(policy_version, {TRAINING: None})[source] = None
        won, tried, rewards = version.get((source, template_id, problem_id), Tally())
        version[source, template_id, problem_id] = Tally(
            won + self.is_success(reward), tried + 1, rewards + reward
        )

    def withdraw(self, policy_version: str, source: str) -> None:
        """Takes out what a source has added: a step that runs again will add it again."""
        version = self._versions.get(policy_version, {})
        for key in [key for key in version if key[0] == source]:
            del version[key]

    def observe(self, group: Group, policy_version: str) -> None:
        """Adds the rollouts of a training group."""
        for rollout in group.rollouts:
            self.record(policy_version, rollout.template_id, rollout.problem_id, rollout.reward)

    def observe_context(self, policy_version: str, ratios: Mapping[str, RatioStatistics]) -> None:
        """Adds the context ratios of an update, by template."""
        self.begin(policy_version)
        known = self._context.setdefault(policy_version, {})
        for template, ratio in ratios.items():
            tokens, log_ratio, masked = known.get(template, ContextTally())
            known[template] = ContextTally(
                tokens + ratio.tokens, log_ratio + ratio.log_sum, masked + ratio.masked
            )

    def context(self, policy_version: str, template_id: str) -> ContextTally:
        """The context ratio of a template in the updates of a version."""
        return self._context.get(policy_version, {}).get(template_id, ContextTally())

    def of(self, template_id: str, problem_id: str, policy_version: str, source: str | None = None) -> Tally:
        """What one policy version came to under a template, by all sources or one."""
        version = self._versions.get(policy_version, {})
        sources = self._sources.get(policy_version, (TRAINING,)) if source is None else (source,)
        return _sum(*(version.get((source, template_id, problem_id), Tally()) for source in sources))

    def discounted(self, template_id: str, problem_id: str, discount: float) -> Tally:
        """What all versions came to under a template, each weighted by `discount` per step of age."""
        total, weight = Tally(), 1.0
        for version in reversed(self._versions):
            found = self.of(template_id, problem_id, version)
            total = _sum(total, Tally(*(weight * count for count in found)))
            weight *= discount
        return total

    def posterior(
        self, template_id: str, problem_id: str, *, prior: tuple[float, float], discount: float
    ) -> tuple[float, float]:
        """Parameters of the Beta posterior of the success rate."""
        won, tried, _ = self.discounted(template_id, problem_id, discount)
        return prior[0] + won, prior[1] + tried - won

    def began_hard(self, problem_id: str) -> bool:
        """Whether the first plain rollouts of training on a problem all failed."""
        for version in self._versions.values():
            if found := version.get((TRAINING, PLAIN.id, problem_id)):
                return found.successes == 0
        return False

    def training(self, policy_version: str) -> dict[str, Tally]:
        """What the training groups of a version came to, by problem."""
        found: dict[str, Tally] = {}
        for (source, _, problem_id), tally in self._versions.get(policy_version, {}).items():
            if source == TRAINING:
                found[problem_id] = _sum(found.get(problem_id, Tally()), tally)
        return found

    def latest_training(self) -> dict[str, Tally]:
        """What each problem's training groups of the newest version that had any came to."""
        found: dict[str, Tally] = {}
        for version in reversed(self._versions):
            found = {**self.training(version), **found}
        return found

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form."""
        return {
            "schema": 1,
            "success": self.success,
            "versions": [
                {
                    "policy_version": name,
                    "tallies": [[*key, *tally] for key, tally in tallies.items()],
                    "context": [[key, *tally] for key, tally in self._context.get(name, {}).items()],
                }
                for name, tallies in self._versions.items()
            ],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Reads what `to_dict` wrote.

        Raises:
            InputError: if the schema is another one.
        """
        if data.get("schema") != 1:
            raise InputError(
                f"outcomes of schema {data.get('schema')!r} cannot be read; this version reads 1"
            )
        outcomes = cls(data["success"])
        for version in data["versions"]:
            name = version["policy_version"]
            outcomes._versions[name] = {
                (source, template, problem): Tally(*tally)
                for source, template, problem, *tally in version["tallies"]
            }
            outcomes._context[name] = {
                template: ContextTally(*tally) for template, *tally in version.get("context", ())
            }
            outcomes._sources[name] = dict.fromkeys([TRAINING, *(key[0] for key in outcomes._versions[name])])
        return outcomes


def _sum(*tallies: Tally) -> Tally:
    return Tally(*map(sum, zip(*tallies, strict=True)))
