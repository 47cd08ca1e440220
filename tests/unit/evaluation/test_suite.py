"""An evaluation that is killed goes on where it stopped, in the same batches, and ends in the same file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from p2o.config import load_config
from p2o.errors import RunDirectoryError
from p2o.evaluate import evaluation_requests
from p2o.evaluation.benchmarks import Benchmark
from p2o.evaluation.journal import EvaluationJournal
from p2o.evaluation.suite import (
    answers_of,
    draw,
    header_of,
    summarise,
    without_left_out,
    without_training,
)
from p2o.parts import check_ahead
from p2o.rollout.reward import make_reward
from p2o.rollout.sampler import Progress, sampler_class
from p2o.types import Problem, Rollout

PROBLEMS = [Problem(f"p{i}", ({"role": "user", "content": "?"},), str(i)) for i in range(5)]
CONFIG = load_config("quickstart", ["evaluation.samples=3", "evaluation.temperature=1.0"])
REQUESTS = evaluation_requests(PROBLEMS, CONFIG)


class Collector:
    """Answers by the request's seed; what is drawn together has a common trait, as rounding would give it."""

    def __init__(self, dies_after: int | None = None, progress: Progress = lambda count: None) -> None:
        self.progress = progress
        self.dies_after = dies_after
        self.batches: list[int] = []

    def collect(self, start: int, end: int) -> list[Rollout]:
        if len(self.batches) == self.dies_after:
            raise KeyboardInterrupt
        requests = REQUESTS[start:end]
        self.batches.append(len(requests))
        common = sum(request.seed for request in requests) % 997
        self.progress(len(requests))
        return [
            Rollout(
                r.problem.id,
                "plain",
                r.index,
                [],
                [1, 2],
                [],
                "stop",
                f"\\boxed{{{r.seed % 5}}} {common}",
                0.0,
            )
            for r in requests
        ]


def drawn(path: Path, collector: Collector) -> EvaluationJournal:
    with EvaluationJournal(path, {"run.seed": 0}) as journal:
        draw(REQUESTS, collector.collect, 4, journal, lambda count: None, {})
        return journal


