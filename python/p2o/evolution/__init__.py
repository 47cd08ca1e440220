"""Prompt evolution: reflective mutation of templates, kept on a per-instance Pareto front. Needs no torch."""

from p2o.evolution.assign import assign
from p2o.evolution.config import AssignConfig, EvolveConfig, MiningConfig, ReflectionConfig
from p2o.evolution.engine import evolve
from p2o.evolution.evidence import Evidence
from p2o.evolution.result import Candidate, Evolution
from p2o.evolution.types import EvaluationRequest, EvaluationResult, ReflectionReply, ReflectionRequest
from p2o.types import Problem, Template

__all__ = [
    "AssignConfig",
    "Candidate",
    "EvaluationRequest",
    "EvaluationResult",
    "Evidence",
    "Evolution",
    "EvolveConfig",
    "MiningConfig",
    "Problem",
    "ReflectionConfig",
    "ReflectionReply",
    "ReflectionRequest",
    "Template",
    "assign",
    "evolve",
]
