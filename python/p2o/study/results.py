"""The result of a run: one line of `results.jsonl`, made from its run directory."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from p2o import __version__
from p2o.errors import RunDirectoryError
from p2o.files import read_jsonl, write_jsonl
from p2o.study.plan import Job
from p2o.study.statistics import area_under_curve, value_at
from p2o.track.about import commit_of

RESULTS = "results.jsonl"

EPOCH_MEANS = {
    "reward": "reward",
    "frac_reward_zero_std": "zero_variance",
    "templated/frac": "templated",
    "context_ratio/mean": "context_ratio_mean",
    "context_mask/frac": "context_masked",
    "context_mask/low": "context_masked_low",
}
"""Metrics of the steps that are averaged over an epoch, and their names in a record."""


def record_of(
    header: Mapping[str, Any], run: Path, history: Sequence[Mapping[str, Any]], **totals: Any
) -> dict[str, Any]:
    """The record of a finished run.

    Args:
        header: what names the run (`header_of`).
        run: its run directory.
        history: the loop's evaluations.
        totals: tokens and seconds of the whole run.
    """
    metrics = read_jsonl(run / "metrics.jsonl")
    # Of the records of a step the first one: the prompt step after it is not yet in its time.
    seconds = {m["step"]: m["time/total_s"] for m in reversed(metrics) if "time/total_s" in m}
    evaluations = [
        {
            "epoch": record["epoch"],
            "step": record["step"],
            "tokens": record["generated_tokens"],
            "seconds": rounded(seconds.get(record["step"], 0.0)),
            "accuracy": rounded(record["accuracy"]),
            "by_family": {name: rounded(value) for name, value in record["by_family"].items()},
            **({"guided": rounded(record["guided_accuracy"])} if "guided_accuracy" in record else {}),
        }
        for record in history
    ]
    if header["phase"] == "selection":
        evaluations = [{key: e[key] for key in ("tokens", "accuracy")} for e in evaluations]
    return {
        **header,
        "status": "done",
        "evaluations": evaluations,
        "epochs": [] if header["phase"] == "selection" else epochs_of(metrics, history),
        **{name: rounded(value) if isinstance(value, float) else value for name, value in totals.items()},
        "versions": versions(),
    }


def header_of(job: Job) -> dict[str, Any]:
    """What names a run in the results."""
    return {
        "id": job.id,
        "world": job.world,
        "arm": job.arm,
        "phase": job.phase,
        "seed": job.seed,
        "learning_rate": job.config.optimizer.learning_rate,
        "fingerprint": job.fingerprint,
        "settings": job.differs,
    }


def failure_of(job: Job, error: str) -> dict[str, Any]:
    """The record of a run that failed."""
    return {**header_of(job), "status": "failed", "error": error}


def epochs_of(
    metrics: Sequence[Mapping[str, Any]], history: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What each epoch was like: means over its steps, the hard samples at its end, the prompt step after it."""
    mined = [record for record in history if record["hard"] is not None]
    ends = {record["epoch"]: record for record in mined if not record.get("within")}
    spent = Counter[int]()
    for record in mined:
        spent[record["epoch"]] += record.get("prompt_step", {}).get("tokens", 0)
    steps: dict[int, list[Mapping[str, Any]]] = {}
    for record in metrics:
        if "reward" in record:
            steps.setdefault(record["epoch"], []).append(record)
    epochs = []
    for epoch, records in sorted(steps.items()):
        end = ends.get(epoch, {})
        means = {
            name: rounded(fmean(r[key] for r in records if key in r))
            for key, name in EPOCH_MEANS.items()
            if any(key in r for r in records)
        }
        lowest = [r["context_ratio/min"] for r in records if "context_ratio/min" in r]
        prompt_step = end.get("prompt_step")
        epochs.append(
            {
                "epoch": epoch,
                "tokens": end.get("generated_tokens", records[-1]["num_tokens"]),
                **means,
                **({"context_ratio_min": rounded(min(lowest))} if lowest else {}),
                "hard": end.get("hard"),
                "prompt_step": None
                if prompt_step is None
                else {
                    "templates": len(prompt_step["templates"]),
                    "texts": prompt_step["templates"],
                    "tokens": spent[epoch],
                    "reason": prompt_step["reason"],
                },
            }
        )
    return epochs


