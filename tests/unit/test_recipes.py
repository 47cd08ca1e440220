"""The shipped recipes: the paper's numbers, and what tells the recipes apart."""

from __future__ import annotations

import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from p2o.config import load_config, recipe_names
from p2o.data import read_jsonl
from p2o.evolution.budget import rollouts_of
from p2o.evolution.config import EvolveConfig
from p2o.guidance.config import GuidanceConfig
from p2o.outcomes import AssignConfig
from p2o.policy.config import LossConfig
from p2o.policy.context import ContextConfig
from p2o.policy.optimizer_config import OptimizerConfig

PAPER = {
    "run.method": "p2o",
    "run.epochs": 10,
    "run.batch_problems": 128,
    "run.mini_batch_problems": 64,
    "model.source": "Qwen/Qwen3-4B",
    "model.dtype": "bfloat16",
    "data.train_size": 5000,
    "rollout.sampler": "vllm",
    "rollout.n": 6,
    "rollout.temperature": 0.6,
    "rollout.top_p": 1.0,
    "rollout.top_k": 0,
    "rollout.max_prompt_tokens": 4096,
    "rollout.max_tokens": 12288,
    "reward.function": "verify",
    "reward.profile": "math-verify",
    "reward.require_boxed": True,
    "optimizer.backend": "deepspeed",
    "optimizer.lora": None,
    "optimizer.learning_rate": 1e-6,
    "optimizer.schedule": "constant",
    "optimizer.weight_decay": 0.01,
    "loss.name": "dapo",
    "loss.clip": (0.2, 0.2),
    "loss.dual_clip": 3.0,
    "loss.kl_coef": 0.0,
    "loss.advantage": "grpo",
    "loss.zero_variance": "keep",
    "loss.mask_truncated": False,
    "loss.overlong_buffer": 0,
    "context.mode": "hard",
    "context.c_low": 0.01,
    "context.c_high": 10.0,
    "context.distillation": "rollouts",
    "context.failures": "keep",
    "mining.near_hard": True,
    "mining.min_count": 100,
    "guidance.every": None,
    "guidance.train_on_evaluations": False,
    "guidance.spend": "fixed",
    "assign.rule": "paper",
    "assign.per_group": False,
    "assign.plain_rollouts": 0,
    "assign.rehearsal": 0,
    "evolve.search": "evolve",
    "evolve.budget": "heavy_4",
    "evolve.dev_size": 300,
    "evolve.parents": 16,
    "evolve.minibatch": 3,
    "evolve.rollouts_per_evaluation": 1,
    "evolve.acceptance": "strict",
    "evolve.cover": "greedy_with_plain",
    "evolve.carry_over": False,
    "reflection.kind": "self",
    "reflection.show_gold": True,
    "evaluation.every": 30,
}

OURS = {
    "context.mode": "asymmetric",
    "assign.rule": "thompson",
    "assign.plain_rollouts": 1,
    "assign.rehearsal": 1,
    "evolve.acceptance": "sequential",
    "guidance.spend": "adaptive",
    "guidance.train_on_evaluations": True,
    "evolve.carry_over": True,
    "evolve.cover": "greedy",
    "loss.dual_clip": math.inf,
    "optimizer.weight_decay": 0.0,
}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def settings(recipe: str) -> dict[str, Any]:
    return flat(load_config(recipe).model_dump())


def test_the_paper_recipe_has_the_papers_values() -> None:
    found = settings("paper")
    assert {name: found[name] for name in PAPER} == PAPER


def test_the_warm_up_is_5_percent_of_the_optimizer_steps() -> None:
    """An epoch is 39 batches of 128, each two mini-batches of 64, and one of the 8 problems that are left."""
    from p2o.parts import planned_optimizer_steps

    config = load_config("paper")
    assert planned_optimizer_steps(config, 5000) == 10 * (39 * 2 + 1) == 790
    assert config.optimizer.warmup_steps == math.ceil(0.05 * 790)
    smaller = load_config("one_gpu")
    assert smaller.optimizer.warmup_steps == 0.05 * planned_optimizer_steps(smaller, 1000)


