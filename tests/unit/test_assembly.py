"""What a run is put together of: the schedule's length, the temperature of scores, the reference of the KL term."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from p2o.assembly import planned_optimizer_steps, prepare
from p2o.config import load_config
from p2o.templates import PLAIN
from p2o.track.console import Console

SIZES = ["data.train_size=6", "data.evaluation_size=3"]


@pytest.mark.parametrize(
    ("problems", "mini", "expected"),
    [
        (8, None, 2),
        (10, None, 3),
        (10, 2, 5),  # two whole batches of two, and two problems that make one
        (10, 3, 5),  # 3 + 1, 3 + 1, 2
        (3, 3, 1),
    ],
)
def test_planned_steps_are_those_of_the_mini_batches(problems: int, mini: int | None, expected: int) -> None:
    overrides = ["run.batch_problems=4", "run.epochs=7"]
    overrides += [] if mini is None else [f"run.mini_batch_problems={mini}"]
    assert planned_optimizer_steps(load_config("quickstart", overrides), problems) == 7 * expected
    overrides.append("run.schedule_epochs=2")
    assert planned_optimizer_steps(load_config("quickstart", overrides), problems) == 2 * expected


def test_the_reference_is_the_start_at_the_sampling_temperature(tmp_path: Path) -> None:
    """At the start it says what the policy says; it goes on saying it whatever the policy learns."""
    overrides = [*SIZES, "run.method=grpo", "loss.kl_coef=0.1", "rollout.temperature=0.6"]
    run = prepare(load_config("quickstart", overrides), tmp_path / "run", console=Console.silent())
    prompt = run.collector.prompt_ids(run.problems[0], PLAIN)
    sequences = [(prompt, [5, 6, 7]), (prompt[1:], [8, 9])]
    start = run.policy.score(sequences)
    for ours, theirs in zip(start, run.reference(sequences), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    with torch.no_grad():
        logits = run.policy.model(input_ids=torch.tensor([[*prompt, 5, 6]])).logits[0, len(prompt) - 1 :]
        expected = (logits / 0.6).log_softmax(-1)[torch.arange(3), torch.tensor([5, 6, 7])]
        np.testing.assert_allclose(start[0], expected.numpy(), atol=1e-4)
        for parameter in run.policy.model.parameters():
            parameter.mul_(1.5)
    for ours, theirs, before in zip(
        run.policy.score(sequences), run.reference(sequences), start, strict=True
    ):
        np.testing.assert_allclose(theirs, before, atol=1e-5)
        assert np.abs(ours - before).max() > 0.1
