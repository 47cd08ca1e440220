"""The whole loop on the shipped tiny model: what is trained on, what is written, and resuming after kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from p2o.assembly import prepare
from p2o.batches import Batch
from p2o.checkpoint import latest_checkpoint
from p2o.config import load_config
from p2o.errors import RunDirectoryError
from p2o.files import read_jsonl
from p2o.loop import train
from p2o.model.load import load_model, save_model
from p2o.policy.torch_backend import TorchPolicy
from p2o.run import Run
from p2o.templates import PLAIN, make_template
from p2o.tiny import MODEL_PATH
from p2o.track.console import Console

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = [
    "data.train_size=48",
    "data.evaluation_size=18",
    "run.batch_problems=16",
    "run.epochs=3",
    "run.threads=1",
    "mining.min_count=4",
    "evolve.budget=100",
    "evolve.dev_size=10",
    "evolve.parents=3",
    "checkpoint.every=2",
    "evolve.acceptance=strict",
]


def quiet() -> Console:
    from io import StringIO

    from rich.console import Console as RichConsole

    return Console(RichConsole(file=StringIO()))


def small_run(path: Path, *overrides: str, resume: bool = False) -> Run:
    return prepare(load_config("quickstart", [*SMALL, *overrides]), path, resume=resume, console=quiet())


def what_happened(path: Path) -> dict[str, Any]:
    """Everything a run wrote, without the clock."""
    metrics = [
        {key: value for key, value in record.items() if not key.startswith("time/")}
        for record in read_jsonl(path / "metrics.jsonl")
    ]
    newest = latest_checkpoint(path / "checkpoints")
    assert newest is not None
    return {
        "metrics": metrics,
        "templates": read_jsonl(path / "templates.jsonl"),
        "transfer": read_jsonl(path / "transfer.jsonl"),
        "rollouts": {file.name: file.read_text() for file in sorted((path / "rollouts").iterdir())},
        "weights": {
            name: tensor.tolist()
            for name, tensor in load_file(newest / "model" / "model.safetensors").items()
        },
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("runs") / "unbroken"
    train(small_run(path))
    torch.set_num_threads(threads)
    return path


def test_a_run_writes_what_the_documentation_says(unbroken: Path) -> None:
    metrics = read_jsonl(unbroken / "metrics.jsonl")
    steps = [record for record in metrics if "reward" in record]
    assert len(steps) == 9
    numbers = [r["step"] for r in metrics if "reward" in r or "guidance/groups" in r]
    assert numbers == list(range(1, len(numbers) + 1)), "with those on a prompt step's rollouts"
    assert sum("evaluation/accuracy" in record for record in metrics) == 4, "before, and after each epoch"
    assert any(record["templated/frac"] > 0 for record in steps[3:]), "templates must come into use"
    assert all(record["templated/frac"] == 0 for record in steps[:3])
    templates = read_jsonl(unbroken / "templates.jsonl")
    assert any(record["chosen"] for record in templates)
    assert all(record["text"] for record in templates if record["chosen"])
    transfer = read_jsonl(unbroken / "transfer.jsonl")
    assert {record["template"] for record in transfer} <= {record["template"]["id"] for record in templates}
    assert any(record["tried_later"] for record in transfer)
    assert any(record["reliance_problems"] and record["context_tokens"] for record in transfer)
    assert (unbroken / "config.toml").exists()
    assert len(list((unbroken / "checkpoints").glob("epoch-*"))) == 2, "checkpoint.keep"
    rollouts = read_jsonl(unbroken / "rollouts" / f"step-{steps[-1]['step']:06d}.jsonl")
    groups = Counter(rollout["problem"] for rollout in rollouts)
    assert set(groups.values()) == {6}, "whole groups, of track.rollouts = 8 and more"
    assert len(groups) == 2
    assert any(rollout["template"] != "plain" for rollout in rollouts)


def test_sampler_and_trainer_agree_on_what_was_sampled(unbroken: Path) -> None:
    """Engine ratio 1 on every token, templated ones included: no rollout is scored under another prompt."""
    for record in read_jsonl(unbroken / "metrics.jsonl"):
        if "engine_ratio/min" in record:
            assert record["engine_ratio/min"] == pytest.approx(1, abs=1e-3)
            assert record["engine_ratio/max"] == pytest.approx(1, abs=1e-3)


def test_no_template_reaches_the_update_or_the_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run(tmp_path / "run", "run.epochs=2", "context.mode=truncated")
    plain = {run.collector.prompt_ids(p, PLAIN) for p in run.problems}
    seen: list[tuple[int, ...]] = []
    templated = 0
    original = TorchPolicy.update

    def spy(policy: TorchPolicy, rows: Any, *others: Any) -> dict[str, float]:
        nonlocal templated
        seen.extend(
            tuple(rows.tokens[start : start + length].tolist())
            for start, length in zip(rows.offsets, rows.prompt_lengths, strict=False)
        )
        templated += int((rows.streams["context_weight"] != 1).sum())
        return original(policy, rows, *others)

    monkeypatch.setattr(TorchPolicy, "update", spy)
    held_out = {run.collector.prompt_ids(p, PLAIN) for p in run.evaluation_problems}
    sampled: list[tuple[int, ...]] = []
    stream = run.collector.sampler.stream

    def recording(requests: Any, params: Any, *others: Any) -> Any:
        known = list(requests)
        sampled.extend(request.prompt_ids for request in known if params.temperature == 0)
        return stream(known, params, *others)

    monkeypatch.setattr(run.collector.sampler, "stream", recording)
    train(run)
    assert templated > 0, "rollouts under templates must be among the rows"  # their ratio is not 1 everywhere
    assert set(seen) <= plain
    assert sampled
    assert set(sampled) == held_out


def test_grpo_makes_no_prompt_step(tmp_path: Path) -> None:
    train(small_run(tmp_path / "run", "run.method=grpo"))
    metrics = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    assert all(record.get("templated/frac", 0) == 0 for record in metrics)
    assert not (tmp_path / "run" / "templates.jsonl").exists()


def test_too_few_hard_samples_skip_the_prompt_step(tmp_path: Path) -> None:
    state = train(small_run(tmp_path / "run", "mining.min_count=1000"))
    assert state.prompt_step_tokens == 0
    assert "skipped" in state.history[1]["prompt_step"]["reason"]


def test_the_token_limit_ends_the_run(tmp_path: Path) -> None:
    state = train(small_run(tmp_path / "run", "run.max_generated_tokens=700"))
    assert state.finished
    steps = [r for r in read_jsonl(tmp_path / "run" / "metrics.jsonl") if "reward" in r]
    assert state.generated_tokens >= 700
    assert steps[-2]["num_tokens"] < 700 <= steps[-1]["num_tokens"]
    *ends, last = [record for record in state.history if record["step"]]
    assert last["hard"] is None, "of an epoch that was cut short it is not known which problems are hard"
    assert all(record["hard"] is not None for record in ends)


def test_a_run_ended_by_its_token_limit_is_not_prolonged_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "run.max_generated_tokens=300"
    whole = train(small_run(tmp_path / "whole", limit))
    run = small_run(tmp_path / "killed", limit)
    with monkeypatch.context() as patch:
        kill_after(patch, run.collector.sampler, "stream", 1 + whole.step)  # in the last evaluation
        with pytest.raises(Killed):
            train(run)
    resumed = train(small_run(tmp_path / "killed", limit, resume=True))
    assert (resumed.step, resumed.generated_tokens) == (whole.step, whole.generated_tokens)


def test_a_template_that_does_not_fit_earns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(tmp_path / "run", "rollout.max_prompt_tokens=20", "run.epochs=2")
    assert run.guidance is not None
    judged: list[Any] = []
    monkeypatch.setattr(
        "p2o.guidance.prompt_step.evolve",
        lambda problems, evaluate, *_, **__: (
            judged.extend(evaluate(requests_for(problems[0]))),
            (_ for _ in ()).throw(Killed),
        ),
    )
    with pytest.raises(Killed):
        train(run)
    plain, long = judged
    assert plain.text
    assert (long.reward, long.text, long.tokens) == (0.0, "", 0)


def requests_for(problem: Any) -> list[Any]:
    from p2o.evolution import EvaluationRequest

    return [EvaluationRequest(problem, PLAIN, 0), EvaluationRequest(problem, make_template("long " * 20), 0)]


def test_display_settings_may_change_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "run"
    done = train(small_run(path, "run.epochs=1"))
    resumed = small_run(
        path, "run.epochs=1", "checkpoint.keep=3", "track.rollouts=1", f"run.output={path}", resume=True
    )
    assert (resumed.config.checkpoint.keep, resumed.config.track.rollouts) == (3, 1)
    assert resumed.state.step == done.step > 0
    assert resumed.state.generated_tokens == done.generated_tokens


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def kill_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int) -> None:
    original = getattr(owner, name)
    count = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count > calls:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapper)


@pytest.mark.parametrize(
    ("where", "calls"),
    [
        pytest.param("update", 1, marks=pytest.mark.slow),
        ("update", 4),
        pytest.param("update", 8, marks=pytest.mark.slow),
        ("stream", 6),
        pytest.param("stream", 9, marks=pytest.mark.slow),
        ("checkpoint", 3),
    ],
)
def test_a_resumed_run_is_the_unbroken_run(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, calls: int
) -> None:
    path = tmp_path / "run"
    run = small_run(path)
    with monkeypatch.context() as patch:
        match where:
            case "update":
                kill_after(patch, TorchPolicy, "update", calls)
            case "stream":  # the prompt step's rollouts too
                kill_after(patch, run.collector.sampler, "stream", calls)
            case "checkpoint":
                kill_after(patch, run.tokenizer, "save_pretrained", calls)
        with pytest.raises(Killed):
            train(run)
    train(small_run(path, resume=True))
    assert what_happened(path) == what_happened(unbroken)


def test_settings_that_keep_more_state_resume_exactly_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mini-batches, adapters, a reference, races with replicas: killed in epoch 2."""
    options = [
        "run.epochs=2",
        "run.mini_batch_problems=8",
        "loss.kl_coef=0.05",
        "optimizer.lora={rank=4}",
        "optimizer.schedule=cosine",
        "evolve.acceptance=posterior",
        "evolve.rollouts_per_evaluation=2",
        "evolve.proposer=reflection+crossover",
        "evaluation.every=2",
        "evaluation.temperature=0.8",
        "checkpoint.every=1",
    ]

    def end(path: Path, **more: Any) -> tuple[Any, bytes]:
        run = small_run(path, *options, **more)
        state = train(run)
        run.finish()
        state.phases, state.logged_check = {}, 0  # of the clock, and of lines that hold times
        return state.to_dict(), (path / "model" / "model.safetensors").read_bytes()

    whole = end(tmp_path / "whole")
    assert any("prompt_step" in record for record in whole[0]["history"])
    run = small_run(tmp_path / "killed", *options)
    with monkeypatch.context() as patch:
        kill_after(patch, TorchPolicy, "update", 9)
        with pytest.raises(Killed):
            train(run)
    assert run.state.epoch == 1
    assert end(tmp_path / "killed", resume=True) == whole
    kept = [
        {key: value for key, value in record.items() if not key.startswith("time/")}
        for folder in ("whole", "killed")
        for record in read_jsonl(tmp_path / folder / "metrics.jsonl")
    ]
    assert kept[: len(kept) // 2] == kept[len(kept) // 2 :]


@pytest.mark.parametrize(
    ("where", "calls"), [("stream", 8), pytest.param("update", 4, marks=pytest.mark.slow)]
)
def test_a_run_that_quotes_solutions_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, calls: int
) -> None:
    """Solutions of the first epoch reach its prompt step: killed there, and in the next epoch."""
    options = ["run.epochs=2", "evolve.proposer=examples", "reflection.kind=none", "checkpoint.every=1"]
    whole = small_run(tmp_path / "whole", *options)
    expected = list(train(whole).solutions)
    templates = read_jsonl(tmp_path / "whole" / "templates.jsonl")
    quoted = [record["text"] for record in templates if record["made_by"] == "examples"]
    assert quoted
    assert all(text.endswith("}\n\nQuestion:") for text in quoted), (
        "nothing but the response, its end token left out"
    )
    run = small_run(tmp_path / "killed", *options)
    with monkeypatch.context() as patch:
        kill_after(patch, run.collector.sampler if where == "stream" else TorchPolicy, where, calls)
        with pytest.raises(Killed):
            train(run)
    assert run.state.epoch == 1
    assert list(train(small_run(tmp_path / "killed", *options, resume=True)).solutions) == expected
    assert what_happened(tmp_path / "killed") == what_happened(tmp_path / "whole")


