"""The choice of each arm's learning rate, and the runs that are left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from p2o.study.plan import Job, Study, make_job
from p2o.study.results import Results, area


@dataclass(frozen=True, slots=True)
class Choice:
    """Where the choice of an arm's learning rate stands."""

    ready: bool
    """Whether the final runs may start."""

    rate: float | None = None
    """The chosen rate; None: the recipe's."""

    scores: dict[float, float] = field(default_factory=dict)
    """Mean area under the curve of the rates whose runs are all done."""


def selection_jobs(study: Study, world: str, arm: str) -> dict[float, list[Job]]:
    """The runs that try the learning rates for an arm in a world; none if its rate is given."""
    cell = study.selection_cell(world, arm)
    if study.selection is None or cell is None:
        return {}
    world, arm = cell
    return {
        rate: [make_job(study, world, arm, "selection", seed, rate) for seed in study.selection.seeds]
        for rate in study.selection.learning_rates
    }


def choose(study: Study, results: Results, world: str, arm: str, failed: Callable[[Job], bool]) -> Choice:
    """The rate with the largest mean area under the curve; of equals, the smaller.

    A rate with a failed run scores -1 and is never chosen: it breaks the training.
    """
    jobs = selection_jobs(study, world, arm)
    if not jobs:
        return Choice(True)
    scores: dict[float, float] = {}
    for rate, runs in jobs.items():
        records = [results.done(job) for job in runs]
        if any(record is None and failed(job) for record, job in zip(records, runs, strict=True)):
            scores[rate] = -1.0
        elif all(record is not None for record in records):
            scores[rate] = fmean(area(record, study.tokens) for record in records if record is not None)
    best = max(scores, key=lambda rate: (scores[rate], -rate), default=None)
    if len(scores) < len(jobs) or best is None or scores[best] < 0:
        return Choice(False, None, scores)
    return Choice(True, best, scores)


def final_jobs(study: Study, world: str, arm: str, choice: Choice) -> list[Job]:
    """The runs that count, one per seed."""
    return [make_job(study, world, arm, "final", seed, choice.rate) for seed in study.seeds]


def all_jobs(
    study: Study, results: Results, failed: Callable[[Job], bool], only: Collection[str] = ()
) -> Iterator[tuple[Job, bool]]:
    """Every run of the study in the order of work, and whether it may start now.

    Selections come first; final runs go by seeds, so that a study cut short has seeds of all arms. With arms in `only`
    it is their runs, and those that choose their learning rates, which may be another arm's.
    """
    choices = {cell: choose(study, results, *cell, failed) for cell in study.cells(only)}
    for cell in study.selection_cells(only):
        for jobs in selection_jobs(study, *cell).values():
            yield from ((job, True) for job in jobs)
    finals = {(world, arm): final_jobs(study, world, arm, choice) for (world, arm), choice in choices.items()}
    for index in range(len(study.seeds)):
        for cell, jobs in finals.items():
            yield jobs[index], choices[cell].ready
