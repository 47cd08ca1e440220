"""P²O, read downward: collect -> verify -> mine -> update, epoch by epoch, with a prompt step in between.

Each epoch draws groups of rollouts (hard problems under the templates assigned to them), updates the policy as if no
template had been there, and notes which samples stay unsolved. Between epochs the prompt step evolves templates on
those. Every draw is seeded by names, so a run resumed from a checkpoint is the run that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p2o.config import Config
from p2o.errors import RewardError, SamplerError, TrainingError
from p2o.evaluate import Evaluation, evaluate
from p2o.outcomes import HardKind, hard_problems, likely_hard
from p2o.outcomes.rehearsal import solved_under
from p2o.outcomes.transfer import transfer_records
from p2o.parts import steps_within
from p2o.policy.rows import prepare, teaches
from p2o.run import BaseRun, Run
from p2o.seeds import derive_seed
from p2o.state import LoopState
from p2o.templates import PLAIN
from p2o.track.metrics import over_mini_batches
from p2o.types import Group, Template


def train(run: Run) -> LoopState:
    """Runs to the last epoch or the token limit; a checkpoint marks each epoch's end."""
    state, config = run.state, run.config
    if not state.history:
        measure(run, hard=None)
    if state.finished and state.epoch < config.run.epochs and not run.out_of_tokens:
        go_on(run)  # it was resumed for more epochs than it had
    with run.batches:
        while not state.finished:
            while not run.epoch_is_done and not run.out_of_tokens:
                if is_guided_within(run, state.step):
                    run.checkpoint()  # a prompt step that is killed must not cost the steps before it
                    guide(run, mine(run))
                    continue
                take_step(run)
            run.checkpoint()  # a prompt step that is killed must not cost the epoch
            end_epoch(run)
            run.checkpoint()
    return state


def take_step(run: Run) -> None:
    """A batch of rollouts, and an update on it."""
    state, config = run.state, run.config
    try:
        if is_measured_within(config, state):
            measure(run, hard=None)
        with run.timed("rollouts"):
            batch = run.batches.take()
    except (RewardError, SamplerError):  # no step is lost: the run goes on when the other works again
        run.checkpoint()
        raise
    if is_drawn_ahead(run):
        run.batches.draw_ahead()
    with run.timed("update"):
        metrics = update(run, batch.trained, batch.problems)
    for group in batch.groups:
        state.outcomes.observe(group, str(state.version))
        if run.guidance is not None and run.guidance.quotes:
            state.solutions.observe(group, config.mining.success)
    state.step += 1
    state.epoch_step += 1
    run.log_step(batch, metrics)
    if state.step % config.checkpoint.every == 0:
        run.checkpoint()


def is_measured_within(config: Config, state: LoopState) -> bool:
    """Whether the step before is to be evaluated within an epoch, and has not been."""
    every = config.evaluation.every
    return every is not None and state.step % every == 0 and state.history[-1]["step"] != state.step


def is_drawn_ahead(run: Run) -> bool:
    """Whether the next batch is drawn while the policy learns: the epoch's end and the prompt step wait for no one."""
    at_once = (
        not run.epoch_is_done and not run.out_of_tokens and not is_guided_within(run, run.state.step + 1)
    )
    return run.config.rollout.ahead > 0 and at_once


def update(run: Run, groups: Sequence[Group], problems: int = 0) -> dict[str, float]:
    """The policy step: prepare (score what was sampled), learn (an optimizer step a mini-batch), publish.

    `problems` of the epoch were rolled out for it; without any the learning-rate schedule stands still.
    """
    config, state = run.config, run.state
    over = state.epoch * steps_within(config, len(run.problems))
    over += steps_within(config, state.epoch_problems - problems)
    size = config.run.mini_batch_problems or config.run.batch_problems
    mini_batches = [groups[start : start + size] for start in range(0, len(groups), size)]
    age = age_of(groups, state.step)
    if age > config.rollout.ahead:
        raise TrainingError(f"rollouts are {age} steps old, over rollout.ahead = {config.rollout.ahead}")
    with run.console.phase(f"{run.under_way}  update", len(groups)) as progress:
        # Everything is scored before the first optimizer step, by the weights that are about to learn.
        plain = run.collector.plain_ids
        prepared = [
            prepare(part, plain, run.policy.score, run.reference, config, fresh=number == age == 0)
            for number, part in enumerate(mini_batches)
        ]
        learnt = []
        for number, (part, ready) in enumerate(zip(mini_batches, prepared, strict=True)):
            state.outcomes.observe_context(str(state.version), ready.by_template)
            place = over + (number if problems else 0)
            found = run.policy.update(ready.rows, ready.counts, ready.engine, place)
            learnt.append({**found, **ready.metrics})
            progress(len(part))
    run.batches.settle()  # what is drawn ahead is all drawn with the same weights
    run.collector.publish(run.policy, state.step + 1)
    stale = {"rollouts/age": float(age)} if config.rollout.ahead else {}
    return over_mini_batches([*learnt, run.probe(), stale])


def age_of(groups: Sequence[Group], step: int) -> int:
    """Steps by which the policy is ahead of the oldest rollout's weights."""
    return max((step - rollout.version for group in groups for rollout in group.rollouts), default=0)


def is_guided_within(run: Run, step: int) -> bool:
    """Whether a prompt step is due after so many steps of the run, within an epoch, and has not taken place."""
    every, state = run.config.guidance.every, run.state
    begun = state.epoch_step + step - state.step
    if every is None or run.guidance is None or begun == 0:
        return False
    return step - state.guided_at >= every