def test_a_run_killed_by_a_signal_resumes(unbroken: Path, tmp_path: Path) -> None:
    path = tmp_path / "killed"
    command = [sys.executable, "-m", "p2o", "train", "quickstart", f"--set=run.output={path}"]
    command += [f"--set={override}" for override in SMALL]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while len(read_jsonl(path / "metrics.jsonl")) < 7 and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)  # polling another process, not waiting for a race
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(small_run(path, f"run.output={path}", resume=True))
    assert what_happened(path) == what_happened(unbroken)


def test_an_existing_run_is_not_overwritten(unbroken: Path) -> None:
    with pytest.raises(RunDirectoryError, match="--resume"):
        small_run(unbroken, "model.source=no/such")  # said before a model is loaded


def test_resuming_with_other_settings_is_refused(unbroken: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"loss\.clip"):
        small_run(unbroken, "loss.clip=[0.2, 0.3]", resume=True)


@pytest.mark.parametrize("changed", ["tokenizer", "end tokens", "weights"])
def test_resuming_with_another_model_in_the_same_folder_is_refused(changed: str, tmp_path: Path) -> None:
    source = tmp_path / "start"
    shutil.copytree(MODEL_PATH, source)
    settings = (
        f"model.source={source}",
        f"run.output={tmp_path / 'run'}",
        "run.method=grpo",
        "data.train_size=4",
    )
    config = load_config("quickstart", [*settings, "data.evaluation_size=2"])
    prepare(config, tmp_path / "run", console=Console.silent())
    prepare(config, tmp_path / "run", resume=True, console=Console.silent())
    model, tokenizer = load_model(source)
    if changed == "tokenizer":
        tokenizer.chat_template += " "
    elif changed == "end tokens":
        model.generation_config.eos_token_id = [1, 2, 3]
    else:
        model.get_output_embeddings().weight.data += 0.01
    save_model(model, tokenizer, source)
    with pytest.raises(
        RunDirectoryError, match=rf"model\.source \({changed}\) has changed since the run began"
    ):
        prepare(config, tmp_path / "run", resume=True, console=Console.silent())


