"""What rollouts came to: one ledger, and what is asked of it (which problems are hard, who gets which template)."""

from p2o.outcomes.config import AssignConfig, MiningConfig
from p2o.outcomes.hardness import HardKind, hard_problems, likely_hard
from p2o.outcomes.outcomes import Outcomes

__all__ = ["AssignConfig", "HardKind", "MiningConfig", "Outcomes", "hard_problems", "likely_hard"]
