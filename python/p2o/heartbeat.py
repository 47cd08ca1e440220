"""Nodes that tell each other that they are there.

A process that ends closes its connections, and the others end with one line. A node that loses power or its network
closes nothing: the others would wait for hours at their next exchange. So one process of each node counts up in the
launcher's store, from a thread, and looks whether the others' counts move.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

BEAT_S = 10.0
"""Seconds between two counts."""

SILENT_S = 300.0
"""Seconds after which a node counts as lost: code that keeps the interpreter to itself (writing a large file) is silent
for as long as it takes."""

ENDED = b"ended"
"""In the place of the count, by a node that has ended as it should."""


class Heartbeat:
    """The counts of a launch's nodes.

    Args:
        store: of the launch (a `torch.distributed.Store`).
        rank: of this process, the first of its node.
        nodes: the names of the nodes, by the ranks of their first processes.
        clock: seconds.
    """

    def __init__(
        self, store: Any, rank: int, nodes: Mapping[int, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self.rank = rank
        self.nodes = nodes
        self.clock = clock
        self.count = 0
        self.seen = {other: (b"", clock()) for other in nodes if other != rank}
        """What each of the others said last, and since when."""
        self.answered = clock()
        """When the store was last there."""

    def beat(self) -> None:
        """Counts up, and looks at the others' counts. It may hang, where the store's node is lost."""
        self.count += 1
        with suppress(RuntimeError):  # torch's: the store does not answer
            self.store.set(self._key(self.rank), str(self.count))
            for other, (said, _) in self.seen.items():
                key = self._key(other)
                new = self.store.get(key) if self.store.check([key]) else b""
                if new != said:
                    self.seen[other] = (new, math.inf if new == ENDED else self.clock())
            self.answered = self.clock()

    def lost(self) -> str | None:
        """The node that is lost, if one is."""
        silent_since = self.clock() - SILENT_S
        if self.answered < silent_since:
            return self.nodes[0]  # where the store is
        return next(
            (self.nodes[other] for other, (_, since) in self.seen.items() if since < silent_since), None
        )

    def end(self) -> None:
        """Tells the others that this node does not count any more, and is not lost."""
        with suppress(RuntimeError):  # the store's node has ended before
            self.store.set(self._key(self.rank), ENDED.decode())

    def _key(self, rank: int) -> str:
        return f"p2o/alive/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{rank}"


_leave = os._exit
"""Here before a reward function is called, within which the name in `os` stands for an error (`p2o.time_limit`)."""

_stop: Callable[[], None] | None = None


def start_heartbeat(rank: int, nodes: Mapping[int, str]) -> None:
    """Counts and looks from now on; when a node is lost, says so in one line and ends the process with 2."""
    global _stop
    import torch.distributed as dist

    store = dist.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=False,
        timeout=timedelta(seconds=SILENT_S),
    )
    heartbeat = Heartbeat(store, rank, nodes)
    stopped = threading.Event()

    def count() -> None:
        while not stopped.wait(BEAT_S):
            heartbeat.beat()

    def watch() -> None:
        while not stopped.wait(BEAT_S):
            if (lost := heartbeat.lost()) is not None and not stopped.is_set():
                print(
                    f"error: the node {lost} has not been heard of for {SILENT_S:.0f} seconds: start again with "
                    "--resume, on the nodes that are left or with another in its place",
                    file=sys.stderr,
                    flush=True,
                )
                _leave(2)  # the main thread waits in an exchange that nothing ends

    def stop() -> None:
        stopped.set()
        heartbeat.end()

    for work in (count, watch):
        threading.Thread(target=work, name=f"p2o-heartbeat-{work.__name__}", daemon=True).start()
    _stop = stop


def stop_heartbeat() -> None:
    """At the end of a run."""
    global _stop
    if _stop is not None:
        _stop()
        _stop = None
