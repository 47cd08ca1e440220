"""P²O: joint policy and prompt optimization of language models.

Importing this package is light: it never imports torch. The names below stand on their own:

- `verify`, `verify_batch`, `equivalent`: the answer verifier;
- `ParetoFront`, `evolve`: prompt evolution;
- `pack`: rollout packing.
"""

from importlib.metadata import version as _version

from p2o._core import ParetoFront
from p2o.evolution import evolve
from p2o.packing import Packing, balance, pack
from p2o.verifier import Licence, Verdict, equivalent, gold_parses, licences, verify, verify_batch

__version__ = _version("p2o-rl")

__all__ = [
    "Licence",
    "Packing",
    "ParetoFront",
    "Verdict",
    "__version__",
    "balance",
    "equivalent",
    "evolve",
    "gold_parses",
    "licences",
    "pack",
    "verify",
    "verify_batch",
]
