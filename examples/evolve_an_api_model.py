"""Prompt evolution for a model behind an OpenAI-compatible API; nothing is trained, and no torch is needed.

pip install "p2o-rl[api]"
python evolve_an_api_model.py gpt-5-mini                       # the key is read from OPENAI_API_KEY
python evolve_an_api_model.py Qwen/Qwen3-8B http://localhost:8000/v1
"""

from __future__ import annotations

import sys

import p2o
from p2o.evolution import Evolution, EvolveConfig, ReflectionConfig
from p2o.evolution.config import EndpointConfig, EvaluatedModelConfig
from p2o.evolution.endpoint import OpenAIEvaluator, OpenAIReflector

PROBLEMS = [
    p2o.Problem(
        f"product-{a}", ({"role": "user", "content": f"What is {a} times {a + 13}?"},), str(a * (a + 13))
    )
    for a in range(211, 271)
]


def main(model: str, url: str | None = None, journal: str = "evolve.jsonl", budget: int = 600) -> Evolution:
    """Evolves templates, by the model's own reflection; a killed call goes on from its journal."""
    evaluate = OpenAIEvaluator(EvaluatedModelConfig(model=model, base_url=url, max_tokens=512))
    reflection = ReflectionConfig(kind="openai", endpoint=EndpointConfig(model=model, base_url=url))
    return p2o.evolve(
        PROBLEMS,
        evaluate,
        OpenAIReflector(reflection),
        EvolveConfig(budget=budget, dev_size=24),  # budget: rollouts in all
        reflection=reflection,
        policy_version=model,
        journal=journal,
    )


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
