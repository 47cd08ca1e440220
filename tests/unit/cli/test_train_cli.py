"""What `p2o train --check` remarks on settings that are allowed but hardly meant."""

from __future__ import annotations

import pytest

from p2o.cli.train import remarks
from p2o.config import load_config, recipe_names


@pytest.mark.parametrize("recipe", recipe_names())
def test_shipped_recipes_give_no_cause(recipe: str) -> None:
    assert remarks(load_config(recipe), []) == []


def test_what_is_hardly_meant_is_remarked_on() -> None:
    given = ["evolve.budget=30", "guidance.every=2", "run.seed=1"]
    assert remarks(load_config("quickstart", given), given) == []
    given = [*given, "run.method=grpo"]
    assert remarks(load_config("quickstart", given), given) == [
        "without effect under run.method = 'grpo': evolve.budget, guidance.every"
    ]
    high = ["optimizer.learning_rate=10"]
    assert remarks(load_config("quickstart", high), high) == [
        "optimizer.learning_rate = 10 is high for AdamW: rates from 1e-6 to 1e-3 are usual"
    ]
    edge = ["optimizer.learning_rate=0.01"]
    assert remarks(load_config("quickstart", edge), edge) == []
