"""Sampling under templates: training groups, the prompt step's evaluations and plain evaluation all pass here."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, DataError, RewardError, TrainingError
from p2o.rollout.encode import PromptEncoder
from p2o.rollout.reward import RewardFunction
from p2o.rollout.sampler import Progress, Sample, Sampler, SampleRequest, SamplingParams
from p2o.templates import PLAIN, apply_template
from p2o.types import Group, Problem, Rollout, Template

LOGGER = logging.getLogger(__name__)

if TYPE_CHECKING:
    from p2o.policy.weights import Weights

TOO_LONG = Sample([], [], "prompt_too_long")
"""What stands for a response where the template does not fit."""


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """One rollout to draw: `index` within the problem's group, `seed` of its random stream."""

    problem: Problem
    template: Template
    index: int
    seed: int
    teacher: Template = PLAIN
    """The template under which the policy is the rollout's teacher; without one the plain one."""


class Collector:
    """Turns requests into verified rollouts.

    Every rank of `processes` calls `collect` with the same requests; each samples and verifies a share, and all get the
    whole.
    """

    def __init__(
        self,
        sampler: Sampler,
        encoder: PromptEncoder,
        reward: RewardFunction,
        *,
        max_prompt_tokens: int,
        processes: Processes = ONE_PROCESS,
    ) -> None:
        self.processes = processes
        self.sampler = sampler
        self.encoder = encoder
        self.reward = reward
        self.max_prompt_tokens = max_prompt_tokens
        self.version = 0
        """That of the sampler's weights."""

    def publish(self, policy: Weights, version: int = 0) -> None:
        """Gives the sampler the policy's weights: what is drawn from now on carries their `version`."""
        self.sampler.sync(policy)
        self.version = version

    def prompt_ids(self, problem: Problem, template: Template) -> tuple[int, ...]:
        """Tokens of T(x, z).

        Raises:
            DataError: if the plain prompt is longer than `max_prompt_tokens`, or cannot be encoded; names the place.
        """
        ids = self._encode(problem, template)
        if len(ids) > self.max_prompt_tokens and template.id == PLAIN.id:
            raise DataError(
                f"{problem.name} takes {len(ids)} tokens, over rollout.max_prompt_tokens = {self.max_prompt_tokens}: "
                'raise it, or leave out such problems with rollout.long_problems = "skip"'
            )
        return ids

    def fits(self, problem: Problem) -> bool:
        """Whether the plain prompt is not longer than `max_prompt_tokens`."""
        return len(self._encode(problem, PLAIN)) <= self.max_prompt_tokens

    def _encode(self, problem: Problem, template: Template) -> tuple[int, ...]:
        try:
            return self.encoder.encode(apply_template(template, problem.messages))
        except DataError as error:
            raise DataError(f"{problem.name}: {error}") from error

    def plain_ids(self, problem: Problem) -> tuple[int, ...]:
        """Tokens of the plain prompt; see `prompt_ids`."""
        return self.prompt_ids(problem, PLAIN)

    def reads(self, problem: Problem, template: Template) -> bool:
        """Whether the tokenizer can read T(x, z): some make control tokens even of plain text."""
        try:
            self._encode(problem, template)
        except DataError:
            return False
        return True

    def check_templates(
        self, templates: Sequence[Template], problems: Sequence[Problem], setting: str
    ) -> None:
        """Refuses a template that the tokenizer cannot read, or that is too long beside even the shortest problem: it
        would never be tried.

        Raises:
            ConfigError: naming `setting` and quoting the template's beginning and its number, equal ones counted once.
        """
        if not templates:
            return
        shortest = min(problems, key=lambda problem: len(self.plain_ids(problem)))
        for number, template in enumerate(templates, start=1):
            begins = f"{setting}: the template that begins {template.text[:40]!r} (number {number})"
            try:
                length = len(self.encoder.encode(apply_template(template, shortest.messages)))
            except DataError as error:
                raise ConfigError(f"{begins} cannot be used: {error}") from None
            if length > self.max_prompt_tokens:
                raise ConfigError(
                    f"{begins} makes {length} tokens of the shortest problem: raise "
                    f"rollout.max_prompt_tokens = {self.max_prompt_tokens} or leave it out"
                )

    def collect(
        self, requests: Sequence[RolloutRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Rollout]:
        """Samples and verifies.

        A template that makes a prompt longer than `max_prompt_tokens` has failed on that problem: nothing is drawn, and
        the rollout has no response, the reward 0 and the finish reason `prompt_too_long`. It is a trial like any other
        for the evidence and the hard set, and has no part in the update.

        A reward that the reward function could not give is NaN.
        """
        if progress is not None and self.processes.size > 1:
            shown = progress

            def progress(done: int) -> None:
                # The others are about as far.
                shown(done * (self.processes.size // self.sampler.ranks_per_engine))

        return self.processes.map(
            lambda share: self._collect(share, params, progress), requests, self.sampler.ranks_per_engine
        )

    def reward_metrics(self) -> dict[str, float]:
        """What happened in verification since the last call, on all ranks."""
        return self.reward.metrics(sum(self.processes.gather(self.reward.take_counts()), Counter()))

    def _collect(
        self, requests: Sequence[RolloutRequest], params: SamplingParams, progress: Progress | None
    ) -> list[Rollout]:
        rollouts: dict[int, Rollout] = {}
        asked: list[tuple[int, tuple[int, ...]]] = []  # place and prompt of each that the sampler has taken

        def fitting() -> Iterator[SampleRequest]:
            for place, request in enumerate(requests):
                prompt = self.prompt_ids(request.problem, request.template)
                if len(prompt) <= self.max_prompt_tokens:
                    asked.append((place, prompt))
                    yield SampleRequest(prompt, request.seed)
                else:
                    rollouts[place] = self._rollout(request, prompt, TOO_LONG)
                    if progress is not None:
                        progress(1)

        with (
            closing(self.reward.begin(apart=not self.sampler.in_process)) as judging,
            closing(self.sampler.stream(fitting(), params, progress)) as stream,  # type: ignore[type-var]
        ):
            for ended in stream:
                for number, sample in ended:
                    if not np.isfinite(sample.logprobs).all():
                        raise TrainingError(
                            "the sampler gave a log-prob that is no number: are the model's outputs finite?"
                        )
                    place, prompt = asked[number]
                    rollouts[place] = self._rollout(requests[place], prompt, sample)
                    judging.add(place, rollouts[place], requests[place].problem)
                judging.turn()
            rewards = judging.rewards()
        earned = dict(zip(sorted(place for place, _ in asked), rewards, strict=True))
        return [replace(rollouts[i], reward=float(earned.get(i, 0.0))) for i in range(len(requests))]

    def _rollout(self, request: RolloutRequest, prompt: Sequence[int], sample: Sample) -> Rollout:
        return Rollout(
            problem_id=request.problem.id,
            template_id=request.template.id,
            index=request.index,
            prompt_ids=prompt,
            response_ids=sample.response_ids,
            sampler_logprobs=sample.logprobs,
            finish_reason=sample.finish_reason,
            text=self.encoder.decode(sample.response_ids),
            teacher_ids=self._teacher_ids(request),
            version=self.version,
        )

    def _teacher_ids(self, request: RolloutRequest) -> Sequence[int]:
        """The prompt of its teacher; none if it has none, or that prompt is longer than `max_prompt_tokens`."""
        if request.teacher.id == PLAIN.id:
            return ()
        ids = self.prompt_ids(request.problem, request.teacher)
        return ids if len(ids) <= self.max_prompt_tokens else ()


def in_groups(problems: Sequence[Problem], rollouts: Sequence[Rollout], n: int) -> list[Group]:
    """The `n` rollouts of each problem in turn, without those whose reward is not known."""
    groups = (rollouts[i * n : (i + 1) * n] for i in range(len(problems)))
    return [
        Group(problem, [rollout for rollout in group if not math.isnan(rollout.reward)])
        for problem, group in zip(problems, groups, strict=True)
    ]


def generated_tokens(rollouts: Sequence[Rollout]) -> int:
    """Response tokens of the rollouts."""
    return sum(len(rollout.response_ids) for rollout in rollouts)


def all_known(rollouts: list[Rollout]) -> list[Rollout]:
    """The rollouts of an evaluation or a prompt step, of which none can be left out.

    Raises:
        RewardError: if a reward is not known.
    """
    if unknown := sum(math.isnan(rollout.reward) for rollout in rollouts):
        raise RewardError(
            f"reward.function could not judge {unknown} of {len(rollouts)} rollouts of an evaluation or a prompt step, "
            "which only training can do without: --resume goes on when it works again"
        )
    return rollouts


def without_long(problems: list[Problem], collector: Collector, kind: str) -> list[Problem]:
    """The problems that fit into `rollout.max_prompt_tokens`; says how many do not.

    Raises:
        DataError: if none does.
    """
    fitting = [problem for problem in problems if collector.fits(problem)]
    if len(fitting) == len(problems):
        return problems
    long = len(problems) - len(fitting)
    limit = f"over rollout.max_prompt_tokens = {collector.max_prompt_tokens}"
    if not fitting:
        raise DataError(f"all {long} {kind} problems are {limit}: raise it")
    if collector.processes.is_main:
        first = next(problem for problem in problems if not collector.fits(problem))
        LOGGER.warning(
            "%d of %d %s problems are %s and left out, the first is %s",
            long,
            len(problems),
            kind,
            limit,
            first.name,
        )
    return fitting
