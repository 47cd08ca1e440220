"""P²O in TRL's own trainer: what it draws under templates it learns on plain prompts, within the context bounds."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from docs_pages import blocks

import p2o
from launch import launch
from p2o.errors import ConfigError, DataError, P2oError
from p2o.templates import make_template
from p2o.tiny import MODEL_PATH
from p2o.tiny.world import make_problems
from p2o.trl import Guide
from p2o.trl.guide import STATE
from p2o.trl.limits import learns_from_all, refuse_part, refuse_trainer
from p2o.trl.model import evaluating, frozen_copy
from p2o.types import Group, Rollout

pytestmark = [
    pytest.mark.filterwarnings("ignore:TRL currently supports vLLM versions:UserWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are using 'rollout_func':UserWarning"),
]

N = 4
LOW, HIGH = 0.5, 2.0
PROBLEMS = make_problems(24, 3)
ROWS = [{"prompt": list(problem.messages), "answer": problem.gold} for problem in PROBLEMS]
SETTINGS = {
    "mining.min_count": 4,
    "mining.near_hard": False,
    "evolve.templates": "tiny",
    "evolve.dev_size": 8,
    "evolve.budget": 200,
    "evolve.acceptance": "strict",
    "guidance.spend": "fixed",
    "reflection.kind": "none",
    "context.mode": "hard",
    "context.c_low": LOW,
    "context.c_high": HIGH,
}


class Watched(Guide):
    """Keeps what TRL is given, with the weights that it was drawn with."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.steps: list[dict[str, Any]] = []

    def rollout(self, prompts: Any, trainer: Any) -> dict[str, list[Any]]:
        columns = super().rollout(prompts, trainer)
        assert self.run is not None
        weights = {name: weight.clone() for name, weight in self.model.state_dict().items()}
        self.steps.append(
            {
                "columns": columns,
                "prompts": prompts,
                "weights": weights,
                "assignment": dict(self.run.state.assignment),
                "mode": "train" if trainer.model.training else "eval",
            }
        )
        return columns


