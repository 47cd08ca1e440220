"""An engine that changes the class of the trainer's model."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import nn

from p2o.rollout.vllm_classes import kept_apart


class Body(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.factor * values


def change(model_class: Any) -> None:
    """What vLLM's decorator does: its own `__init__`, and a `__call__` that needs what that has set."""
    begin = model_class.__init__

    def made(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        self.vllm_config = "config"

    def called(self: Any, values: torch.Tensor) -> torch.Tensor:
        assert self.vllm_config == "config"
        return self.forward(values) + 1

    model_class.__init__, model_class.__call__ = made, called


def test_only_the_engines_model_is_changed() -> None:
    values = torch.ones(2)
    before = Body(2.0)
    with kept_apart(Body):
        change(Body)
        engine = Body(3.0)
    after = Body(4.0)
    assert [model(values).tolist() for model in (before, engine, after)] == [[2, 2], [4, 4], [4, 4]]
    assert not hasattr(after, "vllm_config")


def test_an_engine_that_does_not_start_leaves_the_trainers_model_as_it_was() -> None:
    class Refused(Body):
        pass

    before = Refused(2.0)
    with suppress(ValueError), kept_apart(Refused):
        change(Refused)
        raise ValueError("no kernel for it")
    assert before(torch.ones(2)).tolist() == Refused(2.0)(torch.ones(2)).tolist() == [2, 2]


def test_without_it_the_trainers_model_cannot_be_called() -> None:
    class Other(Body):
        pass

    before = Other(2.0)
    change(Other)
    with pytest.raises(AttributeError):
        before(torch.ones(2))


def test_a_class_that_nobody_changes_is_as_it_was() -> None:
    begin, call = Body.__init__, Body.__call__
    with kept_apart(Body):
        pass
    assert (Body.__init__, Body.__call__) == (begin, call)
