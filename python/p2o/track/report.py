"""`report.html`: one self-contained page about a run, made from its directory. Model output is escaped everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape as escape_markup
from pathlib import Path
from typing import Any

from p2o.errors import RunDirectoryError, in_one_line
from p2o.files import read_jsonl, write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .75rem; text-align: left;
border-bottom: 1px solid #ddd; vertical-align: top; } td.number { text-align: right; font-variant-numeric:
tabular-nums; } pre { white-space: pre-wrap; margin: 0; } svg { width: 100%; height: auto; } .refused { color: #999; }
"""

_CONTROL = dict.fromkeys(
    [
        *(code for code in range(32) if code not in (9, 10)),
        *range(127, 160),
        0xFFFE,
        0xFFFF,
        *range(0xD800, 0xE000),
    ],
    "\N{REPLACEMENT CHARACTER}",
)
"""Characters that HTML does not allow, and that a pager would hand to the terminal."""


def displayable(text: str) -> str:
    """A text without what would steer a terminal."""
    return text.translate(_CONTROL)


def escape(text: str) -> str:
    """A text as HTML shows it."""
    return escape_markup(displayable(text))


WIDTH, HEIGHT, MARGIN = 720, 260, 44
SHORT = 60
"""Characters shown of a template in a row of figures."""
COLORS = ("#1b6ca8", "#c8553d", "#2a7f62", "#8e5ea2", "#b58900", "#555555")


def write_report(run: Path) -> Path:
    """Writes `report.html` into a run directory and returns its path.

    Raises:
        RunDirectoryError: if there are no metrics to report.
    """
    metrics = read_jsonl(run / "metrics.jsonl")
    if not metrics:
        raise RunDirectoryError(f"{run}: no metrics.jsonl with at least one line; is it a run directory?")
    path = run / "report.html"
    templates, transfer = read_jsonl(run / "templates.jsonl"), read_jsonl(run / "transfer.jsonl")
    try:
        page = render_report(run.name, metrics, templates, transfer)
    except (KeyError, TypeError, ValueError) as error:  # without checksums nothing else shows it
        raise RunDirectoryError(
            f"{run}: metrics.jsonl, templates.jsonl or transfer.jsonl is damaged ({in_one_line(error)})"
        ) from error
    write_text(path, page)
    return path


