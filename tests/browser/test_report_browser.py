"""The report in headless Chromium: drawn without an error, readable at every width, in both themes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from p2o.evolution.result import Candidate
from p2o.files import append_jsonl, write_jsonl
from p2o.report.page import render
from p2o.report.records import RunRecords
from p2o.report.watch import WatchServer
from p2o.templates import make_template

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>document.title = 'hostile'</script><img src=x onerror=\"document.title = 'hostile'\">"
)

MEASURE = """<script>
addEventListener("error", (event) => (document.body.dataset.error = event.message));
addEventListener("load", () => {
  const canvas = document.querySelector("canvas");
  canvas.focus();
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  const pixels = (each) => each.getContext("2d").getImageData(0, 0, each.width, each.height).data;
  const smallest = (list) => Math.min(...list.map((each) => parseFloat(getComputedStyle(each).fontSize)));
  const closed = document.documentElement.scrollWidth;
  // The style of what is closed or out of sight would be worked out element by element, which takes a minute.
  document.querySelectorAll("details").forEach((each) => (each.open = true));
  document.querySelectorAll(".tree > li").forEach((each) => (each.style.contentVisibility = "visible"));
  const measured = {
    width: innerWidth,
    scrolls: Math.max(closed, document.documentElement.scrollWidth),
    blank: [...document.querySelectorAll("canvas")].filter((each) => !pixels(each).some((value) => value)).length,
    charts: drawn.length,
    tooltip: drawn[0].tooltip.dataPoints.map((point) => point.dataIndex),
    smallest: smallest([...document.querySelectorAll("main *")].filter((each) => each.matches(":not(:has(*))"))),
    paper: getComputedStyle(document.body).backgroundColor,
    title: document.title,
    error: document.body.dataset.error ?? null,
  };
  document.body.replaceChildren(JSON.stringify(measured));
});
</script>"""


def big_run() -> RunRecords:
    families = [f"family {number}" for number in range(12)]
    evaluations = [
        {"step": n, "num_tokens": 1000 * n, "evaluation/accuracy": n / 9, "hard/count": 9 - n}
        | {"evaluation/low": n / 10, "evaluation/high": (n + 1) / 10}
        | {f"evaluation/accuracy/{family}": n / 9 for family in families}
        for n in range(9)
    ]
    steps = [
        {
            "step": n,
            "num_tokens": n,
            "reward": 0.5,
            "frac_reward_zero_std": 0.25,
            "policy_loss": -0.1,
            "grad_norm": 1.0,
        }
        | {"context_ratio/max": 10.0, "context_ratio/mean": 1.0, "context_ratio/min": 1e-8}
        for n in range(1, 3000)
    ]
    templates = [
        {"version": 1, "epoch": 1, "id": n, "parents": [(n - 1) // 3] if n else [], "made_by": "mutation"}
        | {"accepted": n % 7 == 0, "template": {"id": f"t{n}", "text": f"{HOSTILE} word{'x' * 300} {n}"}}
        for n in range(10_000)
    ]
    rollouts = [
        {"step": step, "epoch": step, "problem": HOSTILE, "question": HOSTILE, "gold": HOSTILE, "tokens": 9}
        | {"template": "plain", "reward": 0.0, "finish_reason": "stop", "text": HOSTILE + "y" * 3000}
        for step in range(3)
    ]
    return RunRecords(
        HOSTILE, [*evaluations, *steps], templates, rollouts=rollouts, settings={"a.b": "z" * 500}
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a large run, measured by a script of the test when it is loaded."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    text = render([big_run()]).replace("<style>", MEASURE + "<style>", 1)
    path.write_text(text, encoding="utf-8")
    return path


def opened(address: str, *options: str) -> str:
    """The page as it stands after its scripts have run for a while."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    usual = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom")
    return subprocess.run(
        [chromium, *usual, *options, address], capture_output=True, text=True, timeout=300, check=True
    ).stdout


def measured(page: Path, width: int, *, dark: bool) -> dict[str, Any]:
    theme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    said = opened(page.as_uri(), f"--window-size={width},900", theme)
    found = re.search(r"\{.*\}", unescape(said.partition("<body")[2]), re.S)
    assert found is not None, said[-2000:]
    result: dict[str, Any] = json.loads(found[0])
    return result


@pytest.mark.parametrize("width", [500, 800, 1600])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_drawn_and_fits(page: Path, width: int, dark: bool) -> None:
    """Chromium's window is 500 pixels wide at least. Ten thousand templates, twelve families, words without an end."""
    found = measured(page, width, dark=dark)
    assert found["error"] is None
    assert found["title"] == HOSTILE, "no text of the run is run"
    assert found["scrolls"] <= found["width"]
    assert found["charts"] == 7
    assert found["blank"] == 0
    assert set(found["tooltip"]) == {1}, "the arrow keys move from point to point"
    assert found["smallest"] >= 12
    assert found["paper"] == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")


class GrowingRun(WatchServer):
    """A run that cannot be read when the page asks for news the second time, and then has gone on."""

    asked = 0

    def stamp(self) -> str:
        self.asked += 1
        if self.asked == 2:
            for name in ("metrics.jsonl", "templates.jsonl"):
                (self.runs[0] / name).write_text("no record\n")
        if self.asked == 3:
            for name in ("metrics.jsonl", "templates.jsonl"):
                (self.runs[0] / name).unlink()
            log(self.runs[0], 0.625)
        return super().stamp()


def log(run: Path, accuracy: float) -> None:
    record = {"step": 0, "num_tokens": 0, "evaluation/accuracy": accuracy}
    append_jsonl(run / "metrics.jsonl", [record])
    write_jsonl(run / "templates.jsonl", [Candidate(0, make_template("Carry.")).to_dict()])


def test_a_page_under_watch_follows_the_run(tmp_path: Path) -> None:
    log(tmp_path, 0.125)
    server = GrowingRun([tmp_path])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        page = opened(server.url)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "<strong>0.625</strong>" in page
    assert "<strong>0.125</strong>" not in page
    assert server.asked > 3
