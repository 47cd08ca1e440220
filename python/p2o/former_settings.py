"""What settings were called before, and what became of those that are gone.

A recipe with a former name is refused with the present one. The results of a study stay valid by meaning: what a run
computes is hashed under the names and values of the time when the first results were recorded (`in_former_terms`), so
that a renamed setting makes no run another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple


class Gone(NamedTuple):
    """A setting that is gone: the value that every run has had since, and what to do instead."""

    value: Any
    instead: str


class Reworded(NamedTuple):
    """Values that say the same: those of former settings, and those of today's."""

    former: Mapping[str, Any]
    present: Mapping[str, Any]


RENAMED: dict[str, str] = {
    "data.train_split": "data.splits[0]",
    "data.evaluation_split": "data.splits[1]",
    "loss.clip_low": "loss.clip[0]",
    "loss.clip_high": "loss.clip[1]",
    "correction.cap": "correction.bounds[1]",
    "correction.sequence_low": "correction.bounds[0]",
    "correction.sequence_high": "correction.bounds[1]",
    "reflection.price_per_million_input": "reflection.prices[0]",
    "reflection.price_per_million_output": "reflection.prices[1]",
    "rollout.vllm.timeout": "rollout.vllm.timeout_s",
}
"""Former name -> present name, in full (`section.name`). `name[i]` is entry i of a list that holds what were several
settings."""

_ENDPOINT = "model base_url api_key_env concurrency timeout_s extra_body"
RENAMED |= {f"reflection.{name}": f"reflection.endpoint.{name}" for name in _ENDPOINT.split()}

UNSET: dict[str, Any] = {
    "correction.cap": 2.0,
    "correction.sequence_low": 0.95,
    "correction.sequence_high": 1.05,
    "reflection.model": "",
    "reflection.api_key_env": "OPENAI_API_KEY",
    "reflection.concurrency": 16,
    "reflection.timeout_s": 120.0,
}
"""Former name -> the value that it had in every run, of settings that today may be unset, or their section."""

UNSET_OF_RECORDS = {"data.problem_key": "problem", "data.answer_key": "answer", "data.answer_is": "answer"}
"""As `UNSET`, where problems are records of a file or a dataset."""

SPLIT: dict[str, Callable[[Any, Mapping[str, Any]], dict[str, Any]]] = {
    "correction.bounds": lambda bounds, settings: (
        {"correction.cap": bounds[1]}
        if settings["correction.mode"] == "token"
        else {"correction.sequence_low": bounds[0], "correction.sequence_high": bounds[1]}
    ),
    "loss.advantage": lambda advantage, _: (
        {"loss.std_normalize": advantage == "grpo"}
        if advantage in ("grpo", "dr_grpo")
        else {"loss.advantage": advantage}
    ),
}
"""Present name -> (value, all settings) -> the former settings that it holds, where more than a place tells them
apart."""

_RACE = "the race's numbers are constants (docs/acceptance.md); leave it out"
_ASKED = "a field that the server does not know is left out or renamed by itself; leave it out"

