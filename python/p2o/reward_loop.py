"""Concurrent calls of a reward function that is an `async def`: all in one event loop, to which its clients belong."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

ITERATIONS = 8
"""Of the loop in a turn: about what it takes from an answer that has come to the next request."""


def inside_a_loop() -> bool:
    """Whether the caller is inside a running event loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class RewardLoop:
    """An event loop in the thread of its caller, who waits for its calls, or gives them a turn now and then.

    Where a caller is inside a loop already, another one runs in a thread of its own, from then on for all callers.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._aside: asyncio.AbstractEventLoop | None = None

    @property
    def _beside(self) -> bool:
        """Whether the loop runs without its caller."""
        return self._aside is not None or inside_a_loop()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """The result of `work` to come."""
        return asyncio.run_coroutine_threadsafe(work, self._loop())

    def turn(self) -> None:
        """Does what can be done without waiting."""
        if self._beside:
            return
        loop = self._loop()
        for _ in range(ITERATIONS):
            loop.call_soon(loop.stop)
            loop.run_forever()

    def wait(self, future: Future[Any]) -> None:
        """Returns when the future is done, whatever came of it."""
        if self._beside:
            future.exception()
        elif not future.done():
            loop = self._loop()
            future.add_done_callback(lambda _: loop.stop())
            while not future.done():
                loop.run_forever()

    def _loop(self) -> asyncio.AbstractEventLoop:
        if not self._beside:
            if self._runner is None:
                self._runner = asyncio.Runner()
                weakref.finalize(self, self._runner.close)
            return self._runner.get_loop()
        if self._aside is None:
            self._aside = loop = asyncio.new_event_loop()
            Thread(target=_serve, args=(loop,), name="p2o-reward", daemon=True).start()
            weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)
        return self._aside


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Runs a loop until it is stopped."""
    loop.run_forever()
    loop.close()
