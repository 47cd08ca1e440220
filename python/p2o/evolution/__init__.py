"""Prompt evolution: reflective mutation of templates, kept on a per-instance Pareto front. Needs no torch."""

from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.engine import evolve
from p2o.evolution.result import Candidate, Evolution
from p2o.evolution.types import EvaluationRequest, EvaluationResult, ReflectionReply, ReflectionRequest
from p2o.types import Problem, Template

__all__ = [
    "Candidate",
    "EvaluationRequest",
    "EvaluationResult",
    "Evolution",
    "EvolveConfig",
    "Problem",
    "ReflectionConfig",
    "ReflectionReply",
    "ReflectionRequest",
    "Template",
    "evolve",
]
