"""Successes and trials of (policy version, template, problem): what is known about which template works
where."""

from __future__ import annotations

from typing import Any, Self

from p2o.errors import InputError

Counts = tuple[float, float]
"""Successes (fractions allowed) and trials."""


class Evidence:
    """Counts of rollouts by policy version, template and problem.

    Versions are ordered by when they began, or by their first record: the last one is the newest.
    """

    def __init__(self) -> None:
        self._counts: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}

    def record(
        self, policy_version: str, template_id: str, problem_id: str, successes: float, trials: int = 1
    ) -> None:
        """Adds trials.

        Raises:
            InputError: if the successes are not between 0 and the trials.
        """
        if not 0 <= successes <= trials:
            raise InputError(f"{successes} successes in {trials} trials; give between 0 and {trials}")
        version = self._counts.setdefault(policy_version, {})
        won, tried = version.get((template_id, problem_id), (0.0, 0))
        version[template_id, problem_id] = (won + successes, tried + trials)

    def begin(self, policy_version: str) -> None:
        """Makes a version the newest before it has a record: what is known is then of an older policy."""
        self._counts.setdefault(policy_version, {})

    def counts(
        self,
        template_id: str,
        problem_id: str,
        *,
        policy_version: str | None = None,
        discount: float = 1.0,
    ) -> Counts:
        """Successes and trials of one version, or of all, each version weighted by `discount` per step of
        age."""
        if policy_version is not None:
            return self._counts.get(policy_version, {}).get((template_id, problem_id), (0.0, 0))
        won = tried = 0.0
        weight = 1.0
        for version in reversed(self._counts.values()):
            successes, trials = version.get((template_id, problem_id), (0.0, 0))
            won += weight * successes
            tried += weight * trials
            weight *= discount
        return won, tried

    def posterior(
        self,
        template_id: str,
        problem_id: str,
        *,
        prior: tuple[float, float] = (0.5, 0.5),
        discount: float = 1.0,
    ) -> tuple[float, float]:
        """Parameters of the Beta posterior of the success rate."""
        won, tried = self.counts(template_id, problem_id, discount=discount)
        return prior[0] + won, prior[1] + tried - won

    def posterior_mean(
        self,
        template_id: str,
        problem_id: str,
        *,
        prior: tuple[float, float] = (0.5, 0.5),
        discount: float = 1.0,
    ) -> float:
        """Mean of the Beta posterior of the success rate."""
        a, b = self.posterior(template_id, problem_id, prior=prior, discount=discount)
        return a / (a + b)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable form."""
        return {
            "schema": 1,
            "versions": [
                {
                    "policy_version": version,
                    "counts": [
                        [template, problem, won, tried]
                        for (template, problem), (won, tried) in counts.items()
                    ],
                }
                for version, counts in self._counts.items()
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
                f"evidence of schema {data.get('schema')!r} cannot be read; this version reads 1"
            )
        evidence = cls()
        for version in data["versions"]:
            counts = {
                (template, problem): (won, tried) for template, problem, won, tried in version["counts"]
            }
            evidence._counts[version["policy_version"]] = counts
        return evidence
