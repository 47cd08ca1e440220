"""Sampling under templates: training groups, the prompt step's evaluations and plain evaluation all pass here."""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, replace
from itertools import chain, count, starmap
from typing import TYPE_CHECKING

import numpy as np

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, DataError, InputError, TrainingError
from p2o.rollout.encode import PromptEncoder
from p2o.rollout.judging import Judging
from p2o.rollout.reward import RewardFunction
from p2o.rollout.rollouts import generated_tokens, is_judged, told, with_rewards
from p2o.rollout.sampler import (
    Progress,
    Sample,
    Sampler,
    SampleRequest,
    SamplingParams,
    checked_samples,
)
from p2o.store import Notices
from p2o.templates import PLAIN, apply_template
from p2o.types import Problem, Rollout, Template

LOGGER = logging.getLogger(__name__)

if TYPE_CHECKING:
    from p2o.policy.weights import Weights

TOO_LONG = Sample([], [], "prompt_too_long")
"""What stands for a response where the template does not fit; see `is_judged`."""


Enough = Callable[[int, Rollout], range | None]
"""Is told of each rollout whose reward is known, with its place, in any order; of those of other ranks as `told` leaves
them. When they are enough it names those that are needed, of which each must be known: the first so many."""


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """One rollout to draw: `index` within the problem's group, `seed` of its random stream."""

    problem: Problem
    template: Template
    index: int
    seed: int
    teacher: Template = PLAIN
    """The template under which the policy is the rollout's teacher; without one the plain one."""


