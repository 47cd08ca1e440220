"""Two processes that draw from one queue: the slow one gets less to do, and the rollouts are those of one process."""

from __future__ import annotations

from pathlib import Path

import queue_worker

from launch import launch

WORKER = Path(__file__).with_name("queue_worker.py")


def test_a_slow_rank_draws_less_and_the_rollouts_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    (slow, drawn_by_slow), (fast, drawn_by_fast) = launch(2, WORKER, "draw", str(tmp_path / "two"))
    assert drawn_by_slow == [0, 1], "its first problem"
    assert drawn_by_fast == list(range(2, 20)), "an equal share would be ten"
    assert slow == fast == queue_worker.draw_alone(tmp_path / "one")
    assert {reward for *_, reward in slow} == {0.0, 1.0}