GONE: dict[str, Gone] = {
    "optimizer.beta1": Gone(0.9, "it is 0.9; leave it out"),
    "optimizer.beta2": Gone(0.999, "it is 0.999; leave it out"),
    "optimizer.lora.alpha": Gone(None, "alpha is twice optimizer.lora.rank; leave it out"),
    "loss.refill_limit": Gone(4.0, "a step rolls out at most 4 times run.batch_problems; leave it out"),
    "loss.overlong_penalty": Gone(1.0, "it is 1; loss.overlong_buffer sets where it begins"),
    "mining.recheck": Gone(False, "hard problems are those of the epoch's rollouts; leave it out"),
    "mining.hardness": Gone("group", "samples are judged by all rollouts of their group"),
    "assign.graduate": Gone(None, "it changed nothing (docs/study.md); leave it out"),
    "assign.discount": Gone(0.5, "it is a constant, p2o.outcomes.assign.DISCOUNT; leave it out"),
    "assign.prior_strength": Gone(2.0, "it is a constant, p2o.outcomes.assign.PRIOR_STRENGTH; leave it out"),
    "evolve.frontier": Gone("instance", "the front is that of the dev problems; leave it out"),
    "evolve.prior": Gone([0.5, 0.5], "the prior of the scores is always Beta(0.5, 0.5); leave it out"),
    "evolve.proposals": Gone(1, "a round makes as many as evolve.parents; leave it out"),
    "evolve.cover_threshold": Gone(0.5, "it is 0.5; leave it out"),
    "evolve.max_rounds": Gone(None, "limit the step with evolve.budget; p2o evolve takes --max-rounds"),
    "evolve.time_limit_s": Gone(None, "limit the step with evolve.budget; p2o evolve takes --time-limit"),
    "evolve.cover_min_gain": Gone(
        1, "a training template solves a dev problem that the others do not; leave it out"
    ),
    "evolve.cover_max_size": Gone(None, 'for one template write evolve.cover = "best"; leave it out'),
    "evolve.crossover": Gone(0.0, 'write evolve.proposer = "reflection+crossover": half of the tasks'),
    "evolve.confidence": Gone(0.99, _RACE),
    "evolve.race_stages": Gone([0.1, 0.25, 0.5], _RACE),
    "evolve.race_thresholds": Gone([0.5, 0.7, 0.9], _RACE),
    "evolve.replicates": Gone(2, _RACE),
    "evolve.race": Gone(None, _RACE),
    "evolve.target_score": Gone(None, "limit the step with evolve.budget or evolve.patience"),
    "evolve.stop_file": Gone(None, "interrupt the step (Ctrl-C): it ends with the best so far"),
    "evolve.max_rollout_tokens": Gone(None, "limit the step with evolve.budget"),
    "evolve.tokens_per_rollout": Gone(None, "limit the step with evolve.budget"),
    "reflection.policy": Gone(
        "reference", 'for the policy as trained so far write reflection.kind = "current"'
    ),
    "reflection.weights": Gone(None, 'for the policy as trained so far write reflection.kind = "current"'),
    "reflection.send_seed": Gone(True, _ASKED),
    "reflection.max_tokens_field": Gone("max_tokens", _ASKED),
    "reflection.endpoint.send_seed": Gone(None, _ASKED),
    "reflection.endpoint.max_tokens_field": Gone(None, _ASKED),
    "reflection.crossover_prompt": Gone(
        "crossover", "a proposer of your own (evolve.proposer) asks as it likes"
    ),
    "reflection.max_copied_words": Gone(12, "it is 12; leave it out"),
    "reflection.retries": Gone(4, "it is 4; leave it out"),
    "reflection.backoff_s": Gone(1.0, "a server's retry-after, or 1 s and more; leave it out"),
    "reflection.max_calls": Gone(None, "limit the step with evolve.budget or reflection.max_cost"),
    "reflection.max_total_tokens": Gone(None, "limit the step with evolve.budget or reflection.max_cost"),
    "reflection.cost_per_call": Gone(0.0, "reflection.max_cost is checked between rounds; leave it out"),
    "rollout.vllm.mode": Gone("colocate", 'for a server write rollout.sampler = "vllm-server"'),
    "rollout.vllm.max_num_seqs": Gone(256, "write rollout.batch_size"),
    "rollout.vllm.kv_cache_gib": Gone(None, "write rollout.vllm.gpu_memory_utilization (docs/engines.md)"),
    "rollout.vllm.enforce_eager": Gone(None, "vLLM compiles and records CUDA graphs on a GPU"),
    "rollout.vllm.sleep": Gone(True, "an engine on a GPU gives its memory to the trainer between rollouts"),
    "rollout.vllm.transfer_folder": Gone("/dev/shm", 'write rollout.vllm.transfer = "shared-memory:/FOLDER"'),
    "rollout.vllm.transfer_address": Gone("127.0.0.1", 'write rollout.vllm.transfer = "nccl:ADDRESS:PORT"'),
    "rollout.vllm.transfer_port": Gone(29600, 'write rollout.vllm.transfer = "nccl:ADDRESS:PORT"'),
    "loss.std_normalize": Gone(None, 'write loss.advantage: "grpo" for true, "dr_grpo" for false'),
    "track.tensorboard": Gone(None, 'write track.to = ["tensorboard"]'),
    "track.wandb": Gone(None, 'write track.to = ["wandb"], and the project as track.project'),
    "context.prompt": Gone(None, 'write context.distillation: "rollouts" for plain, "none" for sampled'),
    "context.renormalize": Gone(False, "masked tokens always stay in the loss's denominator"),
}
"""Former name -> what became of it."""

