"""Models behind OpenAI-compatible APIs: the reflection model, and a policy that is not trained."""

from p2o.evolution.endpoint.evaluator import OpenAIEvaluator
from p2o.evolution.endpoint.reflector import OpenAIReflector

__all__ = ["OpenAIEvaluator", "OpenAIReflector"]
