"""The policy backend `deepspeed` in two processes, beside the backend `torch` in one.

Everything runs in one start of the processes (`policy_worker.everything`); the tests look at what it returned.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import policy_worker

from launch import launch
from p2o.distributed import Processes
from p2o.errors import CheckpointError
from p2o.model.load import load_model

WORKER = Path(policy_worker.__file__)
ALONE = Processes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """What each of the two processes found."""
    return launch(2, WORKER, "everything", str(folder))


def torch_policy(model: Any = None, **settings: Any) -> Any:
    return policy_worker.policy_of(ALONE, {**settings, "backend": "torch"}, model=model)


def test_all_ranks_find_the_same(ranks: list[dict[str, Any]]) -> None:
    """Weights, scores and metrics to the last bit, and the same errors."""
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("name", policy_worker.SPLITS)
def test_the_update_does_not_depend_on_stage_ranks_micro_batches_or_layout(
    ranks: list[dict[str, Any]], name: str
) -> None:
    found = ranks[0]["float32"]
    assert found["moved"] > 2e-3
    # Rounding of a gradient near 0 is amplified by AdamW's division, so the largest gap is far above the mean.
    assert found[name]["weights"] < 5e-6
    assert found[name]["mean weights"] < 5e-9
    assert found[name]["metrics"] < 5e-5  # seen: 2.1e-5, without AVX-512
    assert found[name]["scores"] < 1e-5


@pytest.mark.parametrize("name", ["zero 1", "zero 2", "zero 3", "zero 2, offload"])
def test_bfloat16_is_trained_on_float32_copies_as_by_torch(ranks: list[dict[str, Any]], name: str) -> None:
    """What remains is the rounding of the forward pass, which depends on the micro-batch."""
    found = ranks[0]["bfloat16"]
    assert found["mean moved"] > 1e-3
    assert found[name]["mean weights"] < 0.03 * found["mean moved"]
    assert found[name]["scores"] < 0.1


@pytest.mark.parametrize("name", ["zero 2", "zero 3"])
def test_a_float32_head_on_bfloat16_weights_is_trained_as_by_torch(
    ranks: list[dict[str, Any]], name: str
) -> None:
    """Its backward pass meets the output matrix gathered anew."""
    found = ranks[0]["float32 head"]
    assert found["mean moved"] > 1e-3
    assert found[name]["mean weights"] < 0.03 * found["mean moved"]
    assert found[name]["scores"] < 0.1


@pytest.mark.parametrize("name", ["zero 2", "zero 3"])
def test_a_mixture_of_experts_is_trained_as_by_torch(ranks: list[dict[str, Any]], name: str) -> None:
    """Ranks need different experts at the same time: none waits for weights that another does not ask for."""
    found = ranks[0]["experts"]
    assert found["moved"] > 2e-3
    assert found[name]["weights"] < 2e-5
    assert found[name]["mean weights"] < 5e-9
    assert found[name]["scores"] < 1e-5


@pytest.mark.parametrize("name", ["zero 2", "zero 3"])
def test_adapters_are_trained_as_by_torch(ranks: list[dict[str, Any]], name: str) -> None:
    found = ranks[0]["lora"]
    assert found["moved"] > 2e-3
    assert found[name]["weights"] < 1e-6
    assert found[name]["scores"] < 1e-5


@pytest.mark.parametrize("name", policy_worker.RESUMED)
def test_a_run_taken_up_is_the_unbroken_run_bit_for_bit(ranks: list[dict[str, Any]], name: str) -> None:
    assert ranks[0]["resume"][name] == {"same metrics": True, "weights": 0.0, "steps": 3}


def check_rounding(found: dict[str, float], dtype: str) -> None:
    """A run goes on elsewhere as it would have: what remains is the order of sums, as between any two layouts."""
    if dtype == "float32":
        assert found["weights"] < 5e-6
        assert found["mean weights"] < 5e-9
        assert found["metrics"] < 5e-5
    else:
        assert found["mean weights"] < 1e-4  # an update moves a weight by 1e-3


@pytest.mark.parametrize("name", policy_worker.RESUMED)
def test_two_processes_checkpoint_is_taken_up_by_one(ranks: list[dict[str, Any]], name: str) -> None:
    """By the backend `torch`, which is what one process has unless told otherwise."""
    check_rounding(ranks[0]["resume"][f"{name} in one"], policy_worker.RESUMED[name][1])


@pytest.mark.parametrize("name", ["float32", "bfloat16", "lora"])
@pytest.mark.parametrize("stage", range(4))
def test_one_process_s_checkpoint_is_taken_up_by_two(
    ranks: list[dict[str, Any]], name: str, stage: int
) -> None:
    if name == "bfloat16" and stage == 0:
        pytest.skip("ZeRO-0 does not train bfloat16")
    found = ranks[0]["resume"][f"one {name} in two, zero {stage}"]
    check_rounding(found, "bfloat16" if name == "bfloat16" else "float32")


@pytest.mark.parametrize("stage", range(4))
def test_what_is_not_finite_stops_all_ranks_and_changes_nothing(
    ranks: list[dict[str, Any]], stage: int
) -> None:
    found = ranks[0][f"not finite {stage}"]
    assert found["loss"].startswith("TrainingError: the loss is -inf, not finite, at optimizer step 0")
    assert found["gradient"].startswith("TrainingError: the gradient norm is ")  # of rank 1 alone
    assert "lower optimizer.learning_rate" in found["gradient"]
    assert found["weights after loss"] == found["weights after gradient"] == 0.0
    # Nothing of the bad gradients is left either.
    assert found["same step"]
    assert found["same weights"] == 0.0
    assert found["steps"] == 3


def test_other_runs_checkpoints_are_refused(ranks: list[dict[str, Any]], folder: Path) -> None:
    found = ranks[0]["files"]
    assert found["lora"].endswith("a run without LoRA, this one is with LoRA of rank 2: resume it as it was")
    assert (
        "is of another model: it has 0 weights of lm_head.weight, this run's model 2048"
        in found["other model"]
    )
    assert "optimizer-00001-of-00002.safetensors cannot be read" in found["damaged"]  # by either rank
    assert "policy.json cannot be read" in found["missing"]
    for name in ("lora", "other model", "damaged", "missing"):
        assert found[name].startswith("CheckpointError: ")
        assert "\n" not in found[name]
    with pytest.raises(CheckpointError, match=r"optimizer-00001-of-00002.safetensors cannot be read"):
        torch_policy().load(folder / "damaged")


def test_a_checkpoint_is_safetensors_and_json_only(ranks: list[dict[str, Any]], folder: Path) -> None:
    assert sorted(path.name for path in (folder / "saved").iterdir()) == [
        "optimizer-00000-of-00002.safetensors",
        "optimizer-00001-of-00002.safetensors",
        "policy.json",
    ]


def test_a_partitioned_model_is_exported_whole(ranks: list[dict[str, Any]], folder: Path) -> None:
    """Tied weights once; the model is the one that one process trains."""
    policy = torch_policy()
    policy_worker.train_steps(policy)
    exported, _ = load_model(folder / "exported")
    found = {name: parameter.detach() for name, parameter in exported.named_parameters()}
    assert policy_worker.gap(found, policy_worker.whole(policy)) < 5e-6
    assert exported.lm_head.weight is exported.model.embed_tokens.weight


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks so
def test_a_partitioned_model_is_exported_with_its_adapters_merged(
    ranks: list[dict[str, Any]], folder: Path
) -> None:
    from peft import PeftModel

    policy = torch_policy(lora={"rank": 2})
    policy_worker.train_steps(policy)
    exported, _ = load_model(folder / "adapted")
    found = {name: parameter.detach() for name, parameter in exported.named_parameters()}
    assert policy_worker.gap(found, policy_worker.whole(policy)) < 5e-6
    adapted = PeftModel.from_pretrained(policy_worker.make_model(), folder / "adapted" / "adapter")
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        torch.testing.assert_close(adapted(ids).logits, exported(ids).logits, atol=1e-5, rtol=1e-4)


def test_a_model_is_loaded_in_partitions(ranks: list[dict[str, Any]]) -> None:
    found = ranks[0]["files"]
    assert found["held before"] == 0  # nothing is whole on a rank
    assert found["own part"] * 2 == found["whole"]
    assert found["loaded"] == found["plain"] == 0.0
    assert found["trained"] < 5e-6
    assert found["adapters at first"] == 0.0  # beside partitioned weights
    assert found["adapters trained"] > 1e-4


@pytest.mark.usefixtures("ranks")
def test_one_process_needs_no_launcher(folder: Path) -> None:
    """And goes on where two were, at every stage."""
    (found,) = launch(1, WORKER, "alone", str(folder))
    assert found["zero 2"]["weights"] < 5e-6
    assert found["zero 2"]["scores"] < 1e-5
    for name, (_, dtype) in policy_worker.RESUMED.items():
        check_rounding(found[name], dtype)


def test_a_process_that_fails_stops_the_others() -> None:
    """The helper's own promise: rank 0 would wait for ever."""
    with pytest.raises(AssertionError, match=r"(?s)rank 1 of 2 exited with 1.*rank 1 gives up"):
        launch(2, WORKER, "fail_on_rank_1")


def test_rows_of_one_policy_do_not_leak_into_another() -> None:
    """Two policies of one process are independent, whatever hooks the backends hang on their models."""
    one, other = torch_policy(), torch_policy(copy.deepcopy(policy_worker.make_model()))
    policy_worker.train_steps(one)
    start = {name: parameter.detach() for name, parameter in policy_worker.make_model().named_parameters()}
    assert policy_worker.gap(policy_worker.whole(other), start) == 0.0
