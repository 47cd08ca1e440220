"""What a run, an evaluation or a probe works with: problems, model, sampler, reward, loaded and checked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from p2o.config import Config
from p2o.data import fingerprint, load_data
from p2o.distributed import ONE_PROCESS, Processes, local_rank, local_size
from p2o.errors import ConfigError
from p2o.launch import model_facts
from p2o.model.checks import check_vocabulary
from p2o.model.fetch import resolve_source
from p2o.model.load import ROTATED_ANEW, load_model, longest_sequence
from p2o.policy.backends import backend_class, make_policy
from p2o.policy.policy import Policy
from p2o.policy.rehearsal import rehearse
from p2o.policy.rows import Score
from p2o.policy.weights import FrozenWeights
from p2o.rollout.collect import Collector, without_long
from p2o.rollout.encode import (
    PromptEncoder,
    end_ids,
    list_ends,
    pad_id,
    read_chat_template,
    say_how_turns_end,
)
from p2o.rollout.function_reward import FunctionReward
from p2o.rollout.probe import check_gap, default_max_gap, full_forward
from p2o.rollout.reward import RewardFunction, make_reward
from p2o.rollout.sampler import Sampler, SamplingParams, sampler_class
from p2o.track.run_directory import MAY_CHANGE, config_values, flatten
from p2o.types import Problem, Template


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with before anything is trained or written."""

    problems: list[Problem]
    evaluation_problems: list[Problem]
    model: Any
    tokenizer: Any
    encoder: PromptEncoder
    collector: Collector
    templates: tuple[Template, ...] = ()
    """Those of `evolve.templates`."""
    start: dict[str, str] = field(default_factory=dict)
    """Facts of the model before it is trained."""

    def make_policy(self, config: Config, processes: Processes) -> Policy:
        """The policy over `model`: what cannot be trained is refused here."""
        return make_policy(
            self.model,
            config.optimizer,
            config.loss,
            pad_id=pad_id(self.tokenizer),
            temperature=config.rollout.temperature,
            planned_steps=planned_optimizer_steps(config, len(self.problems)),
            correction=config.correction,
            processes=processes,
            trust_remote_code=config.model.trust_remote_code,
        )

    def rehearse(self, config: Config, processes: Processes) -> str | None:
        """Tries out in small, on rank 0, whether what is saved is what was trained; why not, where it was left out."""
        return processes.on_main(
            lambda: rehearse(
                self.model,
                self.tokenizer,
                config.optimizer.lora,
                pad_id=pad_id(self.tokenizer),
                trust_remote_code=config.model.trust_remote_code,
            )
        )


def load_parts(
    config: Config,
    processes: Processes = ONE_PROCESS,
    say: Callable[[str], None] = lambda line: None,
    *,
    evaluation: list[Problem] | None = None,
    trains: bool = True,
) -> Parts:
    """Data, model, sampler and reward; prompts are not checked yet.

    `say` takes lines about the data. With problems for `evaluation` nothing is read and there are none to train on.
    Where nothing `trains`, any number of processes goes with any backend.
    """
    sampler, backend = sampler_class(config.rollout.sampler), backend_class(config.optimizer, processes.size)
    sampler.check(config)
    if trains:
        backend.check(config.optimizer, config.model.dtype, processes.size)
    reward = make_reward(config.reward)
    check_ahead(config, sampler, reward)
    problems: list[Problem] = []
    if evaluation is not None:
        evaluation_problems = evaluation
    else:
        problems, evaluation_problems = load_data(
            config.data,
            verifier=config.reward.verifier_options(),
            needs_gold=config.reward.needs_gold,
            say=say,
        )
    if processes.size > 1:
        processes.require_same({"data": fingerprint([*problems, *evaluation_problems])})
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    torch.manual_seed(config.run.seed)
    with backend.loading(config.optimizer, config.model.dtype, processes):
        model, tokenizer = load_policy_model(config)
    if processes.size > 1:
        processes.require_same(model_facts(model, tokenizer))
    check_length(config, model)
    encoder = PromptEncoder(tokenizer, config.model.chat_template_kwargs, end_ids(model, tokenizer))
    added_end = list_ends(model, encoder)
    sampled = model
    if sampler.shares_weights and backend.partitions(config.optimizer):
        sampled = load_again(config, model)
    beside = processes.apart() if config.rollout.ahead else processes
    collector = Collector(
        sampler.make(config, sampled, tokenizer, beside),
        encoder,
        reward,
        max_prompt_tokens=config.rollout.max_prompt_tokens,
        processes=beside,
    )
    if config.rollout.long_problems == "skip":
        problems = without_long(problems, collector, "training")
        evaluation_problems = without_long(evaluation_problems, collector, "evaluation")
    if processes.is_main:
        prompt = encoder.encode(evaluation_problems[0].messages)
        say_how_turns_end(encoder, prompt, end_ids(model, tokenizer), added_end)
    return Parts(problems, evaluation_problems, model, tokenizer, encoder, collector)


def check_ahead(config: Config, sampler: type[Sampler], reward: RewardFunction) -> None:
    """Refuses to draw ahead with a sampler that has to wait for the trainer, or a reward that has to have its thread.

    Raises:
        ConfigError: naming what works.
    """
    if not config.rollout.ahead:
        return
    if isinstance(reward, FunctionReward) and not reward.function.is_async:
        raise ConfigError(
            f"rollout.ahead = 1 judges rollouts while the policy learns, and reward.timeout_s cannot end a call of "
            f"{config.reward.function!r} there: make it an async def, or set rollout.ahead = 0"
        )
    if not sampler.beside_training:
        raise ConfigError(
            f"rollout.ahead = 1, but the sampler {config.rollout.sampler!r} works on the trainer's device: "
            'set rollout.sampler = "vllm-server", or rollout.ahead = 0'
        )