def train(
    shipped: tuple[Any, Any], folder: Path, resume: Path | None = None, *, ranks: int = 1
) -> tuple[Any, Watched, list[Any]]:
    """Two epochs of four steps; the log-probs of each step's loss, with their gradients and what they belong to."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    seen: list[Any] = []

    class Trainer(GRPOTrainer):
        def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
            found = super()._get_per_token_logps_and_entropies(*arguments, **options)
            self.scored = found[0]
            return found

        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            loss = super()._compute_loss(model, inputs)
            if self.scored.requires_grad:  # not in an evaluation
                self.scored.retain_grad()
                seen.append((self.scored, inputs))
            return loss

    model, tokenizer = copy.deepcopy(shipped[0]), shipped[1]
    dataset = Dataset.from_list(ROWS)
    evaluation = dataset.select(range(6))
    guide = Watched(dataset, SETTINGS, eval_dataset=evaluation)
    args = GRPOConfig(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=6 * N // ranks,
        per_device_eval_batch_size=6 * N // ranks,
        num_generations=N,
        max_completion_length=48,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="epoch",
        eval_strategy="epoch",
        report_to=[],
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        disable_tqdm=True,
        seed=3,
    )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=dataset,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        reward_funcs=guide.reward,
        rollout_func=guide.rollout,
        callbacks=[guide],
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer, guide, seen


def logprobs_of(model: Any, prompt: list[int], completion: list[int]) -> Any:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0].numpy()


@pytest.fixture(scope="module")
def whole(
    shipped_tiny: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Watched, list[Any]]:
    return train(shipped_tiny, tmp_path_factory.mktemp("trl"))


def test_what_trl_is_given(whole: tuple[Any, Watched, list[Any]], shipped_tiny: tuple[Any, Any]) -> None:
    trainer, guide, _ = whole
    model, tokenizer = copy.deepcopy(shipped_tiny[0]), shipped_tiny[1]
    golds = {row["prompt"][0]["content"]: row["answer"] for row in ROWS}
    steps = [step for step in guide.steps if step["mode"] == "train"]
    assert len(steps) == 8
    solved: dict[str, float] = {}
    checked = left_out = 0
    for number, step in enumerate(steps):
        columns = step["columns"]
        model.load_state_dict(step["weights"])
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        for place, (prompt, row) in enumerate(zip(step["prompts"], rows, strict=True)):
            text = prompt[-1]["content"]
            plain = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
            completion, group = row["completion_ids"], rows[place - place % N :][:N]
            assert row["prompt_ids"] == plain
            verdict = p2o.verify(tokenizer.decode(completion, skip_special_tokens=True), golds[text]).correct
            assert row["p2o_reward"] == float(verdict)
            if number < 4:
                assert row["p2o_template"] == ""
                solved[text] = max(solved.get(text, 0.0), row["p2o_reward"])
            else:  # under templates where nothing was solved; the last rollout of a group is plain
                assert (row["p2o_template"] != "") == (solved[text] == 0 and place % N < N - 1)
            advantage = row["p2o_reward"] - np.mean([each["p2o_reward"] for each in group])
            if row["p2o_template"] and advantage == 0:
                continue
            logprobs = logprobs_of(model, plain, completion)
            assert row["logprobs"] == pytest.approx(logprobs.tolist(), abs=1e-4)
            inside = np.ones(len(completion), dtype=bool)
            if row["p2o_template"]:
                under = [{"role": "user", "content": f"{row['p2o_template']}\n\n{text}"}]
                prompt_ids = tokenizer.apply_chat_template(
                    under, add_generation_prompt=True, return_dict=False
                )
                ratio = np.exp(logprobs - logprobs_of(model, prompt_ids, completion))
                inside = (ratio >= LOW) & (ratio <= HIGH)
                checked += 1
            assert row["env_mask"] == inside.astype(int).tolist()
            left_out += int((~inside).sum())
    assert checked > 10
    assert left_out > 10
    log = [record for record in trainer.state.log_history if "reward" in record]
    for step, record in zip(steps, log, strict=True):
        columns = step["columns"]
        assert record["reward"] == pytest.approx(np.mean(columns["p2o_reward"]))
        assert record["p2o/templated"] == pytest.approx(
            np.mean([text != "" for text in columns["p2o_template"]])
        )
        bounded = [
            mask
            for place, (mask, text) in enumerate(
                zip(columns["env_mask"], columns["p2o_template"], strict=True)
            )
            if text and len(set(columns["p2o_reward"][place - place % N :][:N])) > 1
        ]
        outside, tokens = sum(mask.count(0) for mask in bounded), sum(map(len, bounded))
        assert record["p2o/masked"] == pytest.approx(outside / max(1, tokens), abs=1e-4)
    assert all(
        record["eval_p2o/masked"] == 0 for record in trainer.state.log_history if "eval_loss" in record
    )
    evaluations = [step["columns"] for step in guide.steps if step["mode"] == "eval"]
    assert all(set(columns["p2o_template"]) == {""} for columns in evaluations)


def test_tokens_outside_the_bounds_have_no_gradient(whole: tuple[Any, Watched, list[Any]]) -> None:
    """The gradient of the loss by a token's log-prob is -A / N inside them, and 0 outside."""
    _, _, seen = whole
    taught = masked = 0
    for logps, inputs in seen:
        inside = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
        expected = -inputs["advantages"][:, None] / inputs["num_items_in_batch"] * inside
        assert torch.allclose(logps.grad, expected, atol=1e-7)
        signal = inputs["advantages"][:, None] != 0
        taught += int((inside & signal).sum())
        masked += int((~inside & signal & inputs["completion_mask"].bool()).sum())
    assert taught > 100
    assert masked > 10


def test_a_run_goes_on_from_a_checkpoint(
    whole: tuple[Any, Watched, list[Any]], shipped_tiny: tuple[Any, Any]
) -> None:
    trainer, guide, _ = whole
    folder = Path(trainer.args.output_dir)
    _, resumed, _ = train(shipped_tiny, folder, folder / "checkpoint-4")
    begins = next(step for step in guide.steps if step["assignment"] and step["mode"] == "train")
    assert resumed.steps[0]["assignment"] == begins["assignment"]
    for one in (guide, resumed):
        assert one.run is not None
        assert (one.run.state.epoch, one.run.state.step) == (2, 8)
        assert set(one.run.state.outcomes.latest_training()) == {problem.id for problem in one.problems}
    (folder / "checkpoint-4" / STATE).unlink()
    with pytest.raises(P2oError, match=r"checkpoint-4 has no p2o\.json"):
        train(shipped_tiny, folder, folder / "checkpoint-4")


