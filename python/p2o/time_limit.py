"""A limit on how long code of others may take."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OutOfTime(BaseException):
    """A call took longer than it may. An `except Exception` on the way does not stop it."""


@contextmanager
def time_limit(seconds: float, setting: str) -> Iterator[None]:
    """Interrupts what runs inside after `seconds`, and again where that is caught.

    It is an alarm of the system, which also ends a regular expression that goes astray and holds the interpreter's
    lock. The code stays in its thread, since graders set alarms of their own, which Python allows in the main thread
    alone: one that sounds before the time is up goes to the handler that was there, and one that is cancelled takes the
    limit with it. Outside the main thread nothing is limited, and neither is C code that does not look for signals.

    Raises:
        OutOfTime: naming `setting`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deadline = time.monotonic() + seconds

    def ring(number: int, frame: Any) -> None:
        left = deadline - time.monotonic()
        if left > 0.001 and callable(handler):
            signal.setitimer(signal.ITIMER_REAL, left, seconds)
            handler(number, frame)
        else:
            raise OutOfTime(f"no result after {setting} = {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also where it rang in the line above
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
