"""The Rust core. Use the names re-exported by `p2o`; this module is private."""

from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ParetoFront",
    "VerifyOptions",
    "balance",
    "equivalent",
    "fill",
    "gold_parses",
    "licences",
    "pack_rows",
    "verify",
    "verify_batch",
    "verify_batch_details",
]

# ---- verify ----------------------------------------------------------------------------------------------

@final
class VerifyOptions:
    """Checked options of a verification; `p2o.verify` builds and caches them."""

    def __new__(
        cls,
        profile: str,
        allow: list[str],
        deny: list[str],
        float_rounding: int,
        sources: list[str],
        require_boxed: bool,
        deadline_ms: float | None,
    ) -> VerifyOptions: ...

def verify(
    completion: str, gold: str, options: VerifyOptions
) -> tuple[str, str | None, str | None, list[str]]:
    """Status, extracted answer, tier, licences."""

def equivalent(gold: str, answer: str, options: VerifyOptions) -> bool:
    """Whether two bare answers are equal."""

def gold_parses(gold: str, options: VerifyOptions) -> bool:
    """Whether a gold can be parsed."""

def verify_batch(
    completions: list[str], golds: list[str], options: VerifyOptions, threads: int | None
) -> NDArray[np.float32]:
    """Rewards in {0., 1.}."""

def verify_batch_details(
    completions: list[str], golds: list[str], options: VerifyOptions, threads: int | None
) -> list[tuple[str, str | None, str | None, list[str]]]:
    """Status, extracted answer, tier, licences of each completion."""

def licences() -> list[tuple[str, str, str, str, list[bool]]]:
    """Name, meaning, gold and answer of its example, whether it is allowed in `default`, `strict`, `math-verify`."""

# ---- pareto ----------------------------------------------------------------------------------------------

@final
class ParetoFront:
    """Per-instance Pareto fronts over candidates; ids are consecutive from 0.

    Scores are finite numbers, or successes with trials (compared by their Beta posterior mean under `prior`; a
    candidate without a success is not on the instance's front). Ties within `tolerance` share a front. Which
    columns form fronts is `frontier`: `instance`, `objective` or `hybrid`.

    Raises:
        InputError: if a setting is out of range. Every method raises it for an unknown id or instance.
    """

    def __new__(
        cls,
        n_instances: int,
        *,
        n_objectives: int = 0,
        frontier: str = "instance",
        prior: tuple[float, float] = ...,
        tolerance: float = 0.0,
    ) -> Self: ...
    def insert(
        self,
        scores: Sequence[float] | NDArray[np.float64],
        trials: Sequence[int] | None = None,
        *,
        objectives: Sequence[float] = ...,
        parents: Sequence[int] = ...,
    ) -> int:
        """Adds a candidate and returns its id.

        Args:
            scores: n_instances values, or with `trials` the successes (fractions allowed).
            trials: n_instances counts; 0 where the candidate was not evaluated.
            objectives: n_objectives values.
            parents: ids of the candidates it was made from.

        Raises:
            InputError: for a wrong length, NaN or infinity, more successes than trials, an unknown parent, or
                counts in a front of values; the front is unchanged.
        """

    def record(self, candidate: int, instance: int, successes: float, trials: int) -> None:
        """Adds trials of a candidate on one instance, in a front of counts."""

    def members(self, instance: int) -> list[int]:
        """The candidates on an instance's front, ascending."""

    def score(self, candidate: int, instance: int) -> float | None:
        """The value or posterior mean of a candidate on an instance; None without a trial."""

    def mean(self, candidate: int) -> float:
        """The mean score over the instances; for counts, all successes by all trials."""

    def best(self) -> int | None:
        """The candidate with the highest mean, the earliest among equals."""

    def parents(self, candidate: int) -> list[int]:
        """The parents a candidate was inserted with."""

    def ancestors(self, candidate: int) -> list[int]:
        """All ancestors of a candidate, ascending."""

    def weights(self) -> NDArray[np.uint32]:
        """For each candidate, on how many fronts that carry a signal it stands; 0 for dominated ones."""

    def select(self, seed: int, k: int = 1) -> list[int]:
        """Up to k different candidates, drawn in proportion to `weights`; same seed, same answer everywhere.

        When no front carries a signal, all survivors weigh the same.
        """

    def dominated(self) -> list[int]:
        """The candidates that the others make redundant, ascending."""

    def cover(
        self,
        threshold: float = 1.0,
        *,
        min_gain: int = 1,
        max_size: int | None = None,
        exclude: Sequence[int] = ...,
    ) -> list[int]:
        """Greedy set cover of the solved instances (score >= threshold), most newly solved first."""

    def to_bytes(self) -> bytes:
        """A compact serialised form, the same on every platform."""

    @staticmethod
    def from_bytes(data: bytes) -> ParetoFront:
        """Reads what `to_bytes` wrote.

        Raises:
            InputError: if the bytes are cut off, altered, or of another version.
        """

    def __len__(self) -> int: ...
    @property
    def n_instances(self) -> int:
        """Number of instances."""

# ---- pack ------------------------------------------------------------------------------------------------

def pack_rows(
    lengths: NDArray[np.uint32], budget: int, ranks: int, quadratic: float
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], float]:
    """`p2o.pack` without its dataclass: (indices, bin offsets, ranks, fill)."""

def balance(costs: NDArray[np.float64], parts: int) -> NDArray[np.uint32]:
    """`p2o.balance` after its checks."""

def fill(
    indices: NDArray[np.uint32],
    bin_offsets: NDArray[np.uint32],
    tokens: NDArray[np.int64],
    offsets: NDArray[np.int64],
    prompt_lengths: NDArray[np.int64],
    advantages: NDArray[np.float32],
    trained: NDArray[np.bool_],
    streams: list[tuple[str, NDArray[np.float32]]],
) -> dict[str, Any]:
    """The arrays of all micro-batches, by name."""