@pytest.mark.parametrize("also", [{}, {"beta": 0.1}, {"reward_funcs": [1, 2]}, {"entropy_coef": 0.1}])
def test_what_has_a_gradient_by_other_things_than_the_reward_is_bounded_too(
    whole: tuple[Any, Watched, list[Any]], monkeypatch: pytest.MonkeyPatch, also: dict[str, Any]
) -> None:
    """Two completions under a template that were both right: no advantage, but a KL term, say."""
    trainer, guide, _ = whole
    run, problem = guide.run, guide.problems[0]
    assert run is not None
    plain, template = run.collector.plain_ids(problem), make_template("Think aloud.")
    under = run.collector.prompt_ids(problem, template)
    rollouts = [
        Rollout(problem.id, template.id, index, under, [20 + index, 5], [-9.0, -9.0], "stop", "", reward=1.0)
        for index in range(2)
    ]
    for name, value in also.items():
        monkeypatch.setattr(trainer.args if name == "entropy_coef" else trainer, name, value)
    with evaluating(guide.model):
        bounded = guide._within_bounds(run, [Group(problem, rollouts)], every=learns_from_all(trainer))
        expected = [logprobs_of(guide.model, list(plain), list(each.response_ids)) for each in rollouts]
    assert len(bounded) == (2 if also else 0)
    for rollout, logprobs in zip(rollouts, expected, strict=True) if also else ():
        assert bounded[id(rollout)][0] == pytest.approx(logprobs.tolist(), abs=1e-4)


def test_a_copy_that_reflects_stays_as_it_is(whole: tuple[Any, Watched, list[Any]]) -> None:
    model, ids = whole[1].model, torch.tensor([[5, 6, 7]])
    before, kept = model(input_ids=ids).logits, frozen_copy(model)
    with torch.no_grad():
        for weight in kept.parameters():
            weight.zero_()
    assert torch.equal(model(input_ids=ids).logits, before)
    assert not kept(input_ids=ids).logits.any()


def one_rank(folder: str) -> dict[str, Any]:
    """What one of two processes is given at each step, and its books at the end."""
    from p2o.model.load import load_model
    from p2o.tiny import MODEL_PATH

    _, guide, _ = train(load_model(MODEL_PATH), Path(folder), ranks=2)
    assert guide.run is not None
    # Times are each process's own, and so is what is computed of the lines of metrics that hold them.
    state = {**guide.run.state.to_dict(), "phases": {}, "logged_check": 0}
    return {"steps": [step["columns"] for step in guide.steps], "state": state}


