"""What the terminal shows: texts of others literally, and the tokens that methods are compared at."""

from __future__ import annotations

from io import StringIO

from rich.console import Console as RichConsole

from p2o.outcomes import Outcomes
from p2o.state import LoopState
from p2o.track.console import Console


def console() -> tuple[Console, StringIO]:
    printed = StringIO()
    return Console(RichConsole(file=printed, width=120)), printed


def test_a_line_is_printed_literally() -> None:
    shown, printed = console()
    shown.note("\x1b[31mred\x07 [bold]x[/bold]\r\n")
    assert printed.getvalue() == "\ufffd[31mred\ufffd [bold]x[/bold]\ufffd⏎\n"


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
