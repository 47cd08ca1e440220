"""Runs whose data source, sampler, loss, context mode, reward, proposer or guidance are from outside the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from p2o.assembly import prepare
from p2o.config import LossConfig, load_config
from p2o.data import RecordData
from p2o.evolution.propose import Proposal, Proposer, Task
from p2o.files import read_jsonl
from p2o.guidance.guidance import Found, Guidance
from p2o.loop import train
from p2o.outcomes import HardKind
from p2o.policy.losses import LOSSES, LossOutput
from p2o.policy.streams import GlobalCounts, TokenStreams
from p2o.records import Record
from p2o.rollout.hf import HfSampler
from p2o.state import LoopState
from p2o.templates import make_template
from p2o.tiny.world import make_problems
from p2o.track.console import Console
from p2o.types import Template

CALLED: set[str] = set()


class Source(RecordData):
    """Problems of the tiny world, as records."""

    train: Any = "the tiny world"
    family_key: str = "family"

    def training_records(self) -> Iterable[Record]:
        CALLED.add("data")
        for number, problem in enumerate(make_problems(60, seed=3)):
            record = {"problem": problem.messages[-1]["content"], "answer": problem.gold}
            yield f"problem {number}", {**record, "family": problem.meta["family"]}

    def evaluation_records(self) -> None:
        return None


class Sampler(HfSampler):
    """As `hf`."""

    def sample(self, *arguments: Any, **options: Any) -> Any:
        CALLED.add("sampler")
        return super().sample(*arguments, **options)


def loss(streams: TokenStreams, counts: GlobalCounts, config: LossConfig) -> LossOutput:
    """As `dapo`, with a metric of its own."""
    output = LOSSES["dapo"](streams, counts, config)
    return LossOutput(output.loss, {**output.metrics, "own/tokens": streams.loss_mask.sum() / counts.tokens})


def weight(log_ratio: Any, advantage: Any, low: float, high: float) -> Any:
    """As `none`."""
    CALLED.add("context")
    return log_ratio * 0 + 1


def reward(problem: Any, completion: str) -> float:
    """The box at the end holds the gold."""
    CALLED.add("reward")
    return float(completion.endswith(f"\\boxed{{{problem.gold}}}"))


class Instructions(Proposer):
    """The instructions that the tiny model knows."""

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        CALLED.add("proposer")
        texts = ["Add the columns from the right with the carry.", "Multiply digit by digit and carry."]
        return [Proposal(texts[i % 2], "known", (task.parent.id,)) for i, task in enumerate(tasks)]


def settings(path: Path) -> list[str]:
    own = {
        "data.kind": "Source",
        "rollout.sampler": "Sampler",
        "loss.name": "loss",
        "context.mode": "weight",
        "reward.function": "reward",
        "evolve.proposer": "Instructions",
    }
    return [
        *(f"{setting}={__name__}:{name}" for setting, name in own.items()),
        *("data.train_size=30", "data.evaluation_size=12", "run.epochs=2", "run.batch_problems=10"),
        *(
            "run.threads=1",
            "mining.min_count=4",
            "evolve.budget=150",
            "evolve.dev_size=8",
            "evolve.acceptance=posterior",
            "guidance.train_on_evaluations=false",
            "guidance.spend=fixed",
            "evolve.parents=2",
        ),
        *(
            "evolve.acceptance=strict",
            "reflection.kind=none",
            'evolve.templates="tiny"',
            f"run.output={path}",
        ),
    ]


def test_a_run_of_your_own_parts_and_its_continuation(tmp_path: Path) -> None:
    CALLED.clear()
    path = tmp_path / "run"
    config = load_config("quickstart", settings(path))
    train(prepare(config, path, console=Console.silent()))
    assert {"data", "sampler", "context", "reward", "proposer"} == CALLED
    steps = [line for line in read_jsonl(path / "metrics.jsonl") if "reward" in line]
    assert len(steps) == 6
    assert all("own/tokens" in line for line in steps), "nobody knows that its gradient is 0"
    assert any(line["templated/frac"] > 0 for line in steps)
    assert "known" in {line["made_by"] for line in read_jsonl(path / "templates.jsonl")}
    written = load_config(str(path / "config.toml"))
    assert written == config, "the run directory's settings lead to the same parts"
    resumed = prepare(written, path, resume=True, console=Console.silent())
    assert resumed.state.finished


class Instructor(Guidance):
    """Gives every hard problem the instruction of its family."""

    def find(self, state: LoopState, hard: Mapping[str, HardKind]) -> Found:
        CALLED.add("guidance")
        return Found(7, {"templates": [], "tokens": 7, "reason": f"{len(hard)} instructed", "refusals": {}})

    def assign(self, state: LoopState, guided: Sequence[str], seed: int) -> dict[str, list[Template]]:
        known = {"+": "Add the columns from the right and carry.", "*": "Multiply digit by digit and carry."}
        n = self.config.rollout.n
        return {
            problem.id: [make_template(known.get(problem.meta["sign"], ""))] * n
            for problem in self.parts.problems
            if problem.id in guided
        }


class SignedSource(Source):
    """With the sign of each problem."""

    def training_records(self) -> Iterable[Record]:
        for place, record in super().training_records():
            yield place, {**record, "sign": next(sign for sign in "+-*" if sign in record["problem"])}


def test_a_guidance_of_your_own(tmp_path: Path) -> None:
    CALLED.clear()
    path = tmp_path / "run"
    overrides = (f"guidance.kind={__name__}:Instructor", f"data.kind={__name__}:SignedSource")
    config = load_config("quickstart", [*settings(path), *overrides])
    run = prepare(config, path, console=Console.silent())
    signs = {problem.id: problem.meta["sign"] for problem in run.problems}
    state = train(run)
    assert "guidance" in CALLED
    assert "proposer" not in CALLED
    assert state.prompt_step_tokens == 7
    rollouts = [record for file in sorted((path / "rollouts").iterdir()) for record in read_jsonl(file)]
    guided = [record for record in rollouts if record["template"] != "plain"]
    assert guided
    assert {signs[record["problem"]] for record in guided} == {"+", "*"}
