"""The tables of a study's report, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from p2o.intervals import Interval, bootstrap_mean
from p2o.study.plan import SHIPPED_WORLD, Study, make_job
from p2o.study.results import (
    Results,
    area,
    curve_over_seconds,
    final_accuracy,
    guided_accuracy,
    recorded_alike,
    seconds_of,
)
from p2o.study.selection import all_jobs, choose, final_jobs
from p2o.study.statistics import paired_difference, value_at

Record = Mapping[str, Any]
Cells = dict[tuple[str, str], dict[int, Record]]
"""(world, arm) -> seed -> record of its final run."""


def final_records(study: Study, results: Results) -> Cells:
    """The final runs that are done, under the settings and learning rates of the study as it stands."""
    cells: Cells = {}
    for world, arm in study.cells():
        choice = choose(study, results, world, arm, results.failed)
        if not choice.ready:
            continue
        done = {job.seed: results.done(job) for job in final_jobs(study, world, arm, choice)}
        cells[world, arm] = {seed: record for seed, record in done.items() if record is not None}
    return {cell: records for cell, records in cells.items() if records}


def render(study: Study, results: Results) -> str:
    """All tables, one after the other."""
    cells = final_records(study, results)
    worlds = [world for world in study.world_names if any(cell[0] == world for cell in cells)]
    parts = [_about(study, cells)]
    for world in worlds:
        title = f"**{world_title(study, world)}**\n\n" if len(study.world_names) > 1 else ""
        parts.append(title + _accuracy_table(study, cells, world))
        parts.append(_two_way_table(study, cells, world))
        parts.append(_mechanism_table(study, cells, world))
    if len(worlds) > 1:
        parts.extend(_world_tables(study, cells, worlds))
    parts.append(_difference_table(study, cells, worlds))
    parts.append(_selection_table(study, results))
    parts.append(_arms_table(study))
    parts.append(_failures(study, results))
    return "\n\n".join(part for part in parts if part) + "\n"


def world_title(study: Study, world: str) -> str:
    """A world's leak, and its name where another one has the same."""
    if world == SHIPPED_WORLD:
        return "shipped world, leak 0.0005"
    leak = study.worlds[world].leak
    alike = sum(other.leak == leak for other in study.worlds.values()) > 1
    return f"leak {leak:g}, {world}" if alike else f"leak {leak:g}"


def _by_arm(study: Study, cells: Cells, world: str) -> Iterator[tuple[str, dict[int, Record]]]:
    """The arms that have final runs in a world: label and records."""
    for name, arm in study.arms.items():
        if records := cells.get((world, name)):
            yield arm.label, records


def _about(study: Study, cells: Cells) -> str:
    versions = {_made_with(r["versions"]) for records in cells.values() for r in records.values()}
    if not versions:
        return "No final run is done yet."
    return (
        f"{study.tokens:,} generated tokens a run, prompt steps included; accuracy on unseen problems, plain prompts. "
        f"Mean over seeds [95% bootstrap interval]. {'; '.join(sorted(versions))}."
    )


def _made_with(versions: Mapping[str, str]) -> str:
    parts = [
        f"torch {versions['torch']}",
        f"transformers {versions['transformers']}",
        f"Python {versions['python']}",
    ]
    if "cpu" in versions:
        parts.append(versions["cpu"])
    if "commit" in versions:
        parts.append(f"commit {versions['commit']}")
    return ", ".join(parts)


def _accuracy_table(study: Study, cells: Cells, world: str) -> str:
    families = _families(cells)
    arms = list(_by_arm(study, cells, world))
    guided = any(_guided(study, records) for _, records in arms)
    seconds = _seconds_of_the_fastest([list(records.values()) for _, records in arms])
    rows = []
    for label, records in arms:
        rows.append(
            [
                label,
                str(len(records)),
                f"{_one(records)['learning_rate']:g}",
                _interval(_mean(records, lambda r: final_accuracy(r, study.tokens))),
                *(
                    f"{fmean(final_accuracy(r, study.tokens, family) for r in records.values()):.2f}"
                    for family in families
                ),
                _interval(_mean(records, lambda r: area(r, study.tokens))),
                *([_accuracy_after(records, seconds)] if seconds is not None else []),
                *([_guided(study, records)] if guided else []),
            ]
        )
    head = ["arm", "seeds", "learning rate", "accuracy at the end", *families, "area under the curve"]
    after = [] if seconds is None else [f"accuracy after {seconds:.0f} s"]
    return _table([*head, *after, *(["at the end under its template"] if guided else [])], rows)