def test_a_kill_at_any_byte_changes_nothing(tmp_path: Path) -> None:
    whole = drawn(tmp_path / "whole.jsonl", unbroken := Collector())
    assert unbroken.batches == [4, 4, 4, 3]
    content = (tmp_path / "whole.jsonl").read_bytes()
    for end in range(0, len(content), 61):
        path = tmp_path / f"cut-{end}.jsonl"
        path.write_bytes(content[:end])
        assert drawn(path, again := Collector()).completions == whole.completions
        assert path.read_bytes() == content
        there = max(0, content[:end].count(b"\n") - 1)  # less the header
        assert again.batches == [4, 4, 4, 3][there // 4 :]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")
def test_a_disk_that_is_full_is_named_by_its_file(tmp_path: Path) -> None:
    import resource

    whole = drawn(tmp_path / "whole.jsonl", Collector())
    assert whole.path is not None
    length = whole.path.stat().st_size
    path = tmp_path / "journal.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for least in (0, length // 2, length - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, before[1]))
        try:
            with pytest.raises(OSError, match="too large") as raised:
                drawn(path, Collector())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert raised.value.filename == str(path)
    drawn(path, Collector())
    assert path.read_bytes() == whole.path.read_bytes()


def test_progress_counts_what_is_drawn_and_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        drawn(tmp_path / "journal.jsonl", Collector(dies_after=2))
    counts: list[int] = []
    with EvaluationJournal(tmp_path / "journal.jsonl", {"run.seed": 0}) as journal:
        assert [one.problem for one in journal.completions] == [r.problem.id for r in REQUESTS[:8]]
        draw(REQUESTS, Collector(progress=counts.append).collect, 4, journal, counts.append, {})
    assert (counts, sum(counts)) == ([8, 4, 3], len(REQUESTS))


def test_other_settings_are_refused_in_one_line(tmp_path: Path) -> None:
    drawn(tmp_path / "completions.jsonl", Collector())
    with pytest.raises(
        RunDirectoryError,
        match=r"the evaluation there has another run.seed \(0, not 1\): go back to it, or give another --output$",
    ):
        EvaluationJournal(tmp_path / "completions.jsonl", {"run.seed": 1})
    (tmp_path / "other.jsonl").write_text('{"text": "?"}\n')
    with pytest.raises(
        RunDirectoryError, match=r"other.jsonl: is no journal of an evaluation; write elsewhere$"
    ):
        EvaluationJournal(tmp_path / "other.jsonl", {})


def test_what_an_evaluation_depends_on(shipped_tiny: tuple[Any, Any]) -> None:
    model, tokenizer = shipped_tiny
    parts: Any = SimpleNamespace(
        model=model, tokenizer=tokenizer, collector=SimpleNamespace(reward=SimpleNamespace(code="c0de"))
    )

    def header(*settings: str, problems: Sequence[Problem] = PROBLEMS) -> dict[str, Any]:
        given = ["evaluation.temperature=1.0", *settings]
        return header_of(load_config("quickstart", given), parts, [Benchmark("b", list(problems), "")])

    usual = header()
    for same in ("rollout.batch_size=7", "rollout.n=4", "optimizer.learning_rate=1.0", "evaluation.every=3"):
        assert header(same) == usual
    for other in ("rollout.max_tokens=9", "evaluation.samples=2", "run.seed=1", "reward.profile=strict"):
        assert header(other) != usual
    assert header(problems=PROBLEMS[:4]) != usual
    assert usual["code of reward.function"] == "c0de"


def test_what_only_training_would_need_is_not_asked_for() -> None:
    """A run that gave an engine its adapters, or drew ahead, is evaluated as a whole model by any sampler."""
    vllm = ["rollout.sampler=vllm", "rollout.vllm.lora=adapter", "optimizer.lora.rank=16"]
    for overrides in (vllm, ["rollout.ahead=1"], ["reflection.kind=openai", "reflection.endpoint.model=m"]):
        config = without_training(load_config("quickstart", overrides))
        sampler = sampler_class(config.rollout.sampler)
        sampler.check(config)
        check_ahead(config, sampler, make_reward(config.reward))
        assert not config.asks_reflection
        assert config.rollout.n == 6, "the rest is as it was"


def test_answers_are_those_that_the_verifier_judged() -> None:
    texts = ["\\boxed{1/2}", "no idea", "So it is \\boxed{3}.[/THINK]\\boxed{4}"]
    rollouts = [Rollout("p", "plain", i, [], [], [], "stop", text) for i, text in enumerate(texts)]
    assert answers_of(rollouts, PROBLEMS[:3], {}) == ["1/2", None, "4"]
    assert answers_of(rollouts, PROBLEMS[:3], None) == [None] * 3


def test_completions_go_to_the_benchmarks_in_turn(tmp_path: Path) -> None:
    journal = drawn(tmp_path / "journal.jsonl", Collector())
    benchmarks = [Benchmark("first", PROBLEMS[:2], ""), Benchmark("second", PROBLEMS[2:], "")]
    found = summarise(CONFIG, benchmarks, journal.completions)
    assert [one.evaluation.problems for one in found.results] == [2, 3]
    assert (found.settings["samples"], found.settings["temperature"]) == (3, 1.0)


def test_problems_that_were_left_out_leave_their_benchmark() -> None:
    benchmarks = [Benchmark("first", PROBLEMS[:2], ""), Benchmark("second", PROBLEMS[2:], "")]
    kept = without_left_out(benchmarks, PROBLEMS[1:])
    assert [one.problems for one in kept] == [PROBLEMS[1:2], PROBLEMS[2:]]
    with pytest.raises(ValueError, match=r"all problems of first are over rollout.max_prompt_tokens"):
        without_left_out(benchmarks, PROBLEMS[2:])
