"""The Rust core. Use the names re-exported by `p2o`; this module is private."""

from typing import final

import numpy
import numpy.typing

__all__: list[str] = []

# ---- verify ----------------------------------------------------------------------------------------------

__all__ += ["VerifyOptions", "equivalent", "gold_parses", "verify", "verify_batch", "verify_batch_details"]

@final
class VerifyOptions:
    """Checked options of a verification; `p2o.verify` builds and caches them."""

    def __new__(
        cls,
        profile: str,
        float_rounding: int,
        allow_set_relation_comp: bool,
        compare_names: bool,
        sources: list[str],
        require_boxed: bool,
        deadline_ms: float | None,
    ) -> VerifyOptions: ...

def verify(completion: str, gold: str, options: VerifyOptions) -> tuple[str, str | None, str | None]:
    """Status, extracted answer, tier."""

def equivalent(gold: str, answer: str, options: VerifyOptions) -> bool:
    """Whether two bare answers are equal."""

def gold_parses(gold: str, options: VerifyOptions) -> bool:
    """Whether a gold can be parsed."""

def verify_batch(
    completions: list[str], golds: list[str], options: VerifyOptions, threads: int | None
) -> numpy.typing.NDArray[numpy.float32]:
    """Rewards in {0., 1.}."""

def verify_batch_details(
    completions: list[str], golds: list[str], options: VerifyOptions, threads: int | None
) -> list[tuple[str, str | None, str | None]]:
    """Status, extracted answer, tier of each completion."""

# ---- pareto ----------------------------------------------------------------------------------------------

# ---- pack ------------------------------------------------------------------------------------------------