def test_resuming_with_other_data_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    lines = [json.dumps({"problem": f"{i}+{i}=?", "answer": 2 * i}) for i in range(20)]
    data.write_text("\n".join(lines))
    overrides = [
        f'data={{kind="jsonl", train="{data}", evaluation_size=4}}',
        "run.batch_problems=8",
        "run.epochs=1",
    ]
    config = load_config("quickstart", overrides)
    train(prepare(config, tmp_path / "run", console=quiet()))
    data.write_text("\n".join([*lines[:-1], json.dumps({"problem": "1+1=?", "answer": 2})]))
    with pytest.raises(RunDirectoryError, match="data has changed"):
        prepare(config, tmp_path / "run", resume=True, console=quiet())


@pytest.mark.parametrize(
    "setting", ["mode=hard", "mode=soft", "mode=truncated", "mode=none", "distillation=none"]
)
def test_every_context_mode_trains(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "run"
    train(small_run(path, f"context.{setting}", "run.epochs=2"))
    templated = [r for r in read_jsonl(path / "metrics.jsonl") if r.get("templated/frac", 0) > 0]
    assert templated
    assert any("context_ratio/mean" in record for record in templated) == (setting != "distillation=none")


def test_uniform_groups_are_refilled_from_the_epoch(tmp_path: Path) -> None:
    """Dynamic sampling: each problem is rolled out once an epoch, and a step goes on until it has its groups."""
    options = ["run.method=grpo", "loss.zero_variance=refill", "run.epochs=1"]
    run = small_run(tmp_path / "run", *options)
    steps: list[list[Any]] = []
    take = run.batches.take

    def spy() -> Batch:
        batch = take()
        steps.append(batch.groups)
        return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.batches, "take", spy)
        patch.setattr("p2o.batches.REFILL_LIMIT", 2)
        state = train(run)
    seen = [group.problem.id for groups in steps for group in groups]
    assert sorted(seen) == sorted(problem.id for problem in run.problems)
    assert [len(groups) for groups in steps] == [32, 16], "hardly a group has a signal here: up to the limit"
    assert state.epoch_problems == 0, "the next epoch starts at its first problem"
