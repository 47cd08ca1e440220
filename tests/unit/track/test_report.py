"""The report: what a user or a model wrote is shown as it stands."""

from __future__ import annotations

import re

from p2o.evolution.budget import Ledger
from p2o.evolution.result import Candidate, Evolution
from p2o.templates import make_template
from p2o.track.report import render_report
from p2o.track.run_directory import template_records


def test_families_may_hold_slashes_and_markup() -> None:
    record = {
        "step": 3,
        "num_tokens": 1000,
        "hard/count": 2,
        "evaluation/accuracy": 0.5,
        "evaluation/accuracy/algebra/linear": 0.25,
        "evaluation/accuracy/geometry/linear": 0.75,
        "evaluation/accuracy/<b>": 1.0,
    }
    page = render_report("run", [record], [])
    for name in ("algebra/linear", "geometry/linear", "&lt;b&gt;", "all"):
        assert f">{name}</text>" in page
    assert page.count("<polyline") == 6, "four of accuracy, two of training"


def test_an_evaluation_within_an_epoch_has_no_hard_samples() -> None:
    start = {"step": 0, "num_tokens": 0, "evaluation/accuracy": 0.5}
    page = render_report("run", [start, {**start, "step": 2, "num_tokens": 1000, "hard/count": 7}], [])
    assert "<td class='number'>0.500</td><td class='number'></td></tr>" in page
    assert "<td class='number'>0.500</td><td class='number'>7</td></tr>" in page


def test_what_would_steer_a_terminal_is_replaced() -> None:
    """Of a model's text only what HTML allows is written: a report is looked at with `less` too."""
    record = {"step": 0, "num_tokens": 0, "evaluation/accuracy": 0.5}
    text = "a\x1b[31mb\x00c\x9bd\x7fe\ud800f\ttab\nline <b>"
    page = render_report("run\x1b", [record], [{"epoch": 1, "text": text, "reason": "\x1b]0;x\x07"}])
    assert not {c for c in page if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160}
    assert "\tab" not in page
    assert "f\ttab\nline &lt;b&gt;" in page
    page.encode()


def test_what_carries_over_is_shown_of_the_newest_epoch() -> None:
    """Two templates with figures, the one that solved more first; one that solved nothing is left out."""
    metrics = [{"step": 0, "num_tokens": 0, "evaluation/accuracy": 0.5}]
    templates = [
        {"epoch": epoch, "text": "use <b>\n" + 80 * "x", "made_by": made_by, "template": {"id": "z"}}
        for epoch, made_by in ((1, "mutation"), (2, "given"))
    ]
    line = {
        "epoch": 2,
        "template": "z",
        "problems": 9,
        "tried_later": 8,
        "solved_later": 0.25,
        "gain": -0.125,
        "compared": 8,
        "reliance": 0.5,
        "reliance_problems": 6,
        "context_tokens": 100,
        "context_ratio": 0.0625,
        "context_masked": 0.031,
    }
    unknown = dict.fromkeys(("solved_later", "gain", "reliance", "context_ratio", "context_masked"))
    transfer = [
        {**line, "epoch": 1, "problems": 777},
        {**line, **unknown, "template": "y", "problems": 1},
        {**line, "template": "x", "problems": 0},
        line,
    ]
    page = render_report("run", metrics, templates, transfer)
    cells = ["9", "25% of 8", "-12% of 8", "+50% of 6", "0.0625", "3.1%"]
    shown = "".join(f"<td class='number'>{cell}</td>" for cell in cells)
    short = "use &lt;b&gt; " + 51 * "x" + "\N{HORIZONTAL ELLIPSIS}"
    first = f"<tr><td>{short}</td><td>mutation</td>{shown}</tr>"
    dashes = 5 * "<td class='number'>\N{EN DASH}</td>"
    assert f"{first}<tr><td>y</td><td></td><td class='number'>1</td>{dashes}</tr></table>" in page
    assert "777" not in page
    assert "<td>x</td>" not in page
    assert "What carries over" not in render_report("run", metrics, templates)


def test_a_refused_duplicate_is_not_taken_for_the_template_in_training() -> None:
    """Three candidates of one step: in training, accepted but not chosen, and the first one proposed again."""
    first, second = make_template("Carry."), make_template("Borrow.")
    candidates = (
        Candidate(0, first, accepted=True, scores={"a": (1.0, 1)}),
        Candidate(1, second, accepted=True, scores={"a": (1.0, 1)}),
        Candidate(2, first, accepted=False, reason="duplicate"),
    )
    records = template_records(1, 1, Evolution("1", candidates, (first,), ("a",), (), Ledger(1), "budget"))
    assert [record["chosen"] for record in records] == [True, False, False]
    page = render_report("run", [{"step": 0, "num_tokens": 0, "evaluation/accuracy": 0.0}], records)
    rows = re.findall(r"<tr class='(\w*)'><td>1</td><td>([^<]*)</td><td><pre>([^<]*)</pre>", page)
    assert rows == [
        ("", "training", "Carry."),
        ("", "accepted", "Borrow."),
        ("refused", "refused: duplicate", "Carry."),
    ]
