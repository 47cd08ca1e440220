"""The plots of a study's report: accuracy over generated tokens and over seconds, and the hard samples left, with bands
over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from p2o.errors import MissingDependencyError
from p2o.study.plan import Study
from p2o.study.results import curve, curve_over_seconds, recorded_alike, seconds_of
from p2o.study.statistics import band
from p2o.study.tables import Cells, world_title

COLORS = ("#1b6ca8", "#c8553d", "#2a7f62", "#8e5ea2", "#b58900", "#444444", "#d6709f", "#5aa9c9")
POINTS = 60
"""Points of a drawn curve, evenly over its axis."""

MOST_BANDS = 7
"""Arms beyond which bands would hide the lines."""

Curve = tuple[list[float], list[float]]


def write_plots(study: Study, cells: Cells, folder: Path, name: str) -> list[Path]:
    """Draws the plots as SVG files and returns their paths.

    Raises:
        MissingDependencyError: if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingDependencyError(
            "the plots need matplotlib: pip install 'p2o-rl[study]'; tables.md is written"
        ) from None
    matplotlib.use("Agg")
    accuracy = folder / f"{name}-accuracy.svg"
    hard = folder / f"{name}-hard.svg"
    plain = "accuracy, plain prompts"
    _draw(study, cells, accuracy, plain, Axis.tokens(study), curve, (0.0, 1.0))
    _draw(study, cells, hard, "hard samples at the epoch's end", Axis.tokens(study), hard_curve, (0.0, None))
    records = [record for runs in cells.values() for record in runs.values()]
    if not recorded_alike(records):
        return [accuracy, hard]
    seconds = folder / f"{name}-seconds.svg"
    _draw(study, cells, seconds, plain, Axis.seconds(records), curve_over_seconds, (0.0, 1.0))
    return [accuracy, hard, seconds]


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis: what it shows, where it ends, and the unit in which it is written."""

    label: str
    end: float
    unit: float

    @classmethod
    def tokens(cls, study: Study) -> Self:
        """Generated tokens, up to the budget."""
        return cls("generated tokens, thousands", study.tokens, 1000)

    @classmethod
    def seconds(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """Seconds of a run on one thread, up to the end of the slowest."""
        return cls("seconds, one thread", max(map(seconds_of, records)), 1)


def hard_curve(record: Mapping[str, Any]) -> Curve:
    """Tokens and hard samples at the ends of a record's epochs."""
    ends = [(float(e["tokens"]), float(e["hard"])) for e in record["epochs"] if e["hard"] is not None]
    return [x for x, _ in ends], [y for _, y in ends]


def _draw(
    study: Study,
    cells: Cells,
    path: Path,
    label: str,
    along: Axis,
    of: Callable[[Mapping[str, Any]], Curve],
    limits: tuple[float, float | None],
) -> None:
    """One panel a world, one line an arm."""
    from matplotlib import pyplot

    worlds = [world for world in study.world_names if any(cell[0] == world for cell in cells)]
    columns = min(len(worlds), 2)
    rows = -(-len(worlds) // columns)
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(1.8 + 4.8 * columns, 0.4 + 3.4 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axis, world in zip(axes.flat, worlds, strict=False):
        _draw_world(
            axis, study, {arm: records for (w, arm), records in cells.items() if w == world}, along, of
        )
        if len(worlds) > 1:
            axis.set_title(world_title(study, world), fontsize=11)
    for axis in axes.flat[len(worlds) :]:
        axis.remove()
    for axis in axes.flat[: len(worlds)]:
        axis.tick_params(labelbottom=True)  # below the last row there may be none
    for axis in axes[-1]:
        axis.set_xlabel(along.label)
    for axis in axes[:, 0]:
        axis.set_ylabel(label)
    axes[0][0].set_xlim(0, along.end / along.unit)
    axes[0][0].set_ylim(*limits)
    shown = [axis.get_legend_handles_labels() for axis in axes.flat]
    handles = {text: handle for lines, texts in shown for handle, text in zip(lines, texts, strict=True)}
    order = [arm.label for arm in study.arms.values() if arm.label in handles]
    legend = figure.legend(
        [handles[text] for text in order], order, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    # No date and no random ids: the same results draw the same file.
    with warnings.catch_warnings(), pyplot.rc_context({"svg.hashsalt": "p2o"}):
        warnings.filterwarnings("ignore", "Glyph")  # what its font lacks (Chinese) is a box in the picture
        figure.tight_layout()
        figure.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None})
    pyplot.close(figure)


def _draw_world(
    axis: Any,
    study: Study,
    arms: Mapping[str, Mapping[int, Mapping[str, Any]]],
    along: Axis,
    of: Callable[[Mapping[str, Any]], Curve],
) -> None:
    drawn = [name for name, settings in study.arms.items() if settings.plot]
    for index, arm in enumerate(drawn):
        curves = [curve for curve in map(of, arms.get(arm, {}).values()) if curve[0]]
        if not curves:
            continue
        # Before an arm's first point there is nothing to draw; after a run's last one it stays where it was.
        start = max(places[0] for places, _ in curves)
        at = np.linspace(start, max(start, along.end), POINTS).tolist()
        points = band(curves, at)
        color, style = COLORS[index % len(COLORS)], "-" if index < len(COLORS) else "--"
        shown = [x / along.unit for x in at]
        means = [point.mean for point in points]
        axis.plot(shown, means, style, color=color, linewidth=2, label=study.arms[arm].label)
        if len(drawn) <= MOST_BANDS:
            low, high = [point.low for point in points], [point.high for point in points]
            axis.fill_between(shown, low, high, color=color, alpha=0.15, linewidth=0)
    axis.grid(color="#e5e5e5", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