def render_report(
    name: str,
    metrics: Sequence[Mapping[str, Any]],
    templates: Sequence[Mapping[str, Any]],
    transfer: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page as text, of the records of the files of these names."""
    evaluations = [record for record in metrics if "evaluation/accuracy" in record]
    steps = [record for record in metrics if "reward" in record]
    families = sorted(
        {key for record in evaluations for key in record if key.startswith("evaluation/accuracy/")}
    )
    accuracy = {
        key.removeprefix("evaluation/accuracy/") if key in families else "all": [
            (record["num_tokens"], record[key]) for record in evaluations if key in record
        ]
        for key in ["evaluation/accuracy", *families]
    }
    rewards = {
        label: [(record["num_tokens"], record[key]) for record in steps]
        for label, key in (("reward", "reward"), ("groups without signal", "frac_reward_zero_std"))
    }
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(name)}</title>"
        f"<style>{STYLE}</style></head><body><h1>{escape(name)}</h1>"
        "<h2>Accuracy on unseen problems, plain prompts</h2>"
        f"{line_chart(accuracy)}<h2>Training</h2>{line_chart(rewards)}"
        f"{_evaluation_table(evaluations)}{_transfer_table(templates, transfer)}"
        f"<h2>Templates</h2>{_template_table(templates)}</body></html>\n"
    )


def line_chart(series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines over generated tokens as inline SVG; the vertical axis runs from 0 to 1."""
    right = max((x for points in series.values() for x, _ in points), default=1) or 1
    parts = [f"<svg viewBox='0 0 {WIDTH} {HEIGHT + 24}' role='img'>"]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(tick)
        parts.append(f"<line x1='{MARGIN}' x2='{WIDTH}' y1='{y:.1f}' y2='{y:.1f}' stroke='#e5e5e5'/>")
        parts.append(f"<text x='4' y='{y + 4:.1f}' font-size='12'>{tick:.2f}</text>")
    for tick in (0.0, 0.5, 1.0):
        anchor = "start" if tick == 0 else "end" if tick == 1 else "middle"
        parts.append(
            f"<text x='{_x(tick * right, right):.1f}' y='{HEIGHT - 12}' font-size='12' text-anchor='{anchor}'>"
            f"{tick * right:,.0f} tokens</text>"
        )
    left = MARGIN
    for index, (label, points) in enumerate(series.items()):
        color = COLORS[index % len(COLORS)]
        path = " ".join(f"{_x(x, right):.1f},{_y(y):.1f}" for x, y in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='2'/>")
        parts.append(
            f"<text x='{left}' y='{HEIGHT + 14}' font-size='13' fill='{color}'>{escape(label)}</text>"
        )
        left += 24 + 8 * len(label)
    return "".join([*parts, "</svg>"])


def _x(value: float, right: float) -> float:
    return MARGIN + (WIDTH - MARGIN - 8) * value / right


def _y(value: float) -> float:
    return 10 + (HEIGHT - MARGIN) * (1 - value)


def _evaluation_table(evaluations: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td class='number'>{record['step']}</td><td class='number'>{record['num_tokens']:,}</td>"
        f"<td class='number'>{record['evaluation/accuracy']:.3f}</td>"
        f"<td class='number'>{record.get('hard/count', '')}</td></tr>"
        for record in evaluations
    )
    head = "<tr><th>step</th><th>tokens generated</th><th>accuracy</th><th>hard samples</th></tr>"
    return f"<table>{head}{rows}</table>"


def _transfer_table(templates: Sequence[Mapping[str, Any]], transfer: Sequence[Mapping[str, Any]]) -> str:
    """What is known of each template after the newest epoch, those that solved most problems first."""
    last = max((record["epoch"] for record in transfer), default=None)
    newest = [record for record in transfer if record["epoch"] == last and record["problems"]]
    if not newest:
        return ""
    # A template that is carried over is given to the next prompt step: who made it is said the first time.
    made = {record["template"]["id"]: record for record in reversed(templates)}
    rows = []
    for record in sorted(newest, key=lambda record: -record["problems"]):
        origin = made.get(record["template"], {"text": record["template"], "made_by": ""})
        text = " ".join(str(origin["text"]).split())
        short = text if len(text) <= SHORT else text[: SHORT - 1] + "\N{HORIZONTAL ELLIPSIS}"
        cells = (
            f"{record['problems']}",
            _figure(record["solved_later"], ".0%", record["tried_later"]),
            _figure(record["gain"], "+.0%", record["compared"]),
            _figure(record["reliance"], "+.0%", record["reliance_problems"]),
            _figure(record["context_ratio"], ".3g"),
            _figure(record["context_masked"], ".1%"),
        )
        numbers = "".join(f"<td class='number'>{cell}</td>" for cell in cells)
        rows.append(f"<tr><td>{escape(short)}</td><td>{escape(str(origin['made_by']))}</td>{numbers}</tr>")
    head = "".join(
        f"<th>{title}</th>"
        for title in (
            *(
                "template",
                "made by",
                "problems solved under it",
                "solved plain later",
                "gain of the plain rate",
            ),
            *("reliance", "context ratio", "tokens masked"),
        )
    )
    return f"<h2>What carries over</h2><table><tr>{head}</tr>{''.join(rows)}</table>"


def _figure(value: float | None, form: str, count: int | None = None) -> str:
    """A figure, and of how many problems; a dash where it is not known."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:{form}}" if count is None else f"{value:{form}} of {count:,}"


def _template_table(templates: Sequence[Mapping[str, Any]]) -> str:
    if not templates:
        return "<p>No prompt step has run.</p>"
    rows = "".join(
        f"<tr class='{'' if record.get('accepted') else 'refused'}'>"
        f"<td>{escape(str(record.get('epoch', '')))}</td><td>{escape(_outcome(record))}</td>"
        f"<td><pre>{escape(str(record.get('text', '')))}</pre></td></tr>"
        for record in templates
    )
    return f"<table><tr><th>epoch</th><th>outcome</th><th>text</th></tr>{rows}</table>"


def _outcome(record: Mapping[str, Any]) -> str:
    """What became of a candidate."""
    if record.get("chosen"):
        return "training"
    return "accepted" if record.get("accepted") else f"refused: {record.get('reason') or 'no better'}"