def test_the_papers_budget_in_rollouts() -> None:
    """N = max(4 log2 72, 1.5 * 72) = 108: 300 + 5*72 + 35*108 + (109 // 5 + 1) * 300."""
    assert rollouts_of(load_config("paper").evolve.budget, 300) == 300 + 360 + 3780 + 6600 == 11_040


def test_the_papers_seed_prompt_ends_each_problem(tmp_path: Path) -> None:
    data = load_config("paper").data
    assert data.kind == "jsonl"
    file = tmp_path / "train.jsonl"
    file.write_text('{"problem": "What is 1+1?", "answer": "2"}\n')
    (problem,) = read_jsonl(file, data)
    seed = "Let's think step by step and output the final answer within \\boxed{}."
    assert problem.messages[-1]["content"] == f"What is 1+1?\n{seed}"


def test_ours_differs_from_the_papers_by_the_rules_alone() -> None:
    paper, ours = settings("paper"), settings("p2o")
    cheaper = {"evolve.rounds_at_once": 4, "evolve.feedback_size": ours["evolve.dev_size"]}
    assert {name: value for name, value in ours.items() if value != paper[name]} == OURS | cheaper


def test_our_rules_are_the_default() -> None:
    """Of recipes that say nothing else, and of the settings."""
    for recipe in ("quickstart", "smollm2", "one_gpu"):
        assert settings(recipe).items() >= OURS.items()
    sections = (
        ContextConfig(),
        AssignConfig(),
        EvolveConfig(),
        LossConfig(),
        OptimizerConfig(),
        GuidanceConfig(),
    )
    default = {
        f"{name}.{key}": value
        for name, section in zip(
            ("context", "assign", "evolve", "loss", "optimizer", "guidance"), sections, strict=True
        )
        for key, value in section.model_dump().items()
    }
    assert {name: default[name] for name in OURS} == OURS


@pytest.mark.parametrize("name", ["paper", "p2o", "one_gpu"])
def test_a_reflection_request_fits_the_engine(name: str) -> None:
    """A request of the shipped prompt's limits (6,000 characters of template, three problems of 4,000 and responses of
    6,000) leaves room for the reply, at 1.5 characters a token; and so does every training prompt."""
    config = load_config(name)
    limit = config.rollout.vllm.max_model_len
    assert limit is not None
    assert (6000 + config.evolve.minibatch * 10_000) / 1.5 + config.reflection.max_tokens <= limit
    assert config.rollout.max_prompt_tokens + config.rollout.max_tokens <= limit


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_what_it_is(name: str) -> None:
    text = (files("p2o") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    comment = text.split("\n\n")[0].splitlines()
    assert 1 <= len(comment) <= 4
    assert all(line.startswith("# ") or line.startswith("#   ") for line in comment)
    launched = re.findall(r"(?:p2o train|p2o-train) (\w+)", "\n".join(comment))
    assert set(launched) <= {name}


@pytest.mark.parametrize("name", ["paper", "p2o", "one_gpu"])
def test_the_recipes_for_gpus_say_how_to_launch_them(name: str) -> None:
    text = (files("p2o") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    assert f"p2o train {name} --set data.train=" in text.split("\n\n")[0]


def test_the_adapters_of_one_gpu_can_be_uncommented() -> None:
    """The commented settings are settings."""
    text = (files("p2o") / "recipes" / "one_gpu.toml").read_text(encoding="utf-8")
    commented = re.findall(r"^# (\[optimizer\.lora\])\n# (rank = \d+)$", text, re.M)
    assert len(commented) == 1
    section, *lines = commented[0]
    overrides = [f"{section[1:-1]}.{line.replace(' ', '')}" for line in lines]
    lora = load_config("one_gpu", overrides).optimizer.lora
    assert lora is not None
    assert lora.rank == 16
