"""A probe on the terminal: what plain samples solve, a row for each template, the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from p2o.intervals import Interval
from p2o.probe.run import Probe
from p2o.probe.statistics import BEST_LEAST, PLAIN_MOST, ProbeResult
from p2o.track.console import printable

LONGEST = 200
"""Characters of a template that are shown."""


def show(probe: Probe, console: Console) -> None:
    """Prints the tables and the verdict. Texts of templates are printed literally."""
    result = probe.result
    console.print(f"\n[bold]Plain samples[/bold], {result.samples} a problem, {result.problems} problems")
    console.print(_plain_table(result))
    console.print("\n[bold]Templates[/bold], rates of success")
    console.print(_template_table(result))
    for line in lines(probe):
        console.print(printable(line), highlight=False, soft_wrap=not console.is_terminal)
    console.print(
        f"\n[bold]{result.headline}[/bold]: {printable(result.reason)}.",
        highlight=False,
        soft_wrap=not console.is_terminal,
    )


def lines(probe: Probe) -> list[str]:
    """The lines between the tables and the verdict."""
    result = probe.result
    found = []
    if (unlocked := result.unlocked) is not None:
        found.append(
            f"Of {unlocked.never} problems that plain samples never solved, some template solved {unlocked.tried}. "
            f"Fresh rollouts of the best for each solve {unlocked.by_template}, fresh plain ones {unlocked.by_plain}. "
            f"Unlocked: {shown(unlocked.gain)}; probability that the templates are better: "
            f"{_probability(unlocked.probability_better)}."
        )
    found.append(
        f"Best template, chosen on one half of the problems: {quoted(result.best.template.text, 60)}. On the other "
        f"half {shown(result.best.heldout)}, plain {shown(result.plain_heldout)}."
    )
    found.append(
        f"The study's rule (plain at most {PLAIN_MOST:.0%}, the best template at least {BEST_LEAST:.0%} on problems it "
        f"was not chosen on): {'met' if result.meets_rule else 'not met'}."
    )
    found.append(
        f"Cost: {probe.rollouts:,} rollouts, {probe.tokens:,} tokens, {clock(probe.seconds)}; {probe.cut:.0%} of the "
        "rollouts ran into rollout.max_tokens."
    )
    return found


def _plain_table(result: ProbeResult) -> Table:
    table = Table()
    for column in ("never", "now and then", "mostly", "rate of success"):
        table.add_column(column, justify="right")
    plain = result.plain
    table.add_row(f"{plain.never:.0%}", f"{plain.now_and_then:.0%}", f"{plain.mostly:.0%}", shown(plain.rate))
    return table


def _template_table(result: ProbeResult) -> Table:
    table = Table(
        caption="held-out half: problems that the best was not chosen on; of the never solved: what it solves at least "
        "once of the problems that no plain sample solved (first row: fresh plain samples)",
        caption_justify="left",
    )
    table.add_column("template", overflow="fold")
    table.add_column("all", justify="right")
    table.add_column("held-out half", justify="right")
    table.add_column("of the never\nsolved", justify="right")
    again = "" if result.plain_again is None else shown(result.plain_again)
    table.add_row("plain", f"{result.plain.rate.mean:.1%}", shown(result.plain_heldout), again, style="dim")
    for row in sorted(result.templates, key=lambda row: -row.heldout.mean):
        style = "bold" if row.template.id == result.best.template.id else None
        table.add_row(
            printable(shortened(row.template.text, LONGEST)),
            f"{row.rate:.1%}",
            shown(row.heldout),
            "" if row.unlocked is None else shown(row.unlocked),
            style=style,
        )
    return table


def shown(interval: Interval) -> str:
    """A share with its interval."""
    digits = 1 if interval.high < 0.1 else 0
    return f"{interval.mean:.1%} [{interval.low:.{digits}%}, {interval.high:.{digits}%}]"


def shortened(text: str, longest: int) -> str:
    """A template on one line, cut off after `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def quoted(text: str, longest: int) -> str:
    """The beginning of a template in quotation marks."""
    return f"“{shortened(text, longest)}”"


def _probability(value: float) -> str:
    return f"{value:.3f}" if value < 0.9995 else "over 0.999"


def clock(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