def check_length(config: Config, model: Any) -> None:
    """Refuses sequences that are longer than what the model was made for.

    Raises:
        ConfigError: naming both lengths.
    """
    positions = longest_sequence(model)
    rollout = config.rollout
    if positions is not None and rollout.max_prompt_tokens + rollout.max_tokens > positions:
        kind = (getattr(model.config.get_text_config(), "rope_parameters", None) or {}).get("rope_type")
        beyond = (
            f", beyond which it rotates all of a batch in another way ({kind})"
            if kind in ROTATED_ANEW
            else ""
        )
        raise ConfigError(
            f"rollout.max_prompt_tokens = {rollout.max_prompt_tokens} and rollout.max_tokens = {rollout.max_tokens} "
            f"are more than the {positions} positions of {config.model.source}{beyond}: lower one of them"
        )


def planned_optimizer_steps(config: Config, problems: int) -> int:
    """Optimizer steps of the whole run, for the learning-rate schedule."""
    return steps_within(config, problems) * (config.run.schedule_epochs or config.run.epochs)


def steps_within(config: Config, problems: int) -> int:
    """Optimizer steps over the first so many problems of an epoch."""
    batch = config.run.batch_problems
    mini = config.run.mini_batch_problems or batch
    full, rest = divmod(problems, batch)
    return full * -(-batch // mini) + -(-rest // mini)


PROBES = 8
"""Prompts of the gap probe."""


def make_probe(
    config: Config, problems: Sequence[Problem], collector: Collector, score: Score, processes: Processes
) -> Callable[[], dict[str, float]]:
    """What compares sampler and trainer after a sync."""
    sampler = collector.sampler
    # The longest prompts: they fill blocks of the KV cache, where a stale prefix would show.
    ordered = sorted((collector.plain_ids(problem) for problem in problems), key=len)
    prompts = ordered[-PROBES:]
    if sampler.shares_weights:
        # A short one beside them is padded: half a prompt, where all are of one length.
        short, longest = ordered[0], len(ordered[-1])
        half = short if 2 * len(short) <= longest else short[-max(1, longest // 2) :]
        prompts = [half, *ordered[1 - PROBES :]]
    limit = config.correction.max_gap
    if limit is None:
        limit = default_max_gap(
            config.model.dtype, sampler.computes_in or sampler.dtype or config.model.dtype
        )
        if sampler.shares_weights and config.model.dtype != "float32":
            limit *= 2  # its weights cannot be stale: what is looked for is far above rounding
    params = SamplingParams.of(config.rollout)
    return lambda: check_gap(sampler, score, prompts, params, limit, processes)


def publish_loaded(config: Config, parts: Parts, problems: Sequence[Problem]) -> None:
    """Gives the sampler the model as it was loaded, and makes sure that it draws what the model says."""
    parts.collector.publish(FrozenWeights(parts.model))
    if parts.collector.sampler.shares_weights:
        own = partial(full_forward, parts.model, config.rollout.temperature)
        make_probe(config, problems, parts.collector, own, parts.collector.processes)()


def load_policy_model(config: Config) -> tuple[Any, Any]:
    """Model and tokenizer of `config.model`; `p2o-tiny` is the shipped one."""
    settings = config.model
    device = settings.device
    gpus = torch.cuda.device_count()
    if device == "auto":
        if 0 < gpus < local_size():
            raise ConfigError(
                f"{local_size()} processes of a node share {gpus} GPUs: start one for each GPU, or set model.device"
            )
        device = f"cuda:{local_rank()}" if torch.cuda.is_available() else "cpu"
    elif ":" in device and local_size() > 1 and gpus > 1:
        raise ConfigError(
            f"model.device = {device!r} is one device for all {local_size()} processes of a node: write auto, cpu or "
            "cuda"
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"model.device = {device!r} cannot be used: {reason}; write auto, cpu, cuda or cuda:1"
        ) from None
    if device.startswith("cuda:"):
        # CUDA graphs and Triton's kernels go to the current device, wherever the model is.
        torch.cuda.set_device(device)
    model, tokenizer = load_model(
        resolve_source(settings.source),
        dtype=settings.dtype,
        head_dtype=settings.head_dtype,
        device=device,
        trust_remote_code=settings.trust_remote_code,
    )
    check_vocabulary(model, tokenizer, settings.source)
    if settings.chat_template is not None:
        tokenizer.chat_template = read_chat_template(settings.chat_template)
    return model, tokenizer


def settings_behind(
    config: Config, reward: RewardFunction, names: tuple[str, ...], but: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What journaled completions depend on, by name: settings whose names begin with one of `names`, and none of `but`,
    and the code of a reward function of one's own."""
    values = flatten(config_values(config)).items()
    found = {k: v for k, v in values if k.startswith(names) and not k.startswith((*but, *MAY_CHANGE))}
    return found if reward.code is None else {**found, "code of reward.function": reward.code}


def load_again(config: Config, model: Any) -> Any:
    """The policy's model whole, beside `model`, whose weights are partitioned; with the same end tokens."""
    whole, _ = load_policy_model(config)
    whole.generation_config = copy.deepcopy(model.generation_config)
    return whole
