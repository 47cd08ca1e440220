"""What the terminal shows: texts of others literally, and the tokens that methods are compared at."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console as RichConsole

from p2o.outcomes import Outcomes
from p2o.state import LoopState
from p2o.track.console import Console, RunProgress, printable


def console() -> tuple[Console, StringIO]:
    printed = StringIO()
    return Console(RichConsole(file=printed, width=120)), printed


def test_a_line_is_printed_literally() -> None:
    shown, printed = console()
    shown.note("\x1b[31mred\x07 [bold]x[/bold]\r\n")
    assert printed.getvalue() == "\ufffd[31mred\ufffd [bold]x[/bold]\ufffd⏎\n"


@given(st.text("[]\\/ab=#@: :100:", min_size=1))
@example(r"\[x^2 = 4\] so \boxed{[2]} \\ ")
@example("mixed 3:100:2 and 1 :smile: 2")
@example(r"\[#=[")
@example("ends in \\\\")
def test_a_text_stays_as_it_is_between_markup(text: str) -> None:
    """Backslashes and colons of LaTeX and of ratios, too, which mean something beside brackets and words."""
    shown, printed = console()
    shown.note(text)
    shown._dim(text)
    shown.rich.print(f"{printable(text)}[bold]x[/bold]{printable(text)}]", soft_wrap=True, highlight=False)
    assert printed.getvalue() == f"{text}\n{text}\n{text}x{text}]\n"


def test_a_log_is_never_long_silent_and_never_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty seconds between two lines, whatever they are about; text of a model in them is printed literally."""
    now = 100.0
    monkeypatch.setattr("p2o.track.console.time.monotonic", lambda: now)
    shown, printed = console()
    with shown.phase("prompt step  reflection", 8) as progress:
        now += 19.9
        progress(3)
        assert printed.getvalue() == ""
        now += 0.2
        progress(1)
        progress(1)
    now += 20.0
    with shown.phase("rollouts", 5):
        pass
    now += 20.0
    shown.under_way(lambda: "[bold]x[/bold]")
    assert printed.getvalue() == "prompt step  reflection  4/8\nrollouts  0/5\n[bold]x[/bold]\n"


def test_what_is_under_way_does_not_mix_with_results(capsys: pytest.CaptureFixture[str]) -> None:
    """`p2o evolve --json` and `p2o eval --json` take as long as they may."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("p2o.track.console.SPARSELY", 0.0)
        with Console.beside_output().phase("evaluation", 2) as progress:
            progress(1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "evaluation  0/2\nevaluation  1/2\n"


def test_a_step_says_where_the_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the run took 90 s: three times as much is left."""
    progress = RunProgress(epoch=2, epochs=4, step=3, problems=48, of=256, share=0.25, seconds=90.0)
    assert str(progress) == "epoch 2/4 step 3  48/256 problems  about 4:30 min left"
    shown, printed = console()
    record = {"reward": 0.5, "templated/frac": 0.25, "num_tokens": 1234}
    shown.stepped(record, progress)
    assert printed.getvalue() == ""
    monkeypatch.setattr("p2o.track.console.SPARSELY", 0.0)
    shown.stepped(record, progress)
    assert printed.getvalue() == f"{progress}  reward 0.500  templated 25%  tokens 1,234\n"


def test_steps_are_told_of_however_much_is_said_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a step takes longer than the pause between lines, its phases do not take its place."""
    now = 100.0
    monkeypatch.setattr("p2o.track.console.time.monotonic", lambda: now)
    shown, printed = console()
    record = {"reward": 0.5, "templated/frac": 0.25, "num_tokens": 1234}
    for step in (1, 2):
        for phase in ("rollouts", "update"):
            with shown.phase(phase, 2) as progress:
                now += 25.0
                progress(1)
        shown.stepped(record, RunProgress(1, 1, step, step, 2, step / 2, now))
    said = [line.split("  ")[0] for line in printed.getvalue().splitlines()]
    assert said == ["rollouts", "update", "epoch 1/1 step 1", "rollouts", "update", "epoch 1/1 step 2"]


def test_methods_are_compared_at_all_their_tokens() -> None:
    """The prompt step after the last evaluation is generated as well."""

    def ended(training: int, prompt_step: int, last: int) -> LoopState:
        history = [
            {"by_family": {"a\x1b": 0.1}, "accuracy": 0.2, "generated_tokens": 0},
            {"by_family": {"a\x1b": 0.3}, "accuracy": 0.4, "generated_tokens": last},
        ]
        return LoopState(
            Outcomes(), training_tokens=training, prompt_step_tokens=prompt_step, history=history
        )

    shown, printed = console()
    shown.comparison({"p2o": ended(10_000, 2_345, 10_000), "grpo": ended(13_000, 0, 12_500)})
    text = printed.getvalue()
    assert "12,345" in text
    assert "13,000" in text
    assert "10,000" not in text
    assert "\x1b" not in text
