"""What code of others may not do: take for ever, end the process, or leave it in another folder."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from typing import Any, NoReturn

SOON = 1e-6
"""Seconds after which an alarm rings whose time has passed: 0 would switch it off."""


class OutOfTime(BaseException):
    """A call took longer than it may. An `except Exception` on the way does not stop it."""


@contextmanager
def time_limit(seconds: float, setting: str) -> Iterator[None]:
    """Interrupts what runs inside after `seconds`, and again where that is caught.

    It is an alarm of the system, which also ends a regular expression that goes astray and holds the interpreter's
    lock. The code stays in its thread, since graders set alarms of their own, which Python allows in the main thread
    alone: one that sounds before the time is up goes to the handler that was there, and one that is cancelled takes the
    limit with it. An alarm that was set before goes on afterwards, by the time that is left of it: at once, if that
    has passed. Outside the main thread nothing is limited, and neither is C code that does not look for signals.

    Raises:
        OutOfTime: naming `setting`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    begun = time.monotonic()
    deadline = begun + seconds

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
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if timer[0]:
            left = timer[0] - (time.monotonic() - begun)
            signal.setitimer(signal.ITIMER_REAL, max(left, SOON), timer[1])


@contextmanager
def no_way_out() -> Iterator[None]:
    """Makes `os._exit` an error like `exit()`, and goes back to the folder that the process was in.

    With `os._exit(0)` a run would look done, and paths of settings are relative to that folder. Processes that the code
    forks may end as they like.
    """
    process, leave = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:
            leave(status)
        raise SystemExit(status)

    with chdir("."):
        os._exit = refuse
        try:
            yield
        finally:
            os._exit = leave
