"""A server that fails while rank 0 pushes the weights: no rank is left waiting, and all find the same."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import push_worker

from launch import launch


def test_a_failed_push_is_repeated_or_ends_on_all_ranks_alike() -> None:
    first, second = launch(2, Path(push_worker.__file__), "everything", timeout=60.0)
    assert first == second
    assert [found["version"] for found in first] == ["p2o-1", "p2o-2", "p2o-3", None, None, None]
    attempts = [1, 2, 3, 3, 1, 1]
    assert [found["gathered"] for found in first] == [push_worker.GROUPS * number for number in attempts]
    said = [found["said"] for found in first]
    assert said[:3] == ["", "", ""]
    assert said[3].startswith("SamplerError: pushing the weights to vLLM failed")
    assert said[3].endswith("overloaded")
    assert said[4].startswith("TrainingError: the vLLM server at http://host could not drop its prefix cache")
    assert said[5].startswith("TrainingError: pushing the weights to vLLM failed")
