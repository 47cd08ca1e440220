"""A model behind an OpenAI-compatible API writes the templates: a vLLM server, OpenRouter, OpenAI, ...

pip install "p2o-rl[train,api]"
OPENAI_API_KEY=... python teacher_by_api.py gpt-5
python teacher_by_api.py Qwen/Qwen3-8B http://localhost:8000/v1
"""

from __future__ import annotations

import sys
from typing import Any

import p2o


class Watch(p2o.Callback):
    """Shows what the teacher's proposals came to."""

    def on_prompt_step(self, record: Any) -> None:
        """Its templates, or why there are none."""
        print(record["reason"], *record["templates"], sep="\n  ")


def main(model: str, url: str | None = None, **overrides: Any) -> p2o.Result:
    """Trains; without `url` the teacher is OpenAI's, and its key is read from OPENAI_API_KEY."""
    settings = {
        "run.output": "runs/teacher-by-api",
        "reflection.kind": "openai",
        "reflection.prompt": "default",
        "reflection.max_tokens": 4096,
        "reflection.endpoint.model": model,
        "reflection.endpoint.concurrency": 8,
        **({} if url is None else {"reflection.endpoint.base_url": url}),
        # "reflection.endpoint.api_key_env": "OPENROUTER_API_KEY",  # the variable of another server's key
    }
    return p2o.train("quickstart", overrides={**settings, **overrides}, callbacks=[Watch()])


if __name__ == "__main__":
    result = main(*sys.argv[1:3])
    print(f"accuracy {result.accuracy_before:.2f} -> {result.accuracy_after:.2f}")