REWORDED: tuple[Reworded, ...] = (
    Reworded({"rollout.sampler": "vllm", "rollout.vllm.mode": "server"}, {"rollout.sampler": "vllm-server"}),
    Reworded({"context.mode": "no-distill"}, {"context.distillation": "none"}),
    Reworded({"loss.name": "bnpo"}, {"loss.name": "dapo"}),
    Reworded({"reflection.kind": "self", "reflection.policy": "current"}, {"reflection.kind": "current"}),
)
"""What was said by other values. Where one setting had two values for the same, the present one is the one hashed."""

ADDED: dict[str, Any] = {
    "guidance.train_on_evaluations": False,
    "guidance.spend": "fixed",
    "evolve.examples": 2,
    "loss.dual_clip": math.inf,
    "context.failures": "keep",
    "assign.per_group": False,
    "rollout.decoding": "auto",
    "evolve.proposer": "reflection",
    "context.distillation": "rollouts",
    "context.reverse_kl.weight": 1.0,
    "context.reverse_kl.clip": 2.0,
    "context.reverse_kl.reward_weight": 1.0,
    "reward.timeout_s": 120.0,
    "reward.max_failures": 0,
    "reward.concurrency": 64,
    "rollout.long_problems": "refuse",
    "assign.rehearsal": 0,
    "guidance.kind": "evolve",
    "guidance.prefix_shares": [0.5, 0.25],
    "evaluation.guided": False,
    "data.on_conflict": "refuse",
    "correction.old_logprobs": "trainer",
    "evolve.rounds_at_once": 1,
    "evolve.feedback_size": "all",
    "rollout.ahead": 0,
    "rollout.vllm.lora": "merged",
}
"""Settings of later versions -> the value at which a run is what it was without them."""

ERAS: tuple[frozenset[str], ...] = (frozenset(), frozenset({"rollout.decoding"}))
"""Which of `ADDED` there were when results were recorded. New results are recorded as in the first."""


def advice(name: str) -> str | None:
    """What to write in place of a former setting; None if there never was one of that name."""
    if name in RENAMED:
        return f"setting {name} is now {RENAMED[name]}"
    return f"setting {name} is gone: {GONE[name].instead}" if name in GONE else None


def advice_on_value(name: str, value: Any) -> str | None:
    """What to write in place of a value that a setting no longer has; None if it never had it."""
    for present in (words.present for words in REWORDED if words.former == {name: value}):
        return f"setting {name} = {value!r} is now " + " and ".join(
            f"{k} = {v!r}" for k, v in present.items()
        )
    return None


def in_former_terms(settings: Mapping[str, Any], era: Collection[str] = ERAS[0]) -> dict[str, Any]:
    """Settings by dotted name, unset ones left out, as they would have been written down in an era."""
    present = {present: former for former, present in RENAMED.items()}
    said = {name: gone.value for name, gone in GONE.items() if gone.value is not None}
    unknown = {name: value for name, value in ADDED.items() if name not in era}
    kept = {name: value for name, value in settings.items() if name not in unknown or unknown[name] != value}
    for name in SPLIT.keys() & kept.keys():
        said |= SPLIT[name](kept.pop(name), settings)
    for name in [name for name in kept if f"{name}[0]" in present]:
        kept |= {f"{name}[{place}]": entry for place, entry in enumerate(kept.pop(name))}
    for words in REWORDED:
        if words.present.items() <= kept.items() and words.present.keys() != words.former.keys():
            kept = {name: value for name, value in kept.items() if name not in words.present}
            said |= words.former
    unset = UNSET if settings.get("data.kind") == "tiny" else UNSET | UNSET_OF_RECORDS
    return unset | {present.get(name, name): value for name, value in kept.items()} | said
