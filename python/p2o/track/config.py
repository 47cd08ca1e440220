"""Settings of what is written beside the checkpoints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from p2o.plugins import ImportPath
from p2o.settings import Settings

TrackerName = Literal["tensorboard", "wandb", "trackio", "mlflow"]

TRACKERS: dict[TrackerName, str] = {
    "tensorboard": "p2o.track.tensorboard:TensorBoard",
    "wandb": "p2o.track.wandb:WandB",
    "trackio": "p2o.track.trackio:Trackio",
    "mlflow": "p2o.track.mlflow:MLflow",
}
"""Where the classes are."""


class TrackConfig(Settings):
    """What is written beside the checkpoints."""

    rollouts: int = Field(8, ge=0)
    """Rollouts per step, rounded up to whole groups, that are written to `rollouts/` and to trackers with tables."""

    to: tuple[TrackerName | ImportPath, ...] = Field((), strict=False)
    """Where metrics and rollouts go as well: `tensorboard`, `wandb`, `trackio`, `mlflow`, each with the package of that
    name, or an import path `module:class` of a `p2o.track.tracker.Tracker`. Weights & Biases needs `WANDB_API_KEY` or
    `WANDB_MODE=offline` in the environment; the others go by their own variables too (`MLFLOW_TRACKING_URI`,
    `TRACKIO_SPACE_ID`, ...)."""

    project: str = Field("p2o", min_length=1)
    """The project (in MLflow the experiment) that trackers list the run in."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_run(cls, values: Any) -> Any:
        """Directories of earlier runs say that they did not track, in a setting that is gone."""
        if isinstance(values, dict) and values.get("tensorboard") is False:
            return {name: value for name, value in values.items() if name != "tensorboard"}
        return values
