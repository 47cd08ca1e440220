"""Benchmarks evaluated with one model: what is drawn, kept on disk, and continued after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from p2o.config import Config
from p2o.data import DatasetData, JsonlData
from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import DataError
from p2o.evaluate import evaluation_params, evaluation_requests
from p2o.evaluation.benchmarks import Benchmark
from p2o.evaluation.journal import Completion, EvaluationJournal
from p2o.evaluation.result import SuiteResult, judge
from p2o.files import write_text
from p2o.launch import start_facts
from p2o.parts import Parts, load_parts, publish_loaded, settings_behind
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.rewards import with_usual_end_of_thought
from p2o.rollout.collect import RolloutRequest
from p2o.rollout.rollouts import all_known
from p2o.rollout.sampler import Progress, requests_at_once
from p2o.track.console import Console
from p2o.types import Problem, Rollout
from p2o.verifier import VerifyOptions, verify_batch

COMPLETIONS, RESULT, PAGE = "completions.jsonl", "result.json", "result.md"
"""The files of an evaluation's folder."""

_SETTINGS = (
    *("model.", "reward.", "evaluation.", "rollout.vllm.", "run.seed", "run.threads", "mining.success"),
    *("rollout.sampler", "rollout.max_tokens", "rollout.max_prompt_tokens"),
)
_NOT = ("evaluation.every", "evaluation.guided")
"""The settings that an evaluation depends on, and does not, by their beginnings."""


def run_suite(
    config: Config,
    benchmarks: Sequence[Benchmark] | None,
    folder: Path | None,
    console: Console,
    processes: Processes = ONE_PROCESS,
) -> SuiteResult:
    """Evaluates `config.model`; completions that are in `folder` already are not drawn again.

    All ranks of `processes` call it and draw; rank 0 alone reads and writes `folder`. Every rank gets the result.

    Args:
        config: the recipe.
        benchmarks: what to evaluate on; None: the recipe's evaluation problems.
        folder: where completions and results are written; None: nowhere.
        console: shows the progress.
        processes: those that share the work out.

    Raises:
        P2oError: one line about the data, the model, the settings or the folder.
    """
    config = without_training(config)
    given = None if benchmarks is None else [problem for one in benchmarks for problem in one.problems]
    parts = load_parts(config, processes, evaluation=given, trains=False)
    if benchmarks is None:
        benchmarks = [Benchmark("evaluation", parts.evaluation_problems, source_of(config))]
    else:
        benchmarks = without_left_out(benchmarks, parts.evaluation_problems)
    problems = [problem for one in benchmarks for problem in one.problems]
    for problem in problems:
        parts.collector.plain_ids(problem)  # refuses a problem that is too long
    options, params = config.reward.verifier_options(), evaluation_params(config)
    header, requests = header_of(config, parts, benchmarks), evaluation_requests(problems, config)
    path = None if folder is None else folder / COMPLETIONS
    at_once = requests_at_once(parts.collector.sampler) * parts.collector.teams
    with console.phase("evaluation (plain prompts)", len(requests)) as progress:

        def publish() -> None:
            publish_loaded(config, parts, problems)

        def collect(start: int, end: int) -> list[Rollout]:
            return all_known(parts.collector.collect(requests[start:end], params, progress))

        def lead(actions: Mapping[str, Callable[..., Any]]) -> SuiteResult:
            with EvaluationJournal(path, header) as journal:
                actions["publish"]()
                draw(requests, actions["collect"], at_once, journal, progress, options)
            result = summarise(config, benchmarks, journal.completions)
            if folder is not None:
                values = {**result.to_dict(), "by_problem": result.by_problem()}
                write_text(folder / RESULT, json.dumps(values, ensure_ascii=False, indent=1) + "\n")
                write_text(folder / PAGE, result.markdown())
            return result

        return processes.lead({"publish": publish, "collect": collect}, lead)


