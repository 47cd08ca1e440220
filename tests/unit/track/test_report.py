"""The report: what a user or a model wrote is shown as it stands."""

from __future__ import annotations

from p2o.track.report import render_report


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
