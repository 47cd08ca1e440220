"""The reward in verl's own reward loop: `make test-verl`.

Everything is verl's, as its trainer calls it: the configuration with overrides as they stand in docs/verifier.md, the
loading of the function, the worker, the reward manager. Only the Ray actor around the worker is left out.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import p2o

pytestmark = [pytest.mark.verl, pytest.mark.filterwarnings("default")]  # warnings of verl and Ray

PAGE = Path(__file__).parents[2] / "docs" / "verifier.md"
ANSWERS = (
    (r"so \boxed{\frac{1}{2}}", "0.5", 1.0, 1.0),
    (r"so \boxed{3}", "4", 0.0, 0.0),
    ("The answer is 7.", "7", 1.0, 0.0),
    ("I do not know.", "7", 0.0, 0.0),
)
"""Response, gold, reward, reward where a box is required."""


def documented_overrides() -> list[str]:
    """The settings of the call of verl on the page about the verifier."""
    block = re.search(r"```sh\n(python -m verl\.trainer\.main_ppo.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    return re.findall(r"\+?reward\.\S+=\S+", block[1])


def verl_config(*overrides: str) -> Any:
    """The settings of verl's trainer, as its main program makes them."""
    import verl
    from hydra import compose, initialize_config_dir
    from verl.experimental.reward_loop import migrate_legacy_reward_impl

    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        return migrate_legacy_reward_impl(compose("ppo_trainer", list(overrides)))


def rewards(config: Any, tokenizer: Any, router: str | None = None) -> list[dict[str, Any]]:
    """What verl's reward worker gives for the responses above."""
    from tensordict import TensorDict
    from verl import DataProto
    from verl.experimental.reward_loop import RewardLoopWorker

    prompt = tokenizer("2+2=?", return_tensors="pt")["input_ids"]
    encoded = tokenizer(
        [text for text, *_ in ANSWERS], padding=True, padding_side="right", return_tensors="pt"
    )
    prompts = prompt.repeat(len(ANSWERS), 1)
    batch = {
        "prompts": prompts,
        "responses": encoded["input_ids"],
        "attention_mask": torch.cat([torch.ones_like(prompts), encoded["attention_mask"]], dim=1),
    }
    columns = {
        "data_source": ["anything"] * len(ANSWERS),
        "reward_model": [{"style": "rule", "ground_truth": gold} for _, gold, *_ in ANSWERS],
        "extra_info": [{"index": index} for index in range(len(ANSWERS))],
    }
    data = DataProto(
        batch=TensorDict(batch, batch_size=len(ANSWERS)),
        non_tensor_batch={name: np.array(values, dtype=object) for name, values in columns.items()},
    )

    async def score() -> list[dict[str, Any]]:
        return await RewardLoopWorker(config, router).compute_score_batch(data)

    return asyncio.run(score())


@pytest.fixture
def model(tokenizer: Any, tmp_path: Path) -> str:
    """The setting of a model, of which the reward loop takes the tokenizer."""
    tokenizer.save_pretrained(tmp_path)
    return f"actor_rollout_ref.model.path={tmp_path}"


@pytest.mark.parametrize("router", [None, "127.0.0.1:8000"])  # the second: a reward model runs as well
@pytest.mark.parametrize("manager", ["naive", "dapo"])
def test_the_documented_call(model: str, tokenizer: Any, manager: str, router: str | None) -> None:
    overrides = [override for override in documented_overrides() if "reward_kwargs" not in override]
    assert overrides == [
        "reward.custom_reward_function.path=pkg://p2o.rewards",
        "reward.custom_reward_function.name=compute_score",
    ]
    config = verl_config(model, *overrides, f"reward.reward_manager.name={manager}")
    results = rewards(config, tokenizer, router)
    assert [result["reward_score"] for result in results] == [reward for *_, reward, _ in ANSWERS]
    assert [result["reward_extra_info"]["acc"] for result in results] == [reward for *_, reward, _ in ANSWERS]


def test_the_documented_option(model: str, tokenizer: Any) -> None:
    results = rewards(verl_config(model, *documented_overrides()), tokenizer)
    assert [result["reward_score"] for result in results] == [boxed for *_, boxed in ANSWERS]


@pytest.mark.parametrize("prefix", ["reward.", ""])
def test_by_the_path_of_the_file(model: str, tokenizer: Any, prefix: str) -> None:
    """Also under the older name of the section, which verl still moves to the new one."""
    function = f"{prefix}custom_reward_function"
    path = Path(p2o.__file__).with_name("rewards.py")
    results = rewards(
        verl_config(model, f"{function}.path={path}", f"{function}.name=compute_score"), tokenizer
    )
    assert [result["reward_score"] for result in results] == [reward for *_, reward, _ in ANSWERS]


def test_the_evaluation(model: str) -> None:
    """`verl.trainer.main_eval` calls the function with the arguments in place."""
    from verl.trainer.main_eval import process_item

    config = verl_config(*(override for override in documented_overrides() if "kwargs" not in override))
    # The body of the function that Ray sends to a worker.
    score = process_item._function(config, "anything", [r"\boxed{7}", r"\boxed{8}"], {"ground_truth": "7"})
    assert score == ("anything", 0.5)
