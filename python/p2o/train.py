"""P²O, read downward: collect -> verify -> mine -> update, epoch by epoch, with a prompt step in between.

Each epoch draws groups of rollouts (hard samples under the templates assigned to them), updates the policy as if no
template had been there, and notes which samples stay unsolved. Between epochs the prompt step evolves templates on
those. Every draw is seeded by names, so a run resumed from a checkpoint is the run that was never stopped.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p2o.checkpoint import save_checkpoint
from p2o.config import Config
from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import RewardError, SamplerError
from p2o.evaluate import evaluate
from p2o.outcomes import hard_problems
from p2o.outcomes.assign import assign
from p2o.policy.policy import Policy
from p2o.policy.rows import enters_update, prepare
from p2o.prompt_step import PromptStep
from p2o.rollout.collect import Collector, RolloutRequest, generated_tokens, in_groups
from p2o.rollout.sampler import SamplingParams
from p2o.seeds import derive_seed
from p2o.state import LoopState
from p2o.templates import PLAIN
from p2o.track.console import Console
from p2o.track.logs import MetricLog
from p2o.track.metrics import over_mini_batches, rollout_metrics
from p2o.track.report import write_report
from p2o.track.run_directory import RunDirectory
from p2o.types import Group, Problem

REFILL_LIMIT = 4
"""Under `loss.zero_variance = "refill"` a step rolls out at most so many times `run.batch_problems` problems."""


@dataclass
class Run:
    """Everything the loop works with. `p2o.assembly.prepare` builds it from a configuration."""

    config: Config
    problems: Sequence[Problem]
    evaluation_problems: Sequence[Problem]
    collector: Collector
    policy: Policy
    reference: Any
    """Scores under the start weights, for the KL term; None without one."""
    prompt_step: PromptStep | None
    """None for plain GRPO."""
    tokenizer: Any
    directory: RunDirectory
    console: Console
    state: LoopState
    logs: Sequence[MetricLog] = ()
    """Where metrics go beside the run directory."""
    processes: Processes = ONE_PROCESS
    """The processes of the run. All of them hold the same state; rank 0 writes."""
    probe: Callable[[], dict[str, float]] = dict
    """Measures, after a sync, how far sampler and trainer are apart, and stops the run where they disagree."""

    def finish(self) -> None:
        """Exports the trained model, writes the report and closes the logs."""
        self.policy.export(self.directory.path / "model", self.tokenizer)
        self.processes.on_main(lambda: write_report(self.directory.path))
        for log in self.logs:
            log.close()


def train(run: Run) -> LoopState:
    """Runs to the last epoch or the token limit; a checkpoint marks each epoch's end."""
    state, config = run.state, run.config
    if not state.history:
        measure(run, hard=None)
    while not state.finished:
        while not epoch_is_done(run) and not out_of_tokens(run):
            before = (state.epoch_problems, state.training_tokens)
            try:
                if is_measured_within(config, state):
                    measure(run, hard=None)
                started = time.monotonic()
                groups, trained = collect_batch(run)
            except (RewardError, SamplerError):  # no step is lost: the run goes on when the other works again
                state.epoch_problems, state.training_tokens = before
                checkpoint(run)
                raise
            metrics = update(run, trained)
            for group in groups:
                state.outcomes.observe(group, str(state.epoch))
                if run.prompt_step is not None and run.prompt_step.quotes:
                    state.solutions.observe(group, config.mining.success)
            state.step += 1
            state.epoch_step += 1
            state.seconds += time.monotonic() - started
            log_step(run, groups, metrics)
            if state.step % config.checkpoint.every == 0:
                checkpoint(run)
        checkpoint(run)  # a prompt step that is killed must not cost the epoch
        end_epoch(run)
        checkpoint(run)
    return state


def is_measured_within(config: Config, state: LoopState) -> bool:
    """Whether the step before is to be evaluated within an epoch, and has not been."""
    every = config.evaluation.every
    return every is not None and state.step % every == 0 and state.history[-1]["step"] != state.step


def collect_batch(run: Run) -> tuple[list[Group], list[Group]]:
    """The groups of a step, under `refill` with further ones for those without a signal; and the groups trained on."""
    config = run.config
    groups: list[Group] = []
    trained: list[Group] = []
    missing = size = config.run.batch_problems
    most = REFILL_LIMIT * size if config.loss.zero_variance == "refill" else size
    run.collector.reward_metrics()  # a step's counts leave out evaluations and the prompt step
    while True:
        found = roll_out(run, next_problems(run, min(missing, most - len(groups))))
        groups += found
        trained += [group for group in found if enters_update(group, config.loss, config.rollout.max_tokens)]
        missing = size - len(trained)
        if missing <= 0 or len(groups) >= most or epoch_is_done(run) or out_of_tokens(run):
            break
    run.collector.sampler.sleep()  # until the next weights are published
    return groups, trained


def next_problems(run: Run, count: int) -> list[Problem]:
    """The next problems of this epoch, in the epoch's own order."""
    state = run.state
    order = list(run.problems)
    random.Random(derive_seed(run.config.run.seed, "order", state.epoch)).shuffle(order)
    problems = order[state.epoch_problems : state.epoch_problems + count]
    state.epoch_problems += len(problems)
    return problems