def _seconds_of_the_fastest(arms: Sequence[Sequence[Record]]) -> float | None:
    """Mean seconds of the arm that spends the budget first; None where clocks can't be compared."""
    if len(arms) < 2 or not recorded_alike(record for records in arms for record in records):
        return None
    return min(fmean(map(seconds_of, records)) for records in arms)


def _accuracy_after(records: Mapping[int, Record], seconds: float) -> str:
    return _interval(_mean(records, lambda r: value_at(*curve_over_seconds(r), seconds)))


def _guided(study: Study, records: Mapping[int, Record]) -> str:
    """Accuracy under the template in use; empty where it was not measured."""
    values = [guided_accuracy(record, study.tokens) for record in records.values()]
    known = [value for value in values if value is not None]
    return _interval(bootstrap_mean(known)) if known else ""


def _two_way_table(study: Study, cells: Cells, world: str) -> str:
    """Area under the curve and accuracy at the end of the arms that have a `cell`."""
    arms = {arm.cell: name for name, arm in study.arms.items() if arm.cell is not None}
    columns = list(dict.fromkeys(column for _, column in arms))
    rows = []
    for row in dict.fromkeys(row for row, _ in arms):
        found = [cells.get((world, arms.get((row, column), "")), {}) for column in columns]
        texts = [
            f"{_mean(records, lambda r: area(r, study.tokens)).mean:.3f} / "
            f"{_mean(records, lambda r: final_accuracy(r, study.tokens)).mean:.3f}"
            if records
            else ""
            for records in found
        ]
        rows.append([row, *texts])
    table = _table(["area under the curve / accuracy at the end", *columns], rows)
    return table if any(any(row[1:]) for row in rows) else ""


def _mechanism_table(study: Study, cells: Cells, world: str) -> str:
    rows = []
    for arm in study.arms:
        records = cells.get((world, arm))
        if not records:
            continue
        steps = [e["prompt_step"] for r in records.values() for e in r["epochs"] if e["prompt_step"]]
        taken = [step for step in steps if step["tokens"]]
        rows.append(
            [
                study.arms[arm].label,
                f"{fmean(len(r['epochs']) for r in records.values()):.1f}",
                _epoch_mean(records, "zero_variance", ".2f"),
                _last_hard(records),
                f"{fmean(step['templates'] for step in taken):.1f}" if taken else "",
                f"{fmean(r['prompt_step_tokens'] / r['tokens'] for r in records.values()):.0%}"
                if taken
                else "",
                _epoch_mean(records, "templated", ".0%"),
                _epoch_mean(records, "context_masked", ".2%"),
                _epoch_min(records, "context_ratio_min"),
                f"{fmean(map(seconds_of, records.values())):.0f}",
            ]
        )
    head = [
        "arm",
        "epochs",
        "groups without signal",
        "hard at the end",
        "templates a step",
        "tokens in prompt steps",
        "rollouts under templates",
        "tokens masked",
        "least context ratio",
        "seconds",
    ]
    return _table(head, rows)


def _world_tables(study: Study, cells: Cells, worlds: Sequence[str]) -> Iterator[str]:
    """Both figures by world."""
    head = ["arm", *(world_title(study, world) for world in worlds)]
    for title, figure in (("Accuracy at the end", final_accuracy), ("Area under the curve", area)):
        rows = []
        for name, arm in study.arms.items():
            row = [arm.label]
            for world in worlds:
                values = [figure(record, study.tokens) for record in cells.get((world, name), {}).values()]
                row.append(_interval(bootstrap_mean(values)) if values else "")
            rows.append(row)
        yield f"{title} by world:\n\n" + _table(head, rows)


def _difference_table(study: Study, cells: Cells, worlds: Sequence[str]) -> str:
    rows = []
    for first, second in study.compare:
        for world in worlds:
            ours, theirs = cells.get((world, first)), cells.get((world, second))
            if not ours or not theirs:
                continue
            row = [f"{study.arms[first].label} − {study.arms[second].label}"]
            if len(worlds) > 1:
                row.append(world_title(study, world))
            for value in (final_accuracy, area):
                difference = paired_difference(
                    {seed: value(r, study.tokens) for seed, r in ours.items()},
                    {seed: value(r, study.tokens) for seed, r in theirs.items()},
                )
                row.append("" if difference is None else _interval(difference, signed=True))
            rows.append(row)
    if not rows:
        return ""
    head = ["difference, seed by seed", *(["world"] if len(worlds) > 1 else []), "accuracy at the end"]
    return _table([*head, "area under the curve"], rows)


