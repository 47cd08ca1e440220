"""`report.html`: one self-contained page about one run or several. What a model or a user wrote is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from p2o.files import naming_damaged, write_text
from p2o.report.charts import all_charts
from p2o.report.problems import Attempt, Story, hard_problems
from p2o.report.records import Record, RunRecords, read_run
from p2o.report.templates import CARRIED_OVER, CarriedOver, PromptStep, carried_over, prompt_steps
from p2o.report.texts import cut, displayable, minute
from p2o.track.console import clock

ASSETS = Path(__file__).parent / "assets"

PHASES = {
    "rollouts": "rollouts",
    "update": "update",
    "prompt_step": "prompt step",
    "evaluation": "evaluation",
}
"""Phases of `time/PHASE_s`, and what they are called."""

MOST_TEMPLATES = 20
"""Lines of the table of what carries over; of hints there is one for each problem."""

TELLING = 3
"""Attempts shown of an epoch: each of another kind, where there are such."""


@dataclass
class RunView:
    """What the page shows of a run."""

    records: RunRecords

    @property
    def before(self) -> str:
        """Accuracy at the start."""
        return _accuracy(self.records.evaluations[:1])

    @property
    def after(self) -> str:
        """Accuracy at the last evaluation."""
        return _accuracy(self.records.evaluations[-1:])

    @property
    def by_family(self) -> dict[str, str]:
        """Accuracy of each family at the last evaluation."""
        last = self.records.evaluations[-1] if self.records.evaluations else {}
        found = {name: last.get(f"evaluation/accuracy/{name}") for name in self.records.families}
        return {name: "" if value is None else f"{value:.3f}" for name, value in found.items()}

    @property
    def tokens(self) -> str:
        """Generated tokens so far."""
        return f"{max((record['num_tokens'] for record in self.records.metrics), default=0):,}"

    @property
    def state(self) -> str:
        """Whether it has ended, and how long it took."""
        about = self.records.about
        launches = about.get("launches", [])
        if not launches:
            return ""
        if "ended" not in about:
            return f"under way since {minute(launches[-1]['started'])}"
        took = datetime.fromisoformat(about["ended"]) - datetime.fromisoformat(launches[0]["started"])
        return f"ended after {clock(took.total_seconds())}"

    @property
    def costs(self) -> list[tuple[str, list[tuple[str, str, float]]]]:
        """Time and tokens by phase: tables of name, amount and share."""
        if not self.records.metrics:
            return []
        last = self.records.metrics[-1]
        times = {
            name: sum(record.get(f"time/{key}_s", 0.0) for record in self.records.metrics)
            for key, name in PHASES.items()
            if f"time/{key}_s" in last
        }
        guidance = sum(record["guidance/tokens"] for record in self.records.prompt_steps)
        tokens = {"training": last["num_tokens"] - guidance, "prompt steps": guidance}
        return [
            (
                caption,
                [
                    (name, shown(amount), amount / (sum(amounts.values()) or 1))
                    for name, amount in amounts.items()
                ],
            )
            for caption, amounts, shown in (
                ("Time", times, clock),
                ("Tokens generated", tokens, "{:,}".format),
            )
            if amounts
        ]

    @cached_property
    def prompt_steps(self) -> list[PromptStep]:
        """The prompt steps with their templates."""
        return prompt_steps(self.records)

    @property
    def carried_over(self) -> list[CarriedOver]:
        """What the templates left behind."""
        return carried_over(self.records)

    @cached_property
    def stories(self) -> list[Story]:
        """Hard problems followed through the run."""
        return hard_problems(self.records)


def write_report(runs: Sequence[Path], path: Path) -> Path:
    """Writes the page about one run or several to `path`, and returns that.

    Raises:
        RunDirectoryError: naming the run that there is nothing to report of, or whose files are damaged.
    """
    write_text(path, page_of(runs))
    return path


def page_of(runs: Sequence[Path], *, live: bool = False) -> str:
    """The page about run directories; a `live` one looks for news (`p2o watch`).

    Raises:
        RunDirectoryError: naming the run that there is nothing to report of, or whose files are damaged.
    """
    records = [read_run(run) for run in runs]
    if len({run.name for run in records}) < len(records):  # of the same name in different folders
        records = [replace(run, name=str(path)) for run, path in zip(records, runs, strict=True)]
    names = " or ".join(map(str, runs))
    with naming_damaged(f"{names}: metrics.jsonl, templates.jsonl, transfer.jsonl or rollouts/"):
        return render(records, live=live)


def render(records: Sequence[RunRecords], *, live: bool = False) -> str:
    """The page of the records of one or more runs."""
    views = [RunView(each) for each in records]
    charts = all_charts(records)
    several = len(views) > 1
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=displayable,
    )
    environment.filters |= {"cut": cut, "minute": minute, "telling": telling}
    return environment.get_template("page.html.j2").render(
        title=listed([each.name for each in records]),
        runs=views,
        several=several,
        live=live,
        families=[] if several else records[0].families,
        charts=charts,
        carried_over=CARRIED_OVER,
        most_templates=MOST_TEMPLATES,
        chart_values=htmlsafe_json_dumps([_finite(asdict(chart)) for chart in charts]),
        differing=differing(records) if several else [],
        has_templates=any(step.nodes for view in views for step in view.prompt_steps),
        has_stories=any(view.stories for view in views),
        style=_asset("page.css"),
        script=_asset("page.js"),
        library=_asset("chart.umd.js"),
    )


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def telling(attempts: Sequence[Attempt]) -> list[Attempt]:
    """A few attempts of an epoch: solved and failed ones, plain and under templates, before more of a kind."""
    kinds: set[tuple[bool, bool]] = set()
    first: list[Attempt] = []
    rest: list[Attempt] = []
    for attempt in attempts:
        kind = (attempt.solved, attempt.plain)
        (rest if kind in kinds else first).append(attempt)
        kinds.add(kind)
    return [*first, *rest][: max(TELLING, len(first))]


def differing(records: Sequence[RunRecords]) -> list[tuple[str, list[str]]]:
    """The settings that are not the same in all runs."""
    names = sorted({name for run in records for name in run.settings})
    rows = [(name, [str(run.settings.get(name, "")) for run in records]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _accuracy(records: Sequence[Record]) -> str:
    if not records:
        return ""
    record = records[0]
    text = f"{record['evaluation/accuracy']:.3f}"
    if "evaluation/low" in record:
        text += f" [{record['evaluation/low']:.3f}, {record['evaluation/high']:.3f}]"
    return text


def _finite(value: Any) -> Any:
    """JSON has no NaN: where a figure is none, the line has a gap."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _asset(name: str) -> Markup:
    return Markup((ASSETS / name).read_text("utf-8"))
