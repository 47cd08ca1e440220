"""The plots of a study's report: accuracy over generated tokens, and the hard samples left, with bands over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from p2o.errors import MissingDependencyError
from p2o.study.plan import Study
from p2o.study.results import curve
from p2o.study.statistics import band
from p2o.study.tables import Cells, world_title

COLORS = ("#1b6ca8", "#c8553d", "#2a7f62", "#8e5ea2", "#b58900", "#444444", "#d6709f", "#5aa9c9")
POINTS = 60
"""Points of a drawn curve, evenly over the tokens."""

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
    _draw(study, cells, accuracy, "accuracy, plain prompts", curve, (0.0, 1.0))
    _draw(study, cells, hard, "hard samples at the epoch's end", hard_curve, None)
    return [accuracy, hard]


def hard_curve(record: Mapping[str, Any]) -> Curve:
    """Tokens and hard samples at the ends of a record's epochs."""
    ends = [(float(e["tokens"]), float(e["hard"])) for e in record["epochs"] if e["hard"] is not None]
    return [x for x, _ in ends], [y for _, y in ends]


def _draw(
    study: Study,
    cells: Cells,
    path: Path,
    label: str,
    of: Callable[[Mapping[str, Any]], Curve],
    limits: tuple[float, float] | None,
) -> None:
    from matplotlib import pyplot

    worlds = [world for world in study.world_names if any(cell[0] == world for cell in cells)]
    arms = [arm for arm, settings in study.arms.items() if settings.plot]
    figure, axes = pyplot.subplots(
        1, max(len(worlds), 1), figsize=(2.6 + 4.6 * max(len(worlds), 1), 4.0), sharey=True, squeeze=False
    )
    for axis, world in zip(axes[0], worlds, strict=False):
        for index, arm in enumerate(arms):
            curves = [of(record) for record in cells.get((world, arm), {}).values()]
            curves = [(tokens, values) for tokens, values in curves if tokens]
            if not curves:
                continue
            # Before an arm's first point there is nothing to draw; after a run's last one it stays where it was.
            start = max(tokens[0] for tokens, _ in curves)
            at = np.linspace(start, max(start, study.tokens), POINTS).tolist()
            points = band(curves, at)
            color = COLORS[index % len(COLORS)]
            style = "-" if index < len(COLORS) else "--"
            thousands = [x / 1000 for x in at]
            axis.plot(
                thousands,
                [p.mean for p in points],
                style,
                color=color,
                linewidth=2,
                label=study.arms[arm].label,
            )
            axis.fill_between(
                thousands,
                [p.low for p in points],
                [p.high for p in points],
                color=color,
                alpha=0.15,
                linewidth=0,
            )
        axis.set_xlim(0, study.tokens / 1000)
        axis.set_xlabel("generated tokens, thousands")
        axis.grid(color="#e5e5e5", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
        if len(worlds) > 1:
            axis.set_title(world_title(study, world), fontsize=11)
    axes[0][0].set_ylabel(label)
    axes[0][0].set_ylim(*(limits or (0, None)))
    handles = {
        text: handle
        for axis in axes[0]
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )
    figure.tight_layout()
    # No date and no random ids: the same results draw the same file.
    with pyplot.rc_context({"svg.hashsalt": "p2o"}):
        figure.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None})
    pyplot.close(figure)
