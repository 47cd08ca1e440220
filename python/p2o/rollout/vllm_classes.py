"""Keeps the trainer's model apart from an engine in its process.

vLLM runs some architectures (OLMo 2, SmolLM3, Starcoder 2, ...) by transformers' own classes, and changes these for its
compiler. The trainer's model, which is of such a class and was made before, then cannot be called any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def kept_apart(model_class: Any) -> Iterator[None]:
    """What vLLM changes of a class within holds for the models that it makes within, and for no others."""
    begin, call = model_class.__init__, model_class.__call__
    try:
        yield
    finally:  # also where the engine does not start
        changed = model_class.__call__

        def called(self: Any, *arguments: Any, **options: Any) -> Any:
            of_engine = "vllm_config" in vars(self)
            return (changed if of_engine else call)(self, *arguments, **options)

        if changed is not call:
            model_class.__init__, model_class.__call__ = begin, called
