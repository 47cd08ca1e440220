"""Sampling under templates: training groups, the prompt step's evaluations and plain evaluation all pass here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, DataError
from p2o.rollout.encode import PromptEncoder
from p2o.rollout.reward import RewardFunction
from p2o.rollout.sampler import Progress, Sampler, SampleRequest, SamplingParams
from p2o.templates import PLAIN, apply_template
from p2o.types import Problem, Rollout, Template


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """One rollout to draw: `index` within the problem's group, `seed` of its random stream."""

    problem: Problem
    template: Template
    index: int
    seed: int


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

    def prompt_ids(self, problem: Problem, template: Template) -> tuple[int, ...]:
        """Tokens of T(x, z).

        Raises:
            DataError: if the plain prompt is longer than `max_prompt_tokens`.
        """
        ids = self.encoder.encode(apply_template(template, problem.messages))
        if len(ids) > self.max_prompt_tokens and template.id == PLAIN.id:
            raise DataError(
                f"problem {problem.id!r} takes {len(ids)} tokens, over rollout.max_prompt_tokens = "
                f"{self.max_prompt_tokens}: raise it or leave the problem out"
            )
        return ids

    def fits(self, problem: Problem, template: Template) -> bool:
        """Whether T(x, z) is within `max_prompt_tokens`."""
        return len(self.prompt_ids(problem, template)) <= self.max_prompt_tokens

    def check_templates(
        self, templates: Sequence[Template], problems: Sequence[Problem], setting: str
    ) -> None:
        """Refuses a template that is too long beside even the shortest problem: it would never be tried.

        Raises:
            ConfigError: naming `setting` and quoting the template's beginning.
        """
        if not templates:
            return
        shortest = min(problems, key=lambda problem: len(self.prompt_ids(problem, PLAIN)))
        for template in templates:
            length = len(self.prompt_ids(shortest, template))
            if length > self.max_prompt_tokens:
                raise ConfigError(
                    f"{setting}: the template that begins {template.text[:40]!r} makes {length} tokens of the shortest "
                    f"problem: raise rollout.max_prompt_tokens = {self.max_prompt_tokens} or leave it out"
                )

    def collect(
        self, requests: Sequence[RolloutRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Rollout]:
        """Samples and verifies. A template that does not fit its problem gives way to the plain prompt."""
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
        fitted = [
            request if self.fits(request.problem, request.template) else replace(request, template=PLAIN)
            for request in requests
        ]
        prompts = [self.prompt_ids(request.problem, request.template) for request in fitted]
        samples = self.sampler.sample(
            [SampleRequest(prompt, request.seed) for prompt, request in zip(prompts, fitted, strict=True)],
            params,
            progress,
        )
        rollouts = [
            Rollout(
                problem_id=request.problem.id,
                template_id=request.template.id,
                index=request.index,
                prompt_ids=prompt,
                response_ids=sample.response_ids,
                sampler_logprobs=sample.logprobs,
                finish_reason=sample.finish_reason,
                text=self.encoder.decode(sample.response_ids),
            )
            for request, prompt, sample in zip(fitted, prompts, samples, strict=True)
        ]
        rewards = self.reward(rollouts, [request.problem for request in fitted])
        return [replace(rollout, reward=float(r)) for rollout, r in zip(rollouts, rewards, strict=True)]


def generated_tokens(rollouts: Sequence[Rollout]) -> int:
    """Response tokens of the rollouts."""
    return sum(len(rollout.response_ids) for rollout in rollouts)
