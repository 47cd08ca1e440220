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
    merged, adapters = first[:6], first[6:]
    assert [found["version"] for found in merged] == ["p2o-1", "p2o-2", "p2o-3", None, None, None]
    attempts = [1, 2, 3, 3, 1, 1]
    assert [found["gathered"] for found in merged] == [push_worker.GROUPS * number for number in attempts]
    # The weights under the adapters are pushed anew after a failure; their version is the attempt's that did it.
    assert [found["version"] for found in adapters] == ["p2o-0", "p2o-2", "p2o-3"]
    assert [found["gathered"] for found in adapters] == [
        1,
        2 + push_worker.GROUPS,
        3 + 2 * push_worker.GROUPS,
    ]
    said = [found["said"] for found in first]
    assert said[:3] == ["", "", ""]
    assert said[3].startswith("SamplerError: pushing the weights to vLLM failed")
    assert said[3].endswith("overloaded")
    assert said[4].startswith("TrainingError: the vLLM server at http://host could not drop its prefix cache")
    assert said[5].startswith("TrainingError: pushing the weights to vLLM failed")
