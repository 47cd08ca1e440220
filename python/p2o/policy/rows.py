"""From verified groups to what an optimizer step needs: rows with advantages, old log-probs and the ratios' weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from p2o.errors import InputError
from p2o.outcomes.outcomes import is_success
from p2o.packing import Rows
from p2o.policy.advantages import group_advantages, has_signal, overlong_penalties
from p2o.policy.config import CorrectionConfig, LossConfig, LossName
from p2o.policy.context import ContextConfig, context_statistics, context_weight
from p2o.policy.distillation import DISTILLATIONS, ReverseKLStatistics, reverse_kl_advantages
from p2o.policy.ratios import RatioStatistics, check_logprobs, engine_statistics, engine_weight
from p2o.policy.streams import GlobalCounts
from p2o.templates import PLAIN
from p2o.types import Group, Problem, Rollout

if TYPE_CHECKING:
    from p2o.config import Config

Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]
"""(prompt ids, response ids) pairs."""

Score = Callable[[Sequences], list[NDArray[np.float32]]]
"""Log-probs of each response under the current weights, [T] each."""


def shaped_rewards(rollouts: Sequence[Rollout], loss: LossConfig, max_tokens: int) -> NDArray[np.float64]:
    """Rewards as advantages are computed from them: with the soft overlong punishment, [G]."""
    lengths = [len(rollout.response_ids) for rollout in rollouts]
    return np.array([rollout.reward for rollout in rollouts]) + overlong_penalties(lengths, max_tokens, loss)


def enters_update(group: Group, loss: LossConfig, max_tokens: int) -> bool:
    """Whether the group has a part in the loss under `zero_variance`."""
    return bool(group.drawn) and (loss.zero_variance == "keep" or teaches(group, loss, max_tokens))


def teaches(group: Group, loss: LossConfig, max_tokens: int) -> bool:
    """Whether the rewards of a group differ, or one of its rollouts has a teacher."""
    drawn = group.drawn
    if any(rollout.teacher_ids for rollout in drawn):
        return True
    return bool(drawn) and has_signal(shaped_rewards(drawn, loss, max_tokens))


def has_gradient(rollout: Rollout, advantage: float, counted: bool, loss: LossConfig) -> bool:
    """False where a row's loss and gradient are known to be exactly 0 and only its length counts. What a loss of your
    own makes of an advantage of 0 is not known."""
    own = loss.name not in get_args(LossName)
    return counted and (advantage != 0.0 or own or loss.kl_coef > 0 or bool(rollout.teacher_ids))


class Prepared(NamedTuple):
    """What an optimizer step needs, and what was seen on the way."""

    rows: Rows
    """The rows that have a gradient, with the streams `old_logp`, `sampler_logp`, `context_weight`, `engine_weight`,
    where some have teachers `token_advantage`, and with a reference `ref_logp`. Where `old_logp` is NaN it is that of
    the update itself."""
    counts: GlobalCounts
    """The denominators, in which rows without a gradient count too."""
    metrics: dict[str, float]
    """Statistics of the context ratio and of the reverse KL."""
    by_template: dict[str, RatioStatistics]
    """Those of the context ratio by template."""
    engine: RatioStatistics
    """Those of the engine ratio, without the rows that wait for the update."""


def prepare(
    groups: Sequence[Group],
    plain_ids: Callable[[Problem], Sequence[int]],
    score: Score,
    reference: Score | None,
    config: Config,
    *,
    fresh: bool = False,
) -> Prepared:
    """What an optimizer step over `groups` needs. Advantages are within each group, over what was drawn of it.

    Context distillation is one line: the prompt of the update is the plain one. Where rollouts have teachers, their
    tokens have advantages of their own.

    Args:
        groups: those that enter the update.
        plain_ids: token ids of a problem's plain prompt.
        score: the policy's log-probs with the weights that sampled.
        reference: those of the start weights, for the KL term.
        config: the run: its sections `loss`, `context`, `correction`, and the length limit of responses.
        fresh: whether no other optimizer step lies between the sampling and this one.
    """
    loss, max_tokens = config.loss, config.rollout.max_tokens
    taught_weight = config.context.reverse_kl.reward_weight
    rollouts: list[Rollout] = []
    prompts: list[Sequence[int]] = []
    advantages: list[float] = []
    lengths = []
    for group in groups:
        drawn = group.drawn
        plain = plain_ids(group.problem)
        rewards = shaped_rewards(drawn, loss, max_tokens)
        found = group_advantages(rewards, loss.advantage).tolist()
        for rollout, advantage in zip(drawn, found, strict=True):
            counted = not (loss.mask_truncated and rollout.finish_reason == "length")
            if config.context.failures == "drop" and rollout.template_id != PLAIN.id:
                counted = counted and is_success(rollout.reward, config.mining.success)
            if counted:
                lengths.append(len(rollout.response_ids))
            if has_gradient(rollout, advantage, counted, loss):
                rollouts.append(rollout)
                prompts.append(DISTILLATIONS[config.context.distillation].prompt(rollout, plain))
                advantages.append(advantage * (taught_weight if rollout.teacher_ids else 1.0))
    counts = GlobalCounts(float(sum(lengths)), float(len(lengths)), max_tokens)
    responses = [rollout.response_ids for rollout in rollouts]
    streams, context, by_template, engine = score_rows(
        rollouts, prompts, advantages, score, config.context, config.correction, fresh=fresh
    )
    metrics = context.metrics("context")
    if any(rollout.teacher_ids for rollout in rollouts):
        streams["token_advantage"], taught = score_teachers(
            rollouts, streams["old_logp"], score, config.context
        )
        metrics |= taught
    if reference is not None:
        streams["ref_logp"] = reference(list(zip(prompts, responses, strict=True)))
    flat = {name: np.concatenate([np.zeros(0, np.float32), *values]) for name, values in streams.items()}
    rows = Rows.of(prompts, responses, advantages=advantages, streams=flat)
    return Prepared(rows, counts, metrics, by_template, engine)


def score_rows(
    rollouts: Sequence[Rollout],
    prompts: Sequence[Sequence[int]],
    advantages: Sequence[float],
    score: Score,
    context: ContextConfig,
    correction: CorrectionConfig,
    *,
    fresh: bool,
) -> tuple[
    dict[str, list[NDArray[np.float32]]], RatioStatistics, dict[str, RatioStatistics], RatioStatistics
]:
    """Old log-probs and weights of each row, [T] each, the statistics of the context ratio, the same by template, and
    those of the engine ratio.

    Two forward passes: the update's prompt, but for rows that `correction.old_logprobs` spares it; the templated prompt
    for rows where it differs.
    """
    distilled = [i for i, r in enumerate(rollouts) if tuple(prompts[i]) != tuple(r.prompt_ids)]
    spares = correction.old_logprobs == "sampler" or (correction.old_logprobs == "auto" and fresh)
    spared = {i for i, r in enumerate(rollouts) if spares and not r.teacher_ids} - set(distilled)
    asked = [i for i in range(len(rollouts)) if i not in spared]
    sampler = [sampler_logprobs(rollout) for rollout in rollouts]
    # Where they are those of the update, NaN until it has computed them.
    old = [logp if correction.old_logprobs == "sampler" else np.full_like(logp, np.nan) for logp in sampler]
    for i, logp in zip(asked, score([(prompts[i], rollouts[i].response_ids) for i in asked]), strict=True):
        old[i] = logp
    sampled_under = list(old)
    scored = score([(rollouts[i].prompt_ids, rollouts[i].response_ids) for i in distilled])
    context_weights = [np.ones_like(logp) for logp in old]
    by_template: dict[str, RatioStatistics] = {}
    context_ratio, engine_ratio = RatioStatistics(), RatioStatistics()
    for i, templated in zip(distilled, scored, strict=True):
        sampled_under[i] = templated
        context_weights[i] = context_weight(old[i], templated, context, advantage=advantages[i])
        ratio = context_statistics(old[i], templated, context, context_weights[i])
        context_ratio += ratio
        template = rollouts[i].template_id
        by_template[template] = by_template.get(template, RatioStatistics()) + ratio
    engine_weights = [np.ones_like(logp) for logp in old]
    for i in asked:
        engine_weights[i] = engine_weight(sampled_under[i], sampler[i], correction)
        engine_ratio += engine_statistics(sampled_under[i], sampler[i], correction, engine_weights[i])
    streams = {
        "old_logp": old,
        "sampler_logp": sampler,
        "context_weight": context_weights,
        "engine_weight": engine_weights,
    }
    return streams, context_ratio, by_template, engine_ratio


def sampler_logprobs(rollout: Rollout) -> NDArray[np.float32]:
    """The sampler's log-probs of a rollout, [T].

    Raises:
        InputError: if they are not those of its response.
    """
    found = np.asarray(rollout.sampler_logprobs, dtype=np.float32)
    check_logprobs(found, "sampler")
    if found.shape != (len(rollout.response_ids),):
        raise InputError(
            f"a rollout of {len(rollout.response_ids)} tokens has {found.size} log-probabilities of the sampler"
        )
    return found


def score_teachers(
    rollouts: Sequence[Rollout], old: Sequence[NDArray[np.float32]], score: Score, context: ContextConfig
) -> tuple[list[NDArray[np.float32]], dict[str, float]]:
    """What each token's advantage gets from the rollout's teacher, [T] each, 0 where there is none; and statistics.

    A forward pass of the rows that have one.
    """
    config = context.reverse_kl
    taught = [i for i, rollout in enumerate(rollouts) if rollout.teacher_ids]
    found = [np.zeros_like(logp) for logp in old]
    statistics = ReverseKLStatistics()
    scored = score([(rollouts[i].teacher_ids, rollouts[i].response_ids) for i in taught])
    for i, teacher in zip(taught, scored, strict=True):
        found[i] = reverse_kl_advantages(old[i], teacher, config)
        statistics += ReverseKLStatistics.of(old[i], teacher, config.clip)
    return found, statistics.metrics()
