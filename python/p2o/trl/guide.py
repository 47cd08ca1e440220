"""The guide: what TRL's trainer calls, around the loop of a run of p2o's own."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from transformers import TrainerCallback

from p2o.assembly import check_surroundings, frozen_score, given_templates
from p2o.batches import roll_out, templates_of
from p2o.config import Config, Overrides, apply_overrides, build_config, by_name
from p2o.data import JsonlData, content_key, fingerprint, read_problems
from p2o.distributed import Processes, join_processes
from p2o.errors import CheckpointError, ConfigError, DataError
from p2o.files import read_json, write_text
from p2o.guidance.guidance import GuidanceParts, check_solutions, guidance_class
from p2o.loop import find_guidance, hand_out
from p2o.outcomes import Outcomes, hard_problems
from p2o.outcomes.outcomes import is_success
from p2o.outcomes.transfer import transfer_records
from p2o.policy.advantages import group_advantages
from p2o.policy.rows import score_rows
from p2o.reflection import Surroundings, check_prompts_fit, make_reflection
from p2o.rollout.collect import Collector, RolloutRequest
from p2o.rollout.encode import PromptEncoder, pad_id
from p2o.rollout.hf import HfSampler
from p2o.rollout.reward import make_reward
from p2o.rollout.rollouts import in_groups
from p2o.rollout.sampler import SamplingParams
from p2o.run import BaseRun
from p2o.seeds import derive_seed
from p2o.state import LoopState
from p2o.templates import PLAIN
from p2o.track.console import Console
from p2o.track.run_directory import FollowedRunDirectory, RunDirectory
from p2o.trl.engine import TrainersEngine
from p2o.trl.limits import learns_from_all, refuse_owned, refuse_part, refuse_trainer, refuse_weights
from p2o.trl.model import evaluating, frozen_copy, own_model
from p2o.types import Group, Problem, Rollout

LOGGER = logging.getLogger(__name__)

STATE = "p2o.json"
"""The guide's file in each of the trainer's checkpoints."""


class Guide(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """P²O's part of a run of `GRPOTrainer`: its `rollout`, `reward` and callback.

    Args:
        dataset: the trainer's `train_dataset`, with conversational prompts and a column with the gold answers.
        settings: of the sections `data`, `reward`, `mining`, `evolve`, `reflection`, `assign`, `guidance`, `context`
            and `rollout` (`max_prompt_tokens`, `batch_size`, `decoding`), as of any run of p2o's.
        eval_dataset: the trainer's `eval_dataset`, if it has one.

    Raises:
        ConfigError: if a setting is wrong, or is one of TRL's.
        DataError: if the dataset has no such prompts or golds.
    """

    def __init__(
        self,
        dataset: Iterable[Mapping[str, Any]],
        settings: Overrides = (),
        *,
        eval_dataset: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.settings = by_name(settings)
        refuse_owned(self.settings)
        config = self._configured({})
        refuse_weights(config.context)
        check_surroundings(config)
        self.problems = problems_of(dataset, config, "train_dataset")
        evaluation = problems_of(eval_dataset, config, "eval_dataset") if eval_dataset else []
        self._by_prompt = {content_key(each.messages): each for each in (*evaluation, *self.problems)}
        self._checkpoint: Path | None = None
        self.model: Any = None
        """The trainer's, once it has asked for completions; so are the next two."""
        self.end = 0
        """A token that ends a completion."""
        self.run: BaseRun | None = None
        """What p2o's loop works with."""
        self.masked = 0.0
        """Share of the tokens drawn under templates that the last step left out."""

    def rollout(self, prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
        """For `rollout_func`: completions of the prompts, which come `num_generations` times each, one after the other.

        Returns:
            By prompt: `prompt_ids` of the plain prompt, `completion_ids`, `logprobs` (nats; of a completion under a
            template those that the model gives it on the plain prompt), `env_mask` (0 where the context bounds leave a
            token out), and for reward functions `p2o_reward` (None where there is none) and `p2o_template`.

        Raises:
            DataError: if a prompt is not in the datasets.
        """
        run = self.run = self.run or self._begin(trainer)
        training = trainer.model.training
        n = trainer.num_generations if training else trainer.num_generations_eval
        parts = run.processes.gather(list(prompts))  # a group may be spread over processes
        problems = [self._problem(prompt) for part in parts for prompt in part]
        if any(problem is not problems[i - i % n] for i, problem in enumerate(problems)):
            raise ConfigError(f"prompts come to p2o.trl in groups of {n}, and these do not")
        with evaluating(self.model):
            if training:
                groups, tokens = roll_out(run, problems[::n], run.state.step)
                run.state.training_tokens += tokens
            else:
                groups = _evaluated(run, problems[::n], n)
            rows = self._as_trl_takes_them(run, groups, n, every=learns_from_all(trainer))
        if training:
            for group in groups:
                run.state.outcomes.observe(group, str(run.state.version))
                if run.guidance is not None and run.guidance.quotes:
                    run.state.solutions.observe(group, run.config.mining.success)
            run.state.step += 1
            run.state.epoch_step += 1
        start = sum(map(len, parts[: run.processes.rank]))
        return {name: values[start : start + len(prompts)] for name, values in rows.items()}

    def reward(self, prompts: Any = None, completions: Any = None, **columns: Any) -> list[float | None]:
        """For `reward_funcs`: the rewards by which p2o tells hard problems, given with each completion.

        None where nobody knows one, or a template did not fit and nothing was drawn: such a completion has no part in
        the update.

        Raises:
            ConfigError: if the completions are not the guide's.
        """
        if "p2o_reward" not in columns:
            raise ConfigError(
                "the trainer has the guide's reward without its completions: give rollout_func=guide.rollout"
            )
        rewards: list[float | None] = columns["p2o_reward"]
        if (log_metric := columns.get("log_metric")) is not None and self.run is not None:
            templated = [text != "" for text in columns["p2o_template"]]
            log_metric("p2o/templated", sum(templated) / len(templated))
            log_metric("p2o/masked", self.masked)
            log_metric("p2o/hard", float(len(self.run.state.assignment)))
            log_metric("p2o/generated_tokens", float(self.run.state.generated_tokens))
        return rewards

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Notes the checkpoint that the trainer resumes from."""
        if state.global_step > 0:
            self._checkpoint = _checkpoint(args, state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The prompt step, unless the run is over."""
        run = self.run
        if run is None:
            return
        hard = hard_problems(run.state.outcomes, run.config.mining)
        run.directory.log_transfer(run.state.epoch, transfer_records(run.state.outcomes))
        run.state.epoch += 1
        run.state.epoch_step = 0
        run.state.history.append({"epoch": run.state.epoch, "step": run.state.step, "hard": len(hard)})
        if state.global_step < state.max_steps:
            with evaluating(self.model):
                find_guidance(run, hard)  # whose rollouts TRL's policy does not learn from
                hand_out(run, hard)
            LOGGER.info("prompt step: %s", run.state.history[-1]["prompt_step"]["reason"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Puts ledger and templates beside the trainer's checkpoint."""
        if self.run is not None and self.run.processes.is_main:
            write_text(_checkpoint(args, state) / STATE, json.dumps(self.run.state.to_dict()))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Lets another process take the directory up."""
        if self.run is not None:
            self.run.directory.unlock()

    def _problem(self, prompt: Any) -> Problem:
        try:
            return self._by_prompt[content_key(prompt)]
        except (KeyError, TypeError):
            raise DataError(
                f"the prompt {str(prompt)[:60]!r} is not in the datasets that p2o.trl.Guide was given"
            ) from None

    def _configured(self, of_trl: Mapping[str, Any]) -> Config:
        """The settings of the run: those given, and those that follow from TRL's."""
        values: dict[str, Any] = {
            "model": {"source": "(TRL's)"},
            "data": {"kind": "jsonl", "train": "(TRL's)", "problem_key": "prompt"},
        }
        apply_overrides(values, {**self.settings, "guidance.train_on_evaluations": False, **of_trl})
        return build_config(values)

    def _begin(self, trainer: Any) -> BaseRun:
        """What p2o's loop works with, over the trainer's model.

        Raises:
            ConfigError: if the trainer does something that is not carried over.
            CheckpointError: if it resumes from a checkpoint without the guide's file.
        """
        args = trainer.args
        refuse_trainer(trainer)
        refuse_part(trainer, self)
        config = self._configured(
            {
                "run.output": Path(args.output_dir) / "p2o",
                "run.seed": args.seed,
                "run.epochs": max(1, math.ceil(args.num_train_epochs)),
                "rollout.n": trainer.num_generations,
                "rollout.temperature": float(args.temperature),
                "rollout.top_p": float(args.top_p),
                "rollout.top_k": args.top_k or 0,
                "rollout.max_tokens": trainer.max_completion_length,
                "model.chat_template_kwargs": dict(args.chat_template_kwargs or {}),
            }
        )
        model, tokenizer = own_model(trainer), trainer.processing_class
        ends = list(trainer.eos_token_ids)
        self.model, self.end = model, ends[0]
        encoder = PromptEncoder(tokenizer, config.model.chat_template_kwargs, ends)
        size, decoding = config.rollout.batch_size, config.rollout.decoding
        hf = HfSampler(model, end_ids=ends, pad_id=pad_id(tokenizer), batch_size=size, decoding=decoding)
        sampler = TrainersEngine(trainer, ends, hf.at_once) if trainer.use_vllm else hf
        limit = config.rollout.max_prompt_tokens
        processes, reward = join_processes(), make_reward(config.reward)
        collector = Collector(sampler, encoder, reward, max_prompt_tokens=limit, processes=processes)
        for problem in self.problems:
            collector.plain_ids(problem)  # refuses one that is too long
        templates = given_templates(config)
        collector.check_templates(templates, self.problems, f"evolve.templates = {config.evolve.templates!r}")
        check_solutions(config, self.problems)
        check_prompts_fit(config, encoder, hf.max_model_len)
        start = frozen_copy(model) if config.needs_start_weights else None
        reflect = make_reflection(config, Surroundings(hf, encoder, None, start, tokenizer, processes))
        state, directory = self._opened(config, processes)
        console = Console.silent()
        guidance = guidance_class(config.guidance.kind)(
            GuidanceParts(config, self.problems, collector, reflect, directory, console, templates)
        )
        return BaseRun(
            config=config,
            problems=self.problems,
            collector=collector,
            guidance=guidance,
            tokenizer=tokenizer,
            directory=directory,
            console=console,
            state=state,
            processes=processes,
        )

    def _opened(self, config: Config, processes: Processes) -> tuple[LoopState, RunDirectory]:
        """Where the run is, and its directory: a new one, or those of the checkpoint that the trainer resumes from."""
        path, facts = cast("Path", config.run.output), {"data": fingerprint(self.problems)}
        state, checkpoint = LoopState(Outcomes(config.mining.success)), self._checkpoint
        open_it = RunDirectory.create if checkpoint is None else RunDirectory.resume
        directory = processes.on_main(lambda: open_it(path, config, facts))
        if checkpoint is not None:
            if not (checkpoint / STATE).exists():
                raise CheckpointError(
                    f"{checkpoint} has no {STATE}: p2o.trl.Guide was not among the callbacks then"
                )
            state = LoopState.from_dict(read_json(checkpoint / STATE, CheckpointError, "start again"))
            processes.on_main(lambda: directory.rewind(state))
        return state, directory if processes.is_main else FollowedRunDirectory(path)

    def _as_trl_takes_them(
        self, run: BaseRun, groups: Sequence[Group], n: int, *, every: bool
    ) -> dict[str, list[Any]]:
        """What `rollout` returns; `every` as of `_within_bounds`."""
        bounded = self._within_bounds(run, groups, every=every)
        rows: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        for group in groups:
            drawn = {rollout.index: rollout for rollout in group.drawn}
            templates = templates_of(run, group.problem)
            for index in range(n):
                row: tuple[Any, ...]
                if (rollout := drawn.get(index)) is None:
                    # Nothing that has a part in the update; TRL wants a token all the same.
                    row = ([self.end], [0.0], [0], None, "")
                else:
                    logprobs, mask = bounded.get(
                        id(rollout), (rollout.sampler_logprobs, [1] * len(rollout.response_ids))
                    )
                    text = "" if rollout.template_id == PLAIN.id else templates[index].text
                    row = (list(rollout.response_ids), list(logprobs), mask, rollout.reward, text)
                for name, value in zip(
                    COLUMNS, (list(run.collector.plain_ids(group.problem)), *row), strict=True
                ):
                    rows[name].append(value)
        return rows

    def _within_bounds(
        self, run: BaseRun, groups: Sequence[Group], *, every: bool
    ) -> dict[int, tuple[list[float], list[int]]]:
        """Of rollouts under templates, by identity: log-probs on the plain prompt, and which tokens count there.

        Without `every` only of those with an advantage: the others have no gradient, whatever their tokens.
        """
        config = run.config
        self.masked = 0.0
        found: dict[int, tuple[list[float], list[int]]] = {}
        distilled: list[Rollout] = []
        prompts: list[Sequence[int]] = []
        advantages: list[float] = []
        for group in groups:
            rewards = [rollout.reward for rollout in group.drawn]
            signs = group_advantages(rewards, "dr_grpo").tolist() if rewards else []
            for rollout, advantage in zip(group.drawn, signs, strict=True):
                if rollout.template_id != PLAIN.id and (every or advantage != 0):
                    distilled.append(rollout)
                    prompts.append(run.collector.plain_ids(group.problem))
                    advantages.append(advantage)
        if not distilled:
            return {}
        streams, ratio, by_template, _ = score_rows(
            distilled,
            prompts,
            advantages,
            frozen_score(self.model, run.tokenizer, config, run.processes),
            config.context,
            config.correction,
            fresh=False,
        )
        run.state.outcomes.observe_context(str(run.state.version), by_template)
        self.masked = ratio.masked / max(1, ratio.tokens)
        rows = zip(distilled, streams["old_logp"], streams["context_weight"], strict=True)
        for rollout, logp, weight in rows:
            kept = config.context.failures == "keep" or is_success(rollout.reward, config.mining.success)
            found[id(rollout)] = (logp.tolist(), [int(each) * kept for each in weight.tolist()])
        return found


COLUMNS = ("prompt_ids", "completion_ids", "logprobs", "env_mask", "p2o_reward", "p2o_template")
"""What TRL is given of each completion."""


def problems_of(dataset: Iterable[Mapping[str, Any]], config: Config, name: str) -> list[Problem]:
    """The problems of a dataset of TRL's.

    Raises:
        DataError: if a prompt is no list of messages, a gold is missing, or a row is left out: TRL would not.
    """
    rows = [dict(row) for row in dataset]
    for number, row in enumerate(rows):
        if not isinstance(row.get("prompt"), list):
            raise DataError(
                f"{name}, row {number}: the prompt must be a list of messages (TRL's conversational format)"
            )
    records = ((f"{name}, row {number}", row) for number, row in enumerate(rows))
    options, needed = config.reward.verifier_options(), config.reward.needs_gold
    problems = read_problems(
        records, cast("JsonlData", config.data), name, verifier=options, needs_gold=needed
    ).problems
    known = {content_key(problem.messages) for problem in problems}
    for number, row in enumerate(rows):
        if content_key(row["prompt"]) not in known:
            raise DataError(
                f"{name}, row {number} is left out by data.on_bad_gold or data.on_conflict, and TRL would train on it: "
                "take it out of the dataset"
            )
    return problems


def _checkpoint(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _evaluated(run: BaseRun, problems: Sequence[Problem], n: int) -> list[Group]:
    """`n` completions of each problem on the plain prompt, by the same draws at every evaluation."""
    seed = partial(derive_seed, run.config.run.seed, "evaluation")
    requests = [
        RolloutRequest(each, PLAIN, index, seed(each.id, index)) for each in problems for index in range(n)
    ]
    rollouts = run.collector.collect(requests, SamplingParams.of(run.config.rollout))
    return in_groups(problems, rollouts, n)