@dataclass(eq=False)
class Collector:
    """Turns requests into verified rollouts.

    Every rank of `processes` calls `collect` with the same requests; each samples and verifies what it takes from a
    common queue as it has room for it, and all get the whole.
    """

    sampler: Sampler
    encoder: PromptEncoder
    reward: RewardFunction
    _: KW_ONLY
    max_prompt_tokens: int
    processes: Processes = ONE_PROCESS
    version: int = 0
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
        """Whether `collect_until` can give up what it does without.

        Ranks that hold one engine together would have to give up the same in the same step of it.
        """
        alone = self.sampler.ranks_per_engine == 1
        return alone and self.sampler.refills and self.reward.judges_beside(apart=not self.sampler.in_process)

    def collect_until(
        self,
        requests: Sequence[RolloutRequest],
        enough: Enough,
        params: SamplingParams,
        progress: Progress | None = None,
    ) -> tuple[list[Rollout], int]:
        """Samples and verifies until it is enough, and then gives up what is under way: for one that `stops_early`.

        Each rank tells the others of what ends there.

        Returns:
            The rollouts at the beginning of `requests` that `enough` named, or all; and the tokens that were generated
            for others, as far as the engine tells.
        """
        notices, surplus = self.processes.notices(), 0

        def draw(pieces: Iterator[range], shown: Progress | None) -> dict[int, Rollout]:
            nonlocal surplus
            with notices:
                rollouts, surplus = self._collect_until(requests, pieces, params, shown, enough, notices)
            return rollouts

        try:
            rollouts = self._shared(len(requests), draw, progress)
        finally:
            if self.processes.is_main:
                notices.clear()
        received = sum(self.processes.gather(self.sampler.received))
        surplus = sum(self.processes.gather(surplus + self.sampler.given_up(received)))
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

        def draw(pieces: Iterator[range], shown: Progress | None) -> dict[int, Rollout]:
            rollouts: dict[int, Rollout] = {}
            stream = self._ended(requests, pieces, params, shown)
            with self._judging() as judging, closing(stream):
                for ended in stream:
                    rollouts |= ended
                    self._judge(ended, requests, judging)
                return with_rewards(rollouts, judging.rewards())

        rollouts = self._shared(len(requests), draw, progress)
        return [rollouts[place] for place in range(len(requests))]

    def _shared(
        self,
        count: int,
        draw: Callable[[Iterator[range], Progress | None], dict[int, Rollout]],
        progress: Progress | None,
    ) -> dict[int, Rollout]:
        """What all ranks draw of `count` requests, by their places: each takes pieces as it has room for them."""
        teams = self.teams
        pieces = in_pieces(count, teams, self.sampler.at_once, refills=self.sampler.refills)
        left = count

        def others_too(done: int) -> None:
            """They are about as far."""
            nonlocal left
            assert progress is not None
            counted = min(done * teams, left)
            left -= counted
            progress(counted)

        shown = None if progress is None else others_too
        return self.processes.deal(
            lambda numbers: draw((pieces[number] for number in numbers), shown),
            len(pieces),
            self.sampler.ranks_per_engine,
        )

    def reward_metrics(self) -> dict[str, float]:
        """What happened in verification since the last call, on all ranks."""
        return self.reward.metrics(sum(self.processes.gather(self.reward.take_counts()), Counter()))

    def _judging(self) -> closing[Judging]:
        return closing(self.reward.begin(apart=not self.sampler.in_process))

    def _collect_until(
        self,
        requests: Sequence[RolloutRequest],
        pieces: Iterator[range],
        params: SamplingParams,
        progress: Progress | None,
        enough: Enough,
        notices: Notices[tuple[int, Rollout]],
    ) -> tuple[dict[int, Rollout], int]:
        """This rank's part of `collect_until`: of what was drawn that which is needed, and the tokens of the others."""
        rollouts: dict[int, Rollout] = {}
        kept: range | None = None

        def first_enough(news: Iterable[tuple[int, Rollout]]) -> range | None:
            return next(filter(None, starmap(enough, news)), None)

        def look(certain: Iterable[tuple[int, float]]) -> range | None:
            """Whether it is enough, with what is `certain` here and what other ranks tell."""
            known = [(place, replace(rollouts[place], reward=reward)) for place, reward in certain]
            return first_enough(notices.exchange([(place, told(rollout)) for place, rollout in known]))

        with self._judging() as judging, closing(self._ended(requests, pieces, params, progress)) as stream:
            for ended in stream:
                rollouts |= ended
                self._judge(ended, requests, judging)
                failed = [(place, 0.0) for place in ended if not is_judged(rollouts[place])]
                if (kept := look([*failed, *judging.news()])) is not None:
                    break
            else:
                judging.finish()
                kept = look(judging.news()) or first_enough(notices.rest())
            stream.close()
            needed = {p: rollout for p, rollout in rollouts.items() if kept is None or p in kept}
            found = with_rewards(needed, judging.rewards(kept))
        return found, generated_tokens(list(rollouts.values())) - generated_tokens(list(needed.values()))

    @staticmethod
    def _judge(ended: Mapping[int, Rollout], requests: Sequence[RolloutRequest], judging: Judging) -> None:
        for place, rollout in ended.items():
            if is_judged(rollout):
                judging.add(place, rollout, requests[place].problem)
        judging.turn()

    def _ended(
        self,
        requests: Sequence[RolloutRequest],
        pieces: Iterator[range],
        params: SamplingParams,
        progress: Progress | None,
    ) -> Generator[dict[int, Rollout]]:
        """The rollouts of this rank as they end, by their places; it takes `pieces` as it has room for them."""
        first = next(pieces, range(0))
        # Where there is nobody to share with, the sampler decides how many it holds.
        at_once = None if len(first) == len(requests) else len(first)
        # One that takes further requests gets all in one stream, any other one a stream for each piece.
        shares: Iterable[Iterable[int]] = chain([first], pieces)
        if self.sampler.refills:
            shares = [chain.from_iterable(shares)]
        for places in shares:
            with closing(self._drawn(requests, places, params, progress, at_once)) as stream:
                for ended in stream:
                    yield dict(ended)

    def _drawn(
        self,
        requests: Sequence[RolloutRequest],
        places: Iterable[int],
        params: SamplingParams,
        progress: Progress | None,
        at_once: int | None,
    ) -> Generator[list[tuple[int, Rollout]]]:
        """The rollouts of one stream as they end, by their places; those whose prompt is too long among them.

        Raises:
            InputError: if the stream, which may be the code of a user's own, hands on other samples than one for each.
        """
        under_way: dict[int, tuple[int, tuple[int, ...]]] = {}  # places and prompts, by their numbers
        ended: list[tuple[int, Rollout]] = []

        def fitting() -> Iterator[SampleRequest]:
            numbers = count()
            for place in places:
                request = requests[place]
                prompt = self.prompt_ids(request.problem, request.template)
                if len(prompt) <= self.max_prompt_tokens:
                    under_way[next(numbers)] = (place, prompt)
                    yield SampleRequest(prompt, request.seed)
                else:
                    ended.append((place, self._rollout(request, prompt, TOO_LONG)))
                    if progress is not None:
                        progress(1)

        with closing(self.sampler.stream(fitting(), params, progress, at_once)) as stream:
            for samples in stream:
                for number, sample in samples:
                    if number not in under_way:
                        raise InputError(
                            f"rollout.sampler: stream handed on {number!r}, which is not under way"
                        )
                    checked_samples([sample], 1)
                    if not np.isfinite(sample.logprobs).all():
                        raise TrainingError(
                            "the sampler gave a log-prob that is no number: are the model's outputs finite?"
                        )
                    place, prompt = under_way.pop(number)
                    ended.append((place, self._rollout(requests[place], prompt, sample)))
                yield ended
                ended.clear()
        if under_way:
            raise InputError(f"rollout.sampler: stream ended with {len(under_way)} requests under way")
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
