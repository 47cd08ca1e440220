"""The steps of the lane in order of value, and in one place the arguments of the commands that they call."""

from __future__ import annotations

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
        "lengths and numbers of rollouts, rewards by coin. Seconds by phase, means of the steps after a warm-up.",
    ),
    Step("recipes", 150, "The recipe `one_gpu` as it ships but for the model, the sampler and the sizes."),
    Step(
        "map",
        3600,
        "`p2o probe` of each task and model: what share of the problems plain samples and templates solve.",
    ),
    Step("study", 3600, "`p2o study real`, as far as the time goes."),
    Step(
        "vllm",
        420,
        "The sampler `vllm`: tokens per second as in `sampling`, and training with sync, sleep and probe.",
    ),
)

TASK_MODELS = ("smollm2", "gemma3")
"""Models of the map."""

PROBE_PROBLEMS, PROBE_SAMPLES = 200, 16


def probe_arguments(task: Path, model: str, output: Path, *, rehearse: bool) -> list[str]:
    """`p2o probe` of one task (a JSONL file of problems) with one model."""
    if rehearse:
        return [
            *("probe", "quickstart", "--set", "model.device=cpu", "--templates", "general"),
            *("--problems", "4", "--samples", "2", "--output", str(output)),
        ]
    return [
        *("probe", "smollm2", "--set", f"model.source={model}", "--set", "model.dtype=bfloat16"),
        *(
            "--set",
            f"data.train={task}",
            "--set",
            f"data.train_size={PROBE_PROBLEMS}",
            "--set",
            "data.evaluation_size=16",
        ),
        *("--set", "rollout.batch_size=2048", "--set", "rollout.max_tokens=64"),
        *("--templates", "general", "--problems", str(PROBE_PROBLEMS), "--samples", str(PROBE_SAMPLES)),
        *("--output", str(output)),
    ]


def study_arguments(output: Path, seconds: float, *, rehearse: bool) -> list[str]:
    """`p2o study real`; in a rehearsal a toy study. It goes on where it stopped."""
    study = str(STEPS_FOLDER.parent / "rehearse.toml") if rehearse else "real"
    return ["study", study, "--to", str(output), "--jobs", "1", "--time-limit", str(max(1, int(seconds)))]
