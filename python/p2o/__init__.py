"""P²O: joint policy and prompt optimization of language models.

Importing this package is light: it never imports torch.

- `train` runs a recipe, with problems, rewards and samplers in memory if you like, and returns a `Result`; a `Callback`
  is told how it goes;
- `verify`, `verify_batch`, `equivalent`, `gold_parses`: the answer verifier, with a `Verdict`; its options are
  `VerifyOptions`, its conventions `licences`;
- `evolve`, `ParetoFront`: prompt evolution on `Problem`s; its requests, results and settings are in `p2o.evolution`;
- `pack`, `balance`: rows into micro-batches, a `Packing`;
- `p2o.trl` (imported by itself): P²O in TRL's trainer.

What a caller can get wrong raises an error of `p2o.errors`, a `P2oError` of one line. `docs/` has a page for each part.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from p2o._core import ParetoFront
from p2o.evolution import evolve
from p2o.packing import Packing, balance, pack
from p2o.types import Problem
from p2o.verifier import (
    Licence,
    Verdict,
    VerifyOptions,
    equivalent,
    gold_parses,
    licences,
    verify,
    verify_batch,
)

if TYPE_CHECKING:
    from p2o.api import Result, train
    from p2o.track.callbacks import Callback

__version__ = _version("p2o-rl")

__all__ = [
    "Callback",
    "Licence",
    "Packing",
    "ParetoFront",
    "Problem",
    "Result",
    "Verdict",
    "VerifyOptions",
    "__version__",
    "balance",
    "equivalent",
    "evolve",
    "gold_parses",
    "licences",
    "pack",
    "train",
    "verify",
    "verify_batch",
]

_LATER = {"Callback": "p2o.track.callbacks", "Result": "p2o.api", "train": "p2o.api"}
"""Names whose modules import more than the others need."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    """The public names: the modules that importing them brings along are not shown."""
    return __all__
