"""Nodes that are silent are lost; those that have ended are not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from p2o.heartbeat import SILENT_S, Heartbeat

NODES = {0: "red", 4: "green", 8: "blue"}


class Store:
    """A `torch.distributed.Store`, in memory."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.gone = False

    def _answers(self) -> None:
        if self.gone:
            raise RuntimeError("Connection reset by peer")

    def set(self, key: str, value: str) -> None:
        self._answers()
        self.values[key] = value.encode()

    def get(self, key: str) -> bytes:
        self._answers()
        return self.values[key]

    def check(self, keys: list[str]) -> bool:
        self._answers()
        return all(key in self.values for key in keys)


class Launch:
    """The heartbeats of three nodes, and the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store: Any = Store()
        self.of = {rank: Heartbeat(self.store, rank, NODES, lambda: self.now) for rank in NODES}

    def wait(self, seconds: float, *ranks: int) -> list[str | None]:
        """Whom these miss when they have counted the next time."""
        self.now += seconds
        for rank in ranks:
            self.of[rank].beat()
        return [self.of[rank].lost() for rank in ranks]


def test_a_node_that_is_silent_is_lost() -> None:
    launch = Launch()
    assert launch.wait(1, 0, 4, 8) == [None] * 3
    assert launch.wait(10, 0, 4) == [None] * 2
    assert launch.wait(SILENT_S, 0, 4) == [None] * 2
    assert launch.wait(1, 0, 4) == ["blue"] * 2


def test_a_node_that_never_came_is_lost_after_as_long() -> None:
    launch = Launch()
    assert launch.wait(SILENT_S, 0, 8) == [None] * 2
    assert launch.wait(1, 0, 8) == ["green"] * 2


def test_a_node_that_was_slow_or_has_ended_is_not_lost() -> None:
    launch = Launch()
    launch.wait(1, 0, 4, 8)
    assert launch.wait(SILENT_S - 1, 8, 0, 4) == [None] * 3
    launch.of[8].end()
    for _ in range(3):
        assert launch.wait(SILENT_S, 4, 0, 4) == [None] * 3


def test_a_store_that_does_not_answer_is_the_first_node() -> None:
    launch = Launch()
    launch.wait(1, 0, 4, 8)
    launch.wait(1, 0, 4, 8)
    launch.store.gone = True
    assert launch.wait(SILENT_S, 4) == [None]  # it may have ended, and this one be about to
    assert launch.wait(1, 4) == ["red"]
    launch.of[8].end()


LOST_WITHIN_A_REWARD = """
import time
from types import SimpleNamespace
import torch.distributed as dist
from p2o import heartbeat
from p2o.time_limit import no_way_out

heartbeat.BEAT_S, heartbeat.SILENT_S = 0.01, 0.05
silent = SimpleNamespace(set=lambda key, value: None, check=lambda keys: False)
dist.TCPStore = lambda *place, **options: silent
with no_way_out():
    heartbeat.start_heartbeat(0, {0: "red", 8: "blue"})
    time.sleep(20)
print("still here")
"""


def test_a_node_that_is_lost_while_a_reward_is_asked_for_ends_the_process() -> None:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", LOST_WITHIN_A_REWARD],
        env={**os.environ, **place},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: the node blue has not been heard of for 0 seconds: ")
