"""Prompt evolution: reflective mutation of templates, kept on a per-instance Pareto front."""
