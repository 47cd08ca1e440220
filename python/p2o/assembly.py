"""From a configuration to a run that is ready to train: data, model, sampler, policy, reflection, run directory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from p2o.arguments import code_at
from p2o.checkpoint import latest_checkpoint, load_checkpoint
from p2o.config import Config
from p2o.data import fingerprint
from p2o.distributed import ONE_PROCESS, Processes
from p2o.evolution.propose import check_proposer
from p2o.guidance.guidance import GuidanceParts, check_solutions, guidance_class
from p2o.launch import start_facts
from p2o.outcomes.outcomes import Outcomes
from p2o.parts import Parts, load_again, load_parts, make_probe
from p2o.plugins import look_up
from p2o.policy.backends import backend_class
from p2o.policy.context import CONTEXT_WEIGHTS
from p2o.policy.layout import score_sequences
from p2o.policy.rows import Score
from p2o.reflection import Surroundings, by_endpoint, check_prompts_fit, make_reflection
from p2o.rollout.encode import pad_id, read_chat_template
from p2o.rollout.sampler import sampler_class
from p2o.run import Run
from p2o.state import LoopState
from p2o.template_files import read_templates
from p2o.track.console import Console
from p2o.track.run_directory import FollowedRunDirectory, RunDirectory, require_free, require_resumable
from p2o.track.tracker import check_trackers, open_trackers
from p2o.types import Template


def assemble(
    config: Config, processes: Processes = ONE_PROCESS, say: Callable[[str], None] = lambda line: None
) -> Parts:
    """Loads and checks everything a training run needs; writes nothing. `say` takes lines about the data.

    Raises:
        P2oError: one line about the data, the model, the settings or a package that is missing.
    """
    processes.on_main(lambda: check_trackers(config))
    check_surroundings(config)
    templates = given_templates(config)
    parts = load_parts(config, processes, say)
    parts = replace(parts, templates=templates, start=start_facts(parts.model, parts.tokenizer))
    for problem in (*parts.problems, *parts.evaluation_problems):
        parts.collector.plain_ids(problem)  # refuses a problem that is too long
    check_solutions(config, parts.problems)
    parts.collector.check_templates(
        templates, parts.problems, f"evolve.templates = {config.evolve.templates!r}"
    )
    check_prompts_fit(config, parts.encoder, parts.collector.sampler.max_model_len)
    return parts


def given_templates(config: Config) -> tuple[Template, ...]:
    """The templates of `evolve.templates`; none without a prompt step.

    Raises:
        ConfigError: if the file cannot be used.
    """
    if config.run.method != "p2o" or config.evolve.templates is None:
        return ()
    return read_templates(config.evolve.templates, "evolve.templates")


def check_surroundings(config: Config) -> None:
    """Checks what is needed beside data and model, and what a run would otherwise miss only after its first epoch.

    Raises:
        ConfigError: if a context mode, a proposer, a reflection prompt or an API key is missing.
    """
    look_up(CONTEXT_WEIGHTS, config.context.mode, "context.mode")
    if not config.asks_reflection:
        return
    check_proposer(config.evolve, config.reflection)
    if config.reflection.kind == "openai":
        by_endpoint(config)  # refuses a key that is missing


def prepare(
    config: Config,
    path: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    processes: Processes = ONE_PROCESS,
) -> Run:
    """Loads and checks everything, then creates (or takes up) the run directory at `path`.

    All ranks of `processes` call it; `path` must be on a file system that they share.

    Raises:
        P2oError: one line about the data, the model, the settings or the directory; nothing is written before
            all of `assemble` has passed.
    """
    console = console if console is not None else Console()
    # Before minutes of loading; `open_directory` looks again.
    processes.on_main(lambda: require_resumable(path, config) if resume else require_free(path))
    parts = assemble(config, processes, console.note)
    problems, evaluation_problems = parts.problems, parts.evaluation_problems
    model, tokenizer, collector = parts.model, parts.tokenizer, parts.collector
    if (left_out := parts.rehearse(config, processes)) is not None:
        console.note(f"saving and loading were not tried out: {left_out}")
    start_weights = frozen_start_weights(config, model, processes) if config.needs_start_weights else None
    policy = parts.make_policy(config, processes)
    directory = open_directory(config, path, parts, resume=resume, processes=processes)
    state = LoopState(Outcomes(config.mining.success))
    ahead = None
    if resume:
        newest = processes.on_main(lambda: latest_checkpoint(directory.checkpoints))
        if newest is not None:
            values = load_checkpoint(newest, policy, processes)
            ahead = values.pop("ahead", None)
            state = LoopState.from_dict(values)
        processes.on_main(lambda: directory.rewind(state))
        console.note(f"resuming {path} at step {state.step}")
    probe = make_probe(config, evaluation_problems, collector, policy.score, processes)
    collector.publish(policy, state.step)
    probe()
    guidance = None
    if config.run.method == "p2o":
        surroundings = Surroundings(
            collector.sampler, parts.encoder, policy, start_weights, tokenizer, processes
        )
        reflect = make_reflection(config, surroundings)
        make = guidance_class(config.guidance.kind)
        guidance = make(
            GuidanceParts(config, problems, collector, reflect, directory, console, parts.templates)
        )
    trackers = (
        open_trackers(config, directory.path, resumed_at=state.step if resume else None)
        if processes.is_main
        else []
    )
    run = Run(
        config=config,
        problems=problems,
        evaluation_problems=evaluation_problems,
        collector=collector,
        policy=policy,
        reference=frozen_score(start_weights, tokenizer, config, processes)
        if config.loss.kl_coef > 0
        else None,
        guidance=guidance,
        tokenizer=tokenizer,
        directory=directory,
        console=console,
        state=state,
        trackers=trackers,
        processes=processes,
        # Where sampler and trainer are one model there is nothing that could become stale.
        probe=dict if collector.sampler.shares_weights and policy.shares_model else probe,
    )
    run.batches.restore(ahead)
    return run


def frozen_start_weights(config: Config, model: Any, processes: Processes) -> Any:
    """A copy of the start weights, whole on every rank; in the host's memory where only an engine is to have them."""
    if backend_class(config.optimizer, processes.size).partitions(config.optimizer):
        whole = load_again(config, model)
    else:
        whole = copy.deepcopy(model)
    runs_here = sampler_class(config.rollout.sampler).shares_weights or config.loss.kl_coef > 0
    return whole if runs_here else whole.cpu()


