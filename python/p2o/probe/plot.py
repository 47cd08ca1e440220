"""The picture of a probe: what plain samples and words solve, and each template on problems it was not chosen on."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

from p2o.files import write_bytes
from p2o.probe.display import shortened
from p2o.probe.statistics import ProbeResult

_MOSTLY, _SOMETIMES, _UNLOCKED, _NEVER = "#1b6ca8", "#7fb3d5", "#2a7f62", "#d9d9d9"
_LONGEST = 46
"""Characters of a template's label."""


def write_picture(result: ProbeResult, path: Path, *, name: str) -> bool:
    """Draws the picture, headed by `name` and the verdict, as a PNG file; False where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = len(result.templates) + 1
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9, 2.2 + 0.34 * rows), height_ratios=[1, 0.6 * rows], layout="constrained"
    )
    _draw_problems(above, result, f"{name}: {result.headline}")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    _draw_templates(below, result)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # what its font lacks (Chinese) is a box in the picture
        # No version and no date: the same result draws the same file.
        figure.savefig(file, dpi=150, facecolor="white", format="png", metadata={"Software": None})
    pyplot.close(figure)
    write_bytes(path, file.getvalue())
    return True


def _draw_problems(axis: Any, result: ProbeResult, title: str) -> None:
    """One bar: the problems by who solves them."""
    plain = result.plain
    unlocked = 0.0
    if result.unlocked is not None:
        unlocked = max(result.unlocked.gain.mean, 0.0) * plain.never
    parts = [
        ("plain, mostly", plain.mostly, _MOSTLY),
        ("plain, now and then", plain.now_and_then, _SOMETIMES),
        ("words unlock", unlocked, _UNLOCKED),
        ("neither", plain.never - unlocked, _NEVER),
    ]
    left = 0.0
    for label, share, color in parts:
        axis.barh(0, share, left=left, color=color, label=f"{label} {share:.0%}", height=0.7)
        left += share
    axis.set_xlim(0, 1)
    axis.set_yticks([])
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.spines[["top", "right", "left"]].set_visible(False)
    title = f"{title}\n{result.problems} problems by who solves them"
    axis.set_title(title, fontsize=11, loc="left", parse_math=False)


def _draw_templates(axis: Any, result: ProbeResult) -> None:
    """A dot with its interval for the plain prompt and each template, on the held-out problems."""
    rows = sorted(result.templates, key=lambda row: row.heldout.mean)
    named = [(shortened(row.template.text, _LONGEST), row.heldout) for row in rows]
    named.append(("plain", result.plain_heldout))
    for height, (_, found) in enumerate(named):
        color = _MOSTLY if height == len(named) - 1 else _UNLOCKED
        axis.plot([found.low, found.high], [height, height], color=color, linewidth=2, alpha=0.5)
        axis.plot([found.mean], [height], "o", color=color, markersize=6)
    axis.axvline(result.plain_heldout.mean, color=_MOSTLY, linewidth=1, linestyle=":")
    axis.set_yticks(range(len(named)), [name for name, _ in named], parse_math=False, fontsize=9)
    axis.set_xlim(left=0)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title("rate of success on the held-out half, with 95% intervals", fontsize=11, loc="left")
