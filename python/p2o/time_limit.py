"""A limit on how long code of others may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OutOfTime(BaseException):
    """A call took longer than it may. An `except Exception` on the way does not stop it."""


@contextmanager
def time_limit(seconds: float, setting: str) -> Iterator[None]:
    """Interrupts what runs inside after `seconds`, and again where that is caught.

    It stays in its thread, since graders set alarms of their own, which Python allows in the main thread alone. So this
    is an alarm too: outside the main thread nothing is limited, and neither is C code that does not return.

    Raises:
        OutOfTime: naming `setting`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: Any) -> None:
        raise OutOfTime(f"no result after {setting} = {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, ring)
    try:
        try:
            timer = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also where the alarm rang in the line above
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
