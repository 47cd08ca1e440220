"""Metrics and rollouts for MLflow, beside the run directory."""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from p2o.errors import ConfigError, in_one_line
from p2o.files import write_text
from p2o.track.run_directory import config_values, flatten
from p2o.track.tracker import Tracker

if TYPE_CHECKING:
    from p2o.config import Config

LOGGER = logging.getLogger(__name__)

PARAMS_AT_ONCE = 100
"""Most parameters that a server takes in a request."""

LONGEST_PARAM = 500
"""Characters of a parameter that every server takes."""


class MLflow(Tracker):
    """Sends every number of a record at its step, and rollouts as tables, to a run of MLflow.

    The run's id is kept in the run directory, so that a resumed run continues the same one. Where a server does not
    answer after MLflow's own attempts, a warning says so, and the run goes on.
    """

    packages = ("mlflow", "pandas")

    def __init__(self, client: Any, run_id: str) -> None:
        """Takes a client of MLflow and the id of a run."""
        self.client = client
        self.run_id = run_id

    @classmethod
    def check(cls, config: Config) -> None:
        """Asks the server, or looks into the folder or database, that `MLFLOW_TRACKING_URI` names."""
        super().check(config)
        with _one_line():
            _experiment(_client(), config.track.project)

    @classmethod
    def open(cls, folder: Path, config: Config, *, resumed_at: int | None) -> Self:
        """Opens the run. Raises ConfigError if MLflow refuses it."""
        identity = folder / "mlflow-run-id"
        with _one_line():
            client = _client()
            if identity.exists():
                log = cls(client, identity.read_text(encoding="utf-8", errors="replace"))
                client.update_run(log.run_id, status="RUNNING")
                return log
            run = client.create_run(_experiment(client, config.track.project), run_name=folder.name)
            write_text(identity, run.info.run_id)
            log = cls(client, run.info.run_id)
            log._log_params(flatten(config_values(config)))
            return log

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """See [`Tracker`][]."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(_key(name), float(value), now, step) for name, value in values.items()]
        self._send(step, lambda: self.client.log_batch(self.run_id, metrics=metrics))

    def rollouts(self, step: int, table: Sequence[Mapping[str, Any]]) -> None:
        """Adds a table, a file of its own."""
        columns = {name: [row[name] for row in table] for name in table[0]}
        file = f"rollouts/step-{step:06d}.json"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about MLflow's use of pandas
            self._send(step, lambda: self.client.log_table(self.run_id, columns, file))

    def close(self) -> None:
        """Marks the run as finished."""
        self._send(None, lambda: self.client.set_terminated(self.run_id))

    def _log_params(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(_key(name), str(value)[:LONGEST_PARAM]) for name, value in settings.items()]
        for start in range(0, len(params), PARAMS_AT_ONCE):
            self.client.log_batch(self.run_id, params=params[start : start + PARAMS_AT_ONCE])

    def _send(self, step: int | None, send: Callable[[], Any]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            send()
        except (MlflowException, OSError) as error:  # requests' errors are OSErrors
            what = "the end of the run" if step is None else f"step {step}"
            LOGGER.warning("mlflow (track.to) did not take %s: %s", what, in_one_line(error)[:300])


def _client() -> Any:
    from mlflow import MlflowClient

    return MlflowClient()


def _experiment(client: Any, name: str) -> str:
    """The id of the experiment of this name, which is made if there is none."""
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _key(name: str) -> str:
    """A name with the characters that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", "_", name, flags=re.ASCII)


@contextmanager
def _one_line() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise ConfigError(
            f"mlflow (track.to) cannot be used: {in_one_line(error)[:300]}; MLFLOW_TRACKING_URI says where it is"
        ) from None