def test_the_documented_lines_train(shipped_tiny: tuple[Any, Any], tmp_path: Path) -> None:
    """Those of the page, with a small model in place of the reader's."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model = copy.deepcopy(shipped_tiny[0])
    model.config._name_or_path = str(MODEL_PATH)  # from where the trainer takes the tokenizer
    model.config.max_position_embeddings = 4096  # the default reflection prompt is long in characters
    args = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=1,
        per_device_train_batch_size=4 * N,
        num_generations=N,
        max_completion_length=16,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        disable_tqdm=True,
    )
    given = {"model": model, "args": args, "dataset": Dataset.from_list(ROWS), "GRPOTrainer": GRPOTrainer}
    lines = next(block.text for block in blocks("docs/trl.md") if block.language == "python")
    exec(lines, given)
    given["trainer"].train()
    assert given["guide"].run.state.step == 1
    assert given["guide"].run.state.training_tokens > 0


def test_two_processes_draw_as_one(whole: tuple[Any, Watched, list[Any]], tmp_path: Path) -> None:
    """Each is given its part of what one process draws, and both keep the same books."""
    first, second = launch(2, Path(__file__), "one_rank", str(tmp_path))
    assert first["state"] == second["state"]
    assert first["state"]["step"] == 8
    assert (tmp_path / "checkpoint-4" / STATE).exists()
    for name, expected in whole[1].steps[0]["columns"].items():
        found = [*first["steps"][0][name], *second["steps"][0][name]]
        if name == "logprobs":
            assert np.allclose(np.concatenate(found), np.concatenate(expected), atol=1e-4)
        else:
            assert found == expected
    templated = [text for columns in second["steps"] for text in columns["p2o_template"]]
    assert any(templated)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.train_size": 4}, "data.train_size cannot be set in p2o.trl: the problems are the dataset"),
        ({"rollout.n": 4}, r"rollout.n cannot be set in p2o.trl: set GRPOConfig\(num_generations=...\)"),
        (
            {"optimizer.learning_rate": 1e-3},
            "optimizer.learning_rate cannot be set in p2o.trl: GRPOConfig has arguments",
        ),
        ({"rollout.sampler": "vllm"}, "rollout.sampler cannot be set .* p2o's own sampler"),
        ({"context.mode": "soft"}, "context.mode = 'soft' weighs tokens"),
        ({"reflection.kind": "openai", "reflection.endpoint.model": "m"}, "OPENAI_API_KEY"),
        ({"evolve.bugdet": 3}, "did you mean evolve.budget"),
    ],
)
def test_settings_that_are_not_carried_over_are_refused(
    settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match=message):
        Guide(ROWS, settings)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"vllm_mode": "server"}, 'vllm_mode="server"'),
        ({"vllm_tensor_parallel_size": 2}, "vllm_tensor_parallel_size"),
        ({"vllm_enable_sleep_mode": True}, "vllm_enable_sleep_mode"),
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"generation_kwargs": {"num_beams": 2}}, "generation_kwargs"),
    ],
)
def test_ways_to_draw_that_are_not_carried_over_are_refused(changed: dict[str, Any], name: str) -> None:
    args = {"vllm_mode": "colocate", "vllm_tensor_parallel_size": 1, "vllm_enable_sleep_mode": False}
    args |= {"min_p": None, "repetition_penalty": 1.0, "generation_kwargs": None, **changed}
    accelerator = SimpleNamespace(distributed_type=SimpleNamespace(value="NO"))
    trainer = SimpleNamespace(
        args=SimpleNamespace(**args), accelerator=accelerator, use_vllm=True, tools=None
    )
    with pytest.raises(
        ConfigError, match=f"itself, from the trainer's model or its engine: leave out {name}"
    ):
        refuse_trainer(trainer)


@pytest.mark.parametrize("left_out", ["reward_funcs=guide.reward", "callbacks=[guide]"])
def test_a_part_of_the_guide_is_refused(left_out: str) -> None:
    """Without the callback there is no prompt step, and nothing would tell."""
    guide = Guide(ROWS, SETTINGS)
    handler = SimpleNamespace(callbacks=[object()] if "callbacks" in left_out else [object(), guide])
    rewards = [len] if "reward" in left_out else [len, guide.reward]
    trainer = SimpleNamespace(reward_funcs=rewards, callback_handler=handler)
    with pytest.raises(ConfigError, match=f"not all of the guide: give {re.escape(left_out)}$"):
        refuse_part(trainer, guide)
    with pytest.raises(ConfigError, match=r"give rollout_func=guide\.rollout$"):
        guide.reward(prompts=["x"], completions=["y"])


def test_prompts_must_be_messages_and_known() -> None:
    with pytest.raises(DataError, match="train_dataset, row 1: the prompt must be a list of messages"):
        Guide([ROWS[0], {"prompt": "1+1=?", "answer": "2"}])
    with pytest.raises(DataError, match=r"'1\+1' is not in the datasets that p2o\.trl\.Guide was given"):
        Guide(ROWS)._problem("1+1")


def test_rows_of_one_problem_are_told_by_what_they_ask() -> None:
    """Two that differ by spacing are merged, and TRL asks for both."""
    (message,) = ROWS[0]["prompt"]
    spaced = {**ROWS[0], "prompt": [{**message, "content": f"{message['content']} "}]}
    guide = Guide([*ROWS[:2], spaced])
    assert guide._problem(spaced["prompt"]) is guide._problem(ROWS[0]["prompt"])
    assert len(guide.problems) == 2


@pytest.mark.parametrize(("setting", "gold"), [("data.on_bad_gold", "(("), ("data.on_conflict", "no number")])
def test_a_row_that_p2o_would_leave_out_is_refused(setting: str, gold: str) -> None:
    rows = [*ROWS[:2], {"prompt": ROWS[0 if gold == "no number" else 5]["prompt"], "answer": gold}]
    with pytest.raises(DataError, match=r"^train_dataset, row \d is left out by data.on_bad_gold"):
        Guide(rows, {setting: "skip"})
