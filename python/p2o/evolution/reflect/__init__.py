"""Reflection: what the reflection model is asked, and what becomes of its reply."""

from p2o.evolution.reflect.extract import extract_template
from p2o.evolution.reflect.openai import OpenAIReflector
from p2o.evolution.reflect.prompt import ReflectionExample, ReflectionPrompt, load_prompt, render_reflection

__all__ = [
    "OpenAIReflector",
    "ReflectionExample",
    "ReflectionPrompt",
    "extract_template",
    "load_prompt",
    "render_reflection",
]
