"""What a study would run, and how long that would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from statistics import median

from p2o.study.plan import Study
from p2o.study.results import Results
from p2o.study.selection import all_jobs
from p2o.track.console import clock


def seconds_per_run(study: Study, results: Results, arm: str) -> float:
    """The median time of the arm's runs so far, on the processor where that is known; without any, what the study file
    says."""
    runs = [record for record in results.records.values() if record["arm"] == arm]
    taken = [seconds for record in runs if (seconds := record.get("cpu_s") or record.get("wall_s"))]
    return float(median(taken)) if taken else study.arms[arm].seconds or study.seconds


def describe(study: Study, results: Results, *, jobs: int, only: Collection[str]) -> str:
    """A table of the runs that are left, by arm, and an estimate of the time."""
    left: Counter[tuple[str, str]] = Counter()
    total = 0.0
    done = 0
    for job, _ in all_jobs(study, results, lambda job: False, only):
        if results.done(job) is not None:
            done += 1
            continue
        left[job.arm, job.phase] += 1
        total += seconds_per_run(study, results, job.arm)
    width = max(len(arm) for arm in study.arms)
    lines = [f"{study.title}: {done} runs done, {sum(left.values())} to go, {study.tokens:,} tokens each"]
    for arm in study.arms:
        selection, final = left[arm, "selection"], left[arm, "final"]
        if only and arm not in only and not selection:
            continue
        lines.append(
            f"  {arm:{width}}  {selection:3} to choose the learning rate, {final:3} final, "
            f"{clock(seconds_per_run(study, results, arm))} each"
        )
    lines.append(f"about {clock(total / jobs)} with --jobs {jobs}, without making worlds")
    return "\n".join(lines)
