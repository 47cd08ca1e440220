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
