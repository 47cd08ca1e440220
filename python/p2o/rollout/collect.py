"""Sampling under templates: training groups, the prompt step's evaluations and plain evaluation all pass here."""

from __future__ import annotations

import logging
import math
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
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


Enough = Callable[[int, Rollout], range | None]
"""Is told of each rollout whose reward is known, with its place, in any order. When they are enough it names those that
are needed, of which each must be known: the first so many."""


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

    Every rank of `processes` calls `collect` with the same requests; each samples and verifies what it takes from a
    common queue as it has room for it, and all get the whole.
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

    @property
    def teams(self) -> int:
        """How many draw apart from each other: the ranks, or the engines that several of them hold together."""
        return self.processes.size // self.sampler.ranks_per_engine

    @property
    def stops_early(self) -> bool:
        """Whether `collect_until` can give up what it does without."""
        apart = not self.sampler.in_process
        return self.processes.size == 1 and self.sampler.refills and self.reward.judges_beside(apart=apart)

    def collect_until(
        self,
        requests: Sequence[RolloutRequest],
        enough: Enough,
        params: SamplingParams,
        progress: Progress | None = None,
    ) -> tuple[list[Rollout], int]:
        """Samples and verifies until it is enough, and then gives up what is under way: for one that `stops_early`.

        Returns:
            The rollouts at the beginning of `requests` that `enough` named, or all; and the tokens that were generated
            for others, as far as the engine tells.
        """
        rollouts, surplus = self._collect(requests, iter([range(len(requests))]), params, progress, enough)
        return [rollouts[place] for place in range(len(rollouts))], surplus

    def collect(
        self, requests: Sequence[RolloutRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Rollout]:
        """Samples and verifies.

        A template that makes a prompt longer than `max_prompt_tokens` has failed on that problem: nothing is drawn, and
        the rollout has no response, the reward 0 and the finish reason `prompt_too_long`. It is a trial like any other
        for the evidence and the hard set, and has no part in the update.

        A reward that the reward function could not give is NaN.
        """
        teams = self.teams
        pieces = in_pieces(len(requests), teams, self.sampler.at_once, refills=self.sampler.refills)
        left = len(requests)

        def others_too(done: int) -> None:
            """They are about as far."""
            nonlocal left
            assert progress is not None
            counted = min(done * teams, left)
            left -= counted
            progress(counted)

        rollouts = self.processes.deal(
            lambda numbers: self._collect(
                requests,
                (pieces[number] for number in numbers),
                params,
                None if progress is None else others_too,
            )[0],
            len(pieces),
            self.sampler.ranks_per_engine,
        )
        return [rollouts[place] for place in range(len(requests))]

    def reward_metrics(self) -> dict[str, float]:
        """What happened in verification since the last call, on all ranks."""
        return self.reward.metrics(sum(self.processes.gather(self.reward.take_counts()), Counter()))

    def _collect(
        self,
        requests: Sequence[RolloutRequest],
        pieces: Iterator[range],
        params: SamplingParams,
        progress: Progress | None,
        enough: Enough = lambda place, rollout: None,
    ) -> tuple[dict[int, Rollout], int]:
        """The rollouts of this rank, by their places among the requests; it takes `pieces` as it has room for them.

        Also the tokens of those that were not needed any more when it was `enough`.
        """
        first = next(pieces, range(0))
        # Where there is nobody to share with, the sampler decides how many it holds.
        at_once = None if len(first) == len(requests) else len(first)
        # One that takes further requests gets all in one stream, any other one a stream for each piece.
        shares: Iterable[Iterable[int]] = chain([first], pieces)
        if self.sampler.refills:
            shares = [chain.from_iterable(shares)]
        rollouts: dict[int, Rollout] = {}
        kept: range | None = None
        with closing(self.reward.begin(apart=not self.sampler.in_process)) as judging:
            for places in shares:
                with closing(self._drawn(requests, places, params, progress, at_once)) as stream:
                    for ended in stream:
                        certain: list[tuple[int, float]] = []
                        for place, rollout in ended:
                            rollouts[place] = rollout
                            if rollout.finish_reason == "prompt_too_long":
                                certain.append((place, 0.0))
                            else:
                                judging.add(place, rollout, requests[place].problem)
                        judging.turn()
                        for place, reward in [*certain, *judging.news()]:
                            kept = kept or enough(place, replace(rollouts[place], reward=reward))
                        if kept is not None:
                            break
            rewards = judging.rewards(kept)
        surplus = 0
        if kept is not None:
            surplus = self.sampler.given_up()
            surplus += generated_tokens([rollout for place, rollout in rollouts.items() if place not in kept])
            rollouts = {place: rollouts[place] for place in kept}
        judged = [p for p in sorted(rollouts) if rollouts[p].finish_reason != "prompt_too_long"]
        earned = dict(zip(judged, rewards, strict=True))
        found = {p: replace(rollout, reward=float(earned.get(p, 0.0))) for p, rollout in rollouts.items()}
        return found, surplus

    def _drawn(
        self,
        requests: Sequence[RolloutRequest],
        places: Iterable[int],
        params: SamplingParams,
        progress: Progress | None,
        at_once: int | None,
    ) -> Generator[list[tuple[int, Rollout]]]:
        """The rollouts of one stream as they end, by their places; those whose prompt is too long among them."""
        taken: list[tuple[int, tuple[int, ...]]] = []  # places and prompts
        ended: list[tuple[int, Rollout]] = []

        def fitting() -> Iterator[SampleRequest]:
            for place in places:
                request = requests[place]
                prompt = self.prompt_ids(request.problem, request.template)
                if len(prompt) <= self.max_prompt_tokens:
                    taken.append((place, prompt))
                    yield SampleRequest(prompt, request.seed)
                else:
                    ended.append((place, self._rollout(request, prompt, TOO_LONG)))
                    if progress is not None:
                        progress(1)

        with closing(self.sampler.stream(fitting(), params, progress, at_once)) as stream:
            for samples in stream:
                for number, sample in samples:
                    if not np.isfinite(sample.logprobs).all():
                        raise TrainingError(
                            "the sampler gave a log-prob that is no number: are the model's outputs finite?"
                        )
                    place, prompt = taken[number]
                    ended.append((place, self._rollout(requests[place], prompt, sample)))
                yield ended
                ended.clear()
        yield ended

    def _rollout(self, request: RolloutRequest, prompt: Sequence[int], sample: Sample) -> Rollout:
        return Rollout(
            problem_id=request.problem.id,
            template_id=request.template.id,
            index=request.index,
            prompt_ids=prompt,
            response_ids=array("i", sample.response_ids),
            sampler_logprobs=array("f", sample.logprobs),
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


def in_pieces(requests: int, ranks: int, at_once: int, *, refills: bool) -> list[range]:
    """The requests that a rank takes from the queue in one go, by their places.

    The first piece of each rank is as much as it draws at once, and no more than an equal share: neighbours, so that a
    prompt is read once. Of the later ones a sampler that refills takes one by one, since what it held without drawing
    it others would miss that have nothing to do; any other takes a batch, the same ones every time.

    Args:
        requests: how many there are.
        ranks: how many there are, those that sample as one counted once.
        at_once: `Sampler.at_once`.
        refills: `Sampler.refills`.
    """
    batches = 1 if ranks == 1 else max(ranks, -(-requests // at_once))
    equal, count = (min(requests, ranks * at_once), ranks) if refills and ranks > 1 else (requests, batches)
    edges = [equal * k // count for k in range(count + 1)]
    return [*map(range, edges, edges[1:]), *(range(i, i + 1) for i in range(equal, requests))]


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