def end_epoch(run: Run) -> None:
    """Evaluates and, unless the run is over, makes a prompt step on what the epoch left unsolved."""
    state, config = run.state, run.config
    hard = mine(run)
    run.directory.log_transfer(state.epoch, transfer_records(state.outcomes))
    state.finished = state.epoch + 1 >= config.run.epochs or run.out_of_tokens
    state.epoch += 1
    state.epoch_step = 0
    state.epoch_problems = 0
    if not state.finished:
        between_epochs(run, hard)


def go_on(run: Run) -> None:
    """Takes up a run that had ended, as if its last epoch had not been the last."""
    run.state.finished = False
    between_epochs(run, hard_problems(run.state.outcomes, run.config.mining))
    run.checkpoint()


def between_epochs(run: Run, hard: Mapping[str, HardKind]) -> None:
    """The prompt step, where there is one; what follows is another policy's in any case."""
    if run.guidance is not None:
        guide(run, hard)
        return
    run.state.version += 1
    run.state.assignment = {}


def mine(run: Run) -> dict[str, HardKind]:
    """Evaluates, and says which problems are hard by their latest rollouts."""
    hard = hard_problems(run.state.outcomes, run.config.mining)
    whole = run.epoch_is_done or not run.out_of_tokens
    measure(run, hard=hard if whole else None)  # an epoch that is cut short has not asked every problem
    return hard


def guide(run: Run, hard: Mapping[str, HardKind]) -> None:
    """Finds guidance for the hard problems, learns from the rollouts that took, and hands it out."""
    learn_from_evaluations(run, find_guidance(run, hard))
    hand_out(run, hard)


def find_guidance(run: BaseRun, hard: Mapping[str, HardKind]) -> Sequence[Group]:
    """The prompt step; the rollouts that may be learnt from."""
    state, config = run.state, run.config
    assert run.guidance is not None
    if config.assign.rehearsal:
        known = [
            *state.solved_under.values(),
            *(each for given in state.assignment.values() for each in given),
        ]
        state.solved_under |= solved_under(state.outcomes, str(state.version), known)
    state.version += 1
    # Whether or not anything is found, the policy is another one than that of the rollouts before.
    state.outcomes.begin(str(state.version))
    with run.timed("prompt_step"):
        found = run.guidance.find(state, hard)
    state.prompt_step_tokens += found.tokens
    state.history[-1]["prompt_step"] = found.summary
    run.log_guidance(found)
    return found.groups


def hand_out(run: BaseRun, hard: Mapping[str, HardKind]) -> None:
    """Assigns what guidance there is to the problems, the hard ones and those that are likely to be."""
    state = run.state
    assert run.guidance is not None
    seed = derive_seed(run.config.run.seed, "assign", state.version)
    guided = likely_hard((problem.id for problem in run.problems), state.outcomes, hard, seed)
    state.assignment = run.guidance.assign(state, guided, seed)
    state.guided_at = state.step
    state.finished = run.out_of_tokens


def learn_from_evaluations(run: Run, groups: Sequence[Group]) -> None:
    """A policy step on what the prompt step drew, by the very weights that it was drawn with."""
    state, config = run.state, run.config
    trained = [group for group in groups if teaches(group, config.loss, config.rollout.max_tokens)]
    if not trained:  # without a gradient an optimizer step would be momentum alone
        return
    run.collector.sampler.sleep()  # until the next weights are published
    with run.timed("update"):
        metrics = update(run, trained)
    state.step += 1
    state.epoch_step += 1
    record = {
        "step": state.step,
        "epoch": state.epoch,
        "num_tokens": state.generated_tokens,
        "guidance/groups": len(trained),
        "guidance/rollouts": sum(len(group.rollouts) for group in trained),
        **metrics,
    }
    run.log(record)


def measure(run: Run, hard: Mapping[str, str] | None) -> None:
    """Plain accuracy on the evaluation problems, into the history and the metrics; `hard` at an epoch's end."""
    state, config = run.state, run.config
    result = evaluated(run, PLAIN)
    record = {
        "epoch": state.epoch,
        "step": state.step,
        "generated_tokens": state.generated_tokens,
        "accuracy": result.accuracy,
        "by_family": result.by_family,
        "hard": None if hard is None else len(hard),
    }
    if hard is not None and not run.epoch_is_done:
        record["within"] = True  # the epoch: before a prompt step
    state.history.append(record)
    metrics = result.metrics()
    if config.evaluation.guided and run.guidance is not None:
        template = run.guidance.in_use(state)
        guided = result if template.id == PLAIN.id else evaluated(run, template)
        record["guided_accuracy"] = metrics["evaluation/guided_accuracy"] = guided.accuracy
    mined = {} if hard is None else {"hard/count": len(hard), "hard/frac": len(hard) / len(run.problems)}
    run.log({"step": state.step, **metrics, "num_tokens": state.generated_tokens, **mined})
    run.console.evaluated(record)


def evaluated(run: Run, template: Template) -> Evaluation:
    """The evaluation problems, rolled out under a template."""
    name = "plain prompts" if template.id == PLAIN.id else "guided"
    total = len(run.evaluation_problems) * run.config.evaluation.samples
    with run.timed("evaluation"), run.console.phase(f"evaluation ({name})", total) as progress:
        return evaluate(run.evaluation_problems, run.collector, run.config, progress, template)