def _selection_table(study: Study, results: Results) -> str:
    if study.selection is None:
        return ""
    rates = study.selection.learning_rates
    rows = []
    several = len({world for world, _ in study.selection_cells()}) > 1
    for world, arm in study.selection_cells():
        choice = choose(study, results, world, arm, results.failed)
        cells = []
        for rate in rates:
            score = choice.scores.get(rate)
            text = "" if score is None else "failed" if score < 0 else f"{score:.3f}"
            cells.append(f"**{text}**" if rate == choice.rate else text)
        where = [world_title(study, world)] if several else []
        rows.append([study.arms[arm].label, *where, *cells])
    if not rows:
        return ""
    title = (
        f"Choice of the learning rate: mean area under the curve over {len(study.selection.seeds)} other seeds "
        "on other problems, the best in bold.\n\n"
    )
    return title + _table(
        ["arm", *(["chosen in"] if several else []), *(f"{rate:g}" for rate in rates)], rows
    )


def _arms_table(study: Study) -> str:
    rows = [
        [arm.label, arm.teaches, ", ".join(f"`{k}={v}`" for k, v in _settings(study, name).items())]
        for name, arm in study.arms.items()
    ]
    return _table(["arm", "what it teaches", "settings that differ"], rows)


def _settings(study: Study, arm: str) -> dict[str, Any]:
    world = (study.arms[arm].worlds or study.world_names)[0]
    differs = make_job(study, world, arm, "final", study.seeds[0], None).differs
    # How often an arm is evaluated does not change what it learns.
    hidden = ("evaluation.", "data.seed") if study.problems_by_seed else ("evaluation.",)
    shown = {k: v for k, v in differs.items() if v is not None and not k.startswith(hidden)}
    return {key: str(value).lower() if isinstance(value, bool) else value for key, value in shown.items()}


def _failures(study: Study, results: Results) -> str:
    """The runs of the study as it stands that have failed; a setting that was changed may have mended others."""
    if all(record["status"] != "failed" for record in results.records.values()):
        return ""  # most have none, and to list all runs takes a second
    jobs = [job for job, _ in all_jobs(study, results, results.failed) if results.failed(job)]
    if not jobs:
        return ""
    return "Runs that failed:\n\n" + "\n".join(
        f"- `{job.id}`: {results.records[job.id]['error']}" for job in jobs
    )


def _families(cells: Cells) -> list[str]:
    """The families of which all runs have evaluated problems: each seed may have problems of its own."""
    found = [r["evaluations"][0]["by_family"] for records in cells.values() for r in records.values()]
    return [name for name in found[0] if all(name in families for families in found)] if found else []


def _one(records: Mapping[int, Record]) -> Record:
    return next(iter(records.values()))


def _mean(records: Mapping[int, Record], value: Callable[[Record], float]) -> Interval:
    return bootstrap_mean([value(record) for _, record in sorted(records.items())])


def _epoch_mean(records: Mapping[int, Record], name: str, form: str) -> str:
    values = [e[name] for r in records.values() for e in r["epochs"] if name in e]
    return format(fmean(values), form) if values and any(values) else ""


def _epoch_min(records: Mapping[int, Record], name: str) -> str:
    values = [e[name] for r in records.values() for e in r["epochs"] if name in e]
    return f"{min(values):.1g}" if values else ""


def _last_hard(records: Mapping[int, Record]) -> str:
    ends = [[e["hard"] for e in r["epochs"] if e["hard"] is not None] for r in records.values()]
    last = [hard[-1] for hard in ends if hard]
    return f"{fmean(last):.0f}" if last else ""


def _interval(interval: Interval, *, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    if interval.count == 1:
        return format(interval.mean, form)
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [
        _row(head),
        _row(["---", *("---:" if _is_number(rows, i) else "---" for i in range(1, len(head)))]),
    ]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "\\n") for cell in cells) + " |"


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    return any(row[column] for row in rows) and all(
        not row[column] or row[column].lstrip("+-*")[:1].isdigit() for row in rows
    )
