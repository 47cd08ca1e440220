"""The charts of a report, as plain values that its script hands to Chart.js."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from p2o.report.records import Record, RunRecords

MOST_POINTS = 400
"""Points of a line; of a longer one so many means are shown."""


POWERS = 100.0
"""Largest by smallest value from which a logarithmic axis has more than one power of ten to mark."""


@dataclass(frozen=True, slots=True)
class Line:
    """A named line over generated tokens."""

    label: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()
    """The ends of an interval at each point."""
    place: int = 0
    """Its number among the lines of the chart, of which some may not be shown: it has its colour by that."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of lines over generated tokens."""

    id: str
    title: str
    lines: Sequence[Line]
    note: str = ""
    bounds: tuple[float, float] | None = None
    """Of the vertical axis."""
    logarithmic: bool = False
    table: bool = False
    """Whether its figures stand below it as a table."""


def all_charts(runs: Sequence[RunRecords]) -> list[Chart]:
    """Those that the runs have figures for, other than 0."""
    charts = (_shown(chart) for chart in (accuracy_chart(runs), *step_charts(runs), hard_chart(runs)))
    return [chart for chart in charts if any(value for line in chart.lines for _, value in line.points)]


def _shown(chart: Chart) -> Chart:
    """The chart without lines that have no points; logarithmic only where its values reach over powers of ten."""
    lines = [replace(line, place=place) for place, line in enumerate(chart.lines) if line.points]
    values = [value for line in lines for _, value in line.points if value > 0]
    wide = bool(values) and max(values) >= POWERS * min(values)
    return replace(chart, lines=lines, logarithmic=chart.logarithmic and wide)


def accuracy_chart(runs: Sequence[RunRecords]) -> Chart:
    """Accuracy with its interval; of one run the families as well."""
    lines = [_accuracy(run, "", _label(runs, run, "all problems")) for run in runs]
    if len(runs) == 1:
        lines += [_accuracy(runs[0], f"/{family}", family) for family in runs[0].families]
    lines += [
        Line("all, under the template in use" if len(runs) == 1 else f"{run.name}, guided", points)
        for run in runs
        if (points := _points(run.evaluations, "evaluation/guided_accuracy"))
    ]
    note = "The band is the 95% bootstrap interval over problems." if any(line.band for line in lines) else ""
    title = "Accuracy on unseen problems, plain prompts"
    return Chart("accuracy", title, lines, note, bounds=(0, 1), table=True)


def hard_chart(runs: Sequence[RunRecords]) -> Chart:
    """How many training problems are hard at the end of each epoch."""
    lines = [Line(_label(runs, run, "hard problems"), _points(run.evaluations, "hard/count")) for run in runs]
    return Chart("hard", "Hard problems at the end of an epoch", lines, table=True)


STEP_CHARTS: Sequence[tuple[str, str, dict[str, str], dict[str, Any]]] = (
    ("reward", "Mean reward", {"reward": "mean reward"}, {"bounds": (0, 1)}),
    (
        "groups",
        "Shares of groups and rollouts",
        {
            "frac_reward_zero_std": "groups without a signal",
            "templated/frac": "rollouts under a template",
            "completions/clipped_ratio": "completions cut off",
        },
        {"bounds": (0, 1)},
    ),
    ("loss", "Policy loss", {"policy_loss": "policy loss"}, {}),
    ("kl", "KL divergence, nats a token", {"policy_kl": "to the old policy", "kl": "to the start"}, {}),
    ("entropy", "Entropy of completions, nats a token", {"entropy": "of the tokens drawn"}, {}),
    ("gradient", "Gradient norm before clipping", {"grad_norm": "before clipping"}, {}),
    (
        "length",
        "Mean length of completions, tokens",
        {"completions/mean_length": "tokens per completion"},
        {},
    ),
    (
        "context",
        "Context ratio of templated tokens",
        {"context_ratio/max": "largest", "context_ratio/mean": "mean", "context_ratio/min": "smallest"},
        {
            "logarithmic": True,
            "note": "Probability on the plain prompt over that under the template: 1 where both agree.",
        },
    ),
    (
        "mask",
        "Shares of templated tokens and the context bounds",
        {
            "context_mask/frac": "left out",
            "context_mask/low": "below the lower bound",
            "context_mask/high": "above the upper bound",
        },
        {"note": "Under context.mode = asymmetric rewarded tokens below the lower bound are not left out."},
    ),
)
"""Of each chart its id, its title, the metrics in it with their labels, and further fields of `Chart`."""


def step_charts(runs: Sequence[RunRecords]) -> Iterator[Chart]:
    """Metrics of training steps; of several runs each figure has a chart of its own."""
    for identity, title, figures, options in STEP_CHARTS:
        if len(runs) == 1:
            lines = [_line(runs[0], key, label) for key, label in figures.items()]
            yield Chart(identity, title, lines, **options)
            continue
        for key, label in figures.items():
            name = title if len(figures) == 1 else f"{title}: {label}"
            yield Chart(f"{identity}-{key}", name, [_line(run, key, run.name) for run in runs], **options)


def _line(run: RunRecords, key: str, label: str) -> Line:
    return Line(label, thinned(_points(run.steps, key)))


def thinned(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """The points, or means of neighbouring ones where there are more than `most`."""
    size = -(-len(points) // most)
    if size <= 1:
        return list(points)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], fmean(y for _, y in part)) for part in parts]


def _accuracy(run: RunRecords, suffix: str, label: str) -> Line:
    records = [record for record in run.evaluations if f"evaluation/accuracy{suffix}" in record]
    ends = [
        (record.get(f"evaluation/low{suffix}"), record.get(f"evaluation/high{suffix}")) for record in records
    ]
    band = [(low, high) for low, high in ends if low is not None and high is not None] if not suffix else []
    points = _points(records, f"evaluation/accuracy{suffix}")
    return Line(label, points, band if len(band) == len(points) else ())


def _points(records: Sequence[Record], key: str) -> list[tuple[float, float]]:
    return [
        (record["num_tokens"], record[key]) for record in records if isinstance(record.get(key), int | float)
    ]


def _label(runs: Sequence[RunRecords], run: RunRecords, label: str) -> str:
    """A line's name: what it shows of one run, and of several the run's."""
    return label if len(runs) == 1 else run.name