def roll_out(run: Run, problems: Sequence[Problem]) -> list[Group]:
    """One verified group per problem: hard samples under their templates, the others plain."""
    state, config = run.state, run.config
    n = config.rollout.n
    requests = [
        RolloutRequest(
            problem,
            template,
            index,
            derive_seed(config.run.seed, "rollout", state.epoch, state.step, problem.id, index),
        )
        for problem in problems
        for index, template in enumerate(state.assignment.get(problem.id, [PLAIN] * n))
    ]
    with run.console.phase(f"epoch {state.epoch + 1}  rollouts", len(requests)) as progress:
        rollouts = run.collector.collect(requests, SamplingParams.of(config.rollout), progress)
    state.training_tokens += generated_tokens(rollouts)
    return in_groups(problems, rollouts, n)


def update(run: Run, groups: Sequence[Group]) -> dict[str, float]:
    """The policy step: prepare (score what was sampled), learn (an optimizer step a mini-batch), publish."""
    config = run.config
    size = config.run.mini_batch_problems or config.run.batch_problems
    mini_batches = [groups[start : start + size] for start in range(0, len(groups), size)]
    with run.console.phase(f"epoch {run.state.epoch + 1}  update", len(groups)) as progress:
        # Everything is scored before the first optimizer step: old log-probs are those of the sampling weights.
        plain = run.collector.plain_ids
        prepared = [prepare(part, plain, run.policy.score, run.reference, config) for part in mini_batches]
        learnt = []
        for part, (rows, counts, ratios) in zip(mini_batches, prepared, strict=True):
            learnt.append({**run.policy.update(rows, counts), **ratios})
            progress(len(part))
    run.collector.publish(run.policy, run.state.step + 1)
    return over_mini_batches([*learnt, run.probe()])


def epoch_is_done(run: Run) -> bool:
    """Whether every problem of the epoch has been rolled out."""
    return run.state.epoch_problems >= len(run.problems)


def end_epoch(run: Run) -> None:
    """Evaluates, mines the epoch's hard set and, unless the run is over, evolves and hands out templates."""
    state, config = run.state, run.config
    started = time.monotonic()
    hard = hard_problems(state.outcomes, str(state.epoch), config.mining)
    measure(
        run, hard=hard if epoch_is_done(run) else None
    )  # one that is cut short has not asked every problem
    state.finished = state.epoch + 1 >= config.run.epochs or out_of_tokens(run)
    state.epoch += 1
    state.epoch_step = 0
    state.epoch_problems = 0
    state.assignment = {}
    if not state.finished and run.prompt_step is not None:
        # Whether or not a prompt step takes place, the policy is another one than that of the epoch's rollouts.
        state.outcomes.begin(str(state.epoch))
        outcome = run.prompt_step.evolve(
            hard,
            state.outcomes,
            epoch=state.epoch,
            previous=state.evolution,
            solutions=state.solutions,
        )
        state.outcomes = run.processes.broadcast(state.outcomes)  # rank 0 added the step's rollouts
        state.evolution = outcome.evolution
        state.count_templates(outcome.records)
        state.prompt_step_tokens += outcome.tokens
        state.history[-1]["prompt_step"] = outcome.summary()
        state.assignment = assign(
            state.evolution,
            list(hard),
            config.rollout.n,
            config.assign,
            state.outcomes,
            derive_seed(config.run.seed, "assign", state.epoch),
            run.prompt_step.available,
        )
        state.finished = out_of_tokens(run)
    state.seconds += time.monotonic() - started


def measure(run: Run, hard: Mapping[str, str] | None) -> None:
    """Plain accuracy on the evaluation problems, into the history and the metrics; `hard` at an epoch's end."""
    state, config = run.state, run.config
    total = len(run.evaluation_problems) * config.evaluation.samples
    with run.console.phase("evaluation (plain prompts)", total) as progress:
        result = evaluate(run.evaluation_problems, run.collector, config, progress)
    record = {
        "epoch": state.epoch,
        "step": state.step,
        "generated_tokens": state.generated_tokens,
        "accuracy": result.accuracy,
        "by_family": result.by_family,
        "hard": None if hard is None else len(hard),
    }
    state.history.append(record)
    mined = {} if hard is None else {"hard/count": len(hard), "hard/frac": len(hard) / len(run.problems)}
    log(run, {"step": state.step, **result.metrics(), "num_tokens": state.generated_tokens, **mined})
    run.console.evaluated(record)


def log_step(run: Run, groups: Sequence[Group], metrics: dict[str, float]) -> None:
    """One line of metrics and a sample of the rollouts."""
    state = run.state
    record = {
        "step": state.step,
        "epoch": state.epoch,
        "num_tokens": state.generated_tokens,
        **rollout_metrics(groups),
        **run.collector.reward_metrics(),
        **metrics,
        "time/total_s": state.seconds,
    }
    log(run, record)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    run.directory.log_rollouts(state.step, state.epoch, rollouts, run.config.track.rollouts)
    run.console.stepped(record)


def log(run: Run, record: dict[str, Any]) -> None:
    """Appends a line of metrics and remembers it for a resumed run."""
    run.directory.log(record)
    run.state.count_line(record)
    for other in run.logs:
        other.log(record)


def checkpoint(run: Run) -> None:
    """Saves what `--resume` needs."""
    save_checkpoint(
        run.directory.checkpoints,
        f"epoch-{run.state.epoch:06d}-step-{run.state.epoch_step:08d}",
        run.policy,
        run.tokenizer,
        run.state.to_dict(),
        keep=run.config.checkpoint.keep,
        processes=run.processes,
    )


def out_of_tokens(run: Run) -> bool:
    """Whether the run's token limit is reached."""
    limit = run.config.run.max_generated_tokens
    return limit is not None and run.state.generated_tokens >= limit