def open_directory(
    config: Config, path: Path, parts: Parts, *, resume: bool, processes: Processes
) -> RunDirectory:
    """The run directory, created or taken up by rank 0."""
    facts: dict[str, Any] = {"data": fingerprint([*parts.problems, *parts.evaluation_problems])}
    if parts.templates:
        facts["evolve.templates"] = [template.text for template in parts.templates]
    if config.model.chat_template is not None:
        facts["chat template"] = read_chat_template(config.model.chat_template)
    if parts.collector.reward.code is not None:
        facts["the code of reward.function"] = parts.collector.reward.code
    for setting, part in config.own_parts().items():
        facts[f"the code of {setting}"] = code_at(part)
    facts |= parts.start
    processes.require_same(facts)
    if not resume:
        processes.require_shared(path.parent)
    open_it = RunDirectory.resume if resume else RunDirectory.create
    directory = processes.on_main(lambda: open_it(path, config, facts))
    if resume:
        processes.require_shared(path)
    return directory if processes.is_main else FollowedRunDirectory(path)


def frozen_score(model: Any, tokenizer: Any, config: Config, processes: Processes) -> Score:
    """Scores responses under a model that is whole on every rank, each of which does a share."""
    score = partial(
        score_sequences,
        model,
        pad_id=pad_id(tokenizer),
        temperature=config.rollout.temperature,
        micro_batch_tokens=config.optimizer.micro_batch_tokens,
    )
    return lambda sequences: processes.map(score, sequences)