def rounded(value: float) -> float:
    """To four significant digits: enough to read, small on disk."""
    return float(f"{value:.4g}") if math.isfinite(value) else value


def versions() -> dict[str, str]:
    """What the run was made with: versions, the commit where there is one, and the instructions torch computes with
    (they decide rounding, and so which of two near draws is taken)."""
    import torch
    import transformers

    # A package that is installed within some other project's checkout is not of that project's commit.
    source = commit_of(Path(__file__).resolve().parents[1], holding="__init__.py")
    return {
        "p2o": __version__,
        **({} if source is None else {"commit": source}),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


class Results:
    """The results of a study on disk; the latest record of a run counts.

    Raises:
        RunDirectoryError: if a line is damaged, or of another file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        self.records: dict[str, dict[str, Any]] = {}
        for number, record in enumerate(read_jsonl(self.path), start=1):
            if not {"id", "arm", "status", "fingerprint"} <= record.keys():
                raise RunDirectoryError(f"{self.path}, line {number}: not a result of p2o study; remove it")
            self.records[record["id"]] = record

    def add(self, record: dict[str, Any]) -> None:
        """Keeps a record; the file is written in one step."""
        self.records[record["id"]] = record
        write_jsonl(self.path, self.records.values())

    def done(self, job: Job) -> dict[str, Any] | None:
        """The result of this very run, if it has one."""
        record = self.records.get(job.id)
        if record is None or record["status"] != "done" or record["fingerprint"] not in job.fingerprints:
            return None
        return record

    def failed(self, job: Job) -> bool:
        """Whether this very run has failed."""
        record = self.records.get(job.id, {})
        return record.get("status") == "failed" and record.get("fingerprint") in job.fingerprints


def curve(record: Mapping[str, Any], family: str | None = None) -> tuple[list[float], list[float]]:
    """Tokens and accuracies of a record's evaluations, in all or of one family."""
    points = record["evaluations"]
    values = [p["accuracy"] if family is None else p["by_family"][family] for p in points]
    return [float(point["tokens"]) for point in points], values


def area(record: Mapping[str, Any], budget: float) -> float:
    """Area under a record's curve, up to the budget."""
    return area_under_curve(*curve(record), budget)


def curve_over_seconds(record: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Seconds (rollouts, updates and prompt steps, without evaluations) and accuracies of a record's evaluations."""
    points, share = record["evaluations"], _share_of_a_core(record)
    return [share * point["seconds"] for point in points], [point["accuracy"] for point in points]


def seconds_of(record: Mapping[str, Any]) -> float:
    """Seconds of a run, without evaluations."""
    return _share_of_a_core(record) * float(record["seconds"])


def _share_of_a_core(record: Mapping[str, Any]) -> float:
    """What a run of one thread had of a core beside other work on the machine; 1 where that is not known.

    Records that do not name the processor are older and have `cpu_s` of runs with engines in other processes too.
    """
    known = "cpu" in record["versions"] and record.get("cpu_s") and record.get("wall_s")
    return float(record["cpu_s"] / record["wall_s"]) if known else 1.0


def recorded_alike(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the same versions on one kind of processor made them all, so that their seconds can be compared."""
    made = [record["versions"] for record in records]
    return all("cpu" in versions and versions == made[0] for versions in made)


def guided_accuracy(record: Mapping[str, Any], budget: float) -> float | None:
    """A record's accuracy under its best template when the budget is spent; None where that was not measured."""
    points = [point for point in record["evaluations"] if "guided" in point]
    tokens = [float(point["tokens"]) for point in points]
    return value_at(tokens, [point["guided"] for point in points], budget) if points else None


def final_accuracy(record: Mapping[str, Any], budget: float, family: str | None = None) -> float:
    """A record's accuracy when the budget is spent."""
    return value_at(*curve(record, family), budget)
