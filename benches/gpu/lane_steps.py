"""The steps of the lane in order of value, and in one place the arguments of the commands that they call."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

STEPS_FOLDER = Path(__file__).resolve().parent / "steps"


@dataclass(frozen=True, slots=True)
class Step:
    """A process of the lane."""

    name: str
    limit: float
    """Seconds that all its cases may take in one call of the lane."""
    what: str
    """What it measures, for the table."""
    command: tuple[str, ...] = ()
    """Empty: `steps/step_NAME.py`."""

    def argv(self) -> list[str]:
        """The command line."""
        return list(self.command) or [sys.executable, str(STEPS_FOLDER / f"step_{self.name}.py")]


STEPS = (
    Step("doctor", 240, "What `p2o doctor` finds, and the tests that need a GPU, file by file."),
    Step(
        "sampling",
        240,
        "Tokens per second of the sampler `hf`: SmolLM2-135M, bfloat16, 128 tokens a row, eight rows a prompt, all "
        "rows in one batch. The first call compiles or captures; the second is the one that counts. `full length` "
        "ignores the end token, `with ends` does not.",
    ),
    Step(
        "backends",
        240,
        "Three updates of SmolLM2-135M in bfloat16 on the same rows by each backend, in one process. Differences are "
        "to the backend `torch`: the largest of the losses, the largest and the mean of the weights after the last "
        "update; `moved` is how far the updates carried the weights, on average, and `relative` the mean difference "
        "by it. `estimate` is what `p2o train --check` says of the GPU.",
    ),
    Step(
        "training",
        300,
        "A GRPO step beside TRL's GRPOTrainer (`benches/bench_train.py`): SmolLM2-135M, bfloat16, the same problems, "
        "lengths and numbers of rollouts, rewards by coin. Seconds by phase, medians of the steps after a warm-up.",
    ),
    Step(
        "update",
        120,
        "A scoring pass and an update of 2,048 rows by `torch`: SmolLM2-135M, bfloat16, the prompts of `sampling`, "
        "responses of 64 to 128 random tokens, by `optimizer.micro_batch_tokens`. Means of two calls after a warm-up. "
        "`head`: output matrix and log-probs alone, forward and backward, 16,384 tokens, beside Liger's fused loss.",
    ),
    Step(
        "recipes",
        150,
        "The recipe `one_gpu` as it ships but for the model, the sampler and the numbers of problems.",
    ),
    Step(
        "map",
        3600,
        "`benches/real/map.py`: `p2o probe` of every task with both models, under a dozen instructions.",
    ),
    Step(
        "study", 3600, "`p2o study real` on the map's cell that meets its rule best, as far as the time goes."
    ),
    Step(
        "vllm",
        420,
        "The sampler `vllm`: tokens per second as in `sampling`, and training with sync, sleep and probe.",
    ),
)

TASK_MODELS = ("smollm2", "gemma3")
"""Models of the map."""

MAP_SCRIPT = STEPS_FOLDER.parents[1] / "real/map.py"


def map_arguments(tasks: Path, model: str, output: Path, seconds: float, *, rehearse: bool) -> list[str]:
    """The map of one model, as far as it is missing."""
    common = [
        *(str(MAP_SCRIPT), "--tasks", str(tasks), "--output", str(output)),
        *("--seconds", str(max(0, int(seconds)))),
    ]
    if not rehearse:
        return [*common, "--model", model]
    toy = "--dtype float32 --device cpu --problems 4 --samples 2 --max-tokens 12 --templates tiny"
    return [*common, "--model", "p2o-tiny", *toy.split()]


def study_arguments(
    study: str, settings: dict[str, str] | None, output: Path, seconds: float, more: list[str]
) -> list[str]:
    """`p2o study` with the settings of a cell of the map, or as it is, alone. It goes on where it stopped."""
    common = ["study", study, "--output", str(output), "--time-limit", str(max(1, int(seconds)))]
    if settings is None:
        return [*common, "--jobs", "1"]
    changed = [
        part
        for key, value in settings.items()
        for part in ("--set", f"{key}={json.dumps(value, ensure_ascii=False)}")
    ]
    return [*common, *changed, "--jobs", "5", *more]