def without_training(config: Config) -> Config:
    """The settings where nothing is trained, and nothing reflects: what only that would need is not asked for."""
    vllm = config.rollout.vllm.model_copy(update={"lora": "merged"})
    changed = {
        "run": config.run.model_copy(update={"method": "grpo"}),
        "optimizer": OptimizerConfig(backend="torch"),
        "rollout": config.rollout.model_copy(update={"vllm": vllm, "ahead": 0}),
    }
    return config.model_copy(update=changed)


def source_of(config: Config) -> str:
    """Where the recipe's evaluation problems come from, in a word or two."""
    data = config.data
    if isinstance(data, JsonlData | DatasetData):
        return str(data.evaluation or data.train)
    return f"data.kind = {data.kind!r}"


def without_left_out(benchmarks: Sequence[Benchmark], kept: Sequence[Problem]) -> list[Benchmark]:
    """The benchmarks without the problems that `rollout.long_problems` leaves out.

    Raises:
        DataError: if nothing is left of one.
    """
    ids = {problem.id for problem in kept}
    left = [replace(one, problems=[p for p in one.problems if p.id in ids]) for one in benchmarks]
    if empty := next((one for one in left if not one.problems), None):
        raise DataError(f"all problems of {empty.name} are over rollout.max_prompt_tokens: raise it")
    return left


def header_of(config: Config, parts: Parts, benchmarks: Sequence[Benchmark]) -> dict[str, Any]:
    """What the completions of an evaluation depend on, by name."""
    header = settings_behind(config, parts.collector.reward, _SETTINGS, _NOT)
    header |= start_facts(parts.model, parts.tokenizer)
    header["list of benchmarks"] = [one.name for one in benchmarks]
    header |= {f"problems of {one.name}": one.fingerprint for one in benchmarks}
    return header


def draw(
    requests: Sequence[RolloutRequest],
    collect: Callable[[int, int], list[Rollout]],
    at_once: int,
    journal: EvaluationJournal,
    progress: Progress,
    options: VerifyOptions | None,
) -> None:
    """Draws the completions that the journal lacks, `at_once` by `at_once`; `options` as in `answers_of`.

    A batch of which a part is there is drawn again as a whole and completed: what is drawn together rounds together.

    Args:
        requests: all of them.
        collect: draws the requests from one place up to another.
        at_once: requests of a batch.
        journal: holds what is known, and gets the rest.
        progress: is told of what is known.
        options: those of the verifier.
    """
    known = journal.completions
    progress(len(known) // at_once * at_once)
    while len(known) < len(requests):
        start = len(known) // at_once * at_once
        batch = requests[start : start + at_once]
        rollouts = collect(start, start + len(batch))
        answers = answers_of(rollouts, [request.problem for request in batch], options)
        completions = [
            Completion(r.problem_id, r.index, r.reward, answer, len(r.response_ids), r.finish_reason, r.text)
            for r, answer in zip(rollouts, answers, strict=True)
        ]
        journal.add(completions[len(known) - start :])


def answers_of(
    rollouts: Sequence[Rollout], problems: Sequence[Problem], options: VerifyOptions | None
) -> Sequence[str | None]:
    """The answers that the verifier judged, as they stand in the texts; None where it found none.

    `options` are those of the verifier; without them something else gives the rewards, and no answer is known.
    """
    if options is None:
        return [None] * len(rollouts)
    texts = [with_usual_end_of_thought(rollout.text) for rollout in rollouts]
    golds = [problem.gold for problem in problems]
    return [verdict.extracted for verdict in verify_batch(texts, golds, return_verdicts=True, **options)]


def summarise(
    config: Config, benchmarks: Sequence[Benchmark], completions: Sequence[Completion]
) -> SuiteResult:
    """The figures of all completions, those of the benchmarks in turn."""
    samples, results, begin = config.evaluation.samples, [], 0
    for benchmark in benchmarks:
        end = begin + len(benchmark.problems) * samples
        own = completions[begin:end]
        results.append(judge(benchmark, own, config.mining.success, config.reward.verifier_options()))
        begin = end
    settings = {
        "model": config.model.source,
        "samples": samples,
        "temperature": config.evaluation.temperature,
        "max_tokens": config.rollout.max_tokens,
        "seed": config.run.seed,
    }
    return SuiteResult(settings, results)
