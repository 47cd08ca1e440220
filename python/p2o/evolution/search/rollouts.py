"""Rollouts of the prompt step: each is reserved in the ledger, asked for once, journaled, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from p2o.evolution.config import races
from p2o.evolution.contract import checked_result, in_order
from p2o.evolution.inputs import StepInputs
from p2o.evolution.journal import Key
from p2o.evolution.propose.refuse import gives_away
from p2o.evolution.search.repeats import Repeats
from p2o.evolution.search.turns import Order
from p2o.evolution.types import GIVEN_AWAY, EvaluationRequest, EvaluationResult
from p2o.types import Problem, Template

REPLICATES = 2
"""Further rollouts, of the template and of the plain prompt, of each dev problem on which a racing template beat the
plain prompt, as long as the race is open and the budget allows. They decide the race: who was lucky does not win again.
In `sequential` the plain prompt has them on all dev problems, unless it hardly ever succeeds."""


class Rollouts:
    """The cache of one step, keyed by (template, problem, rollout index) under one policy version."""

    def __init__(self, inputs: StepInputs, on_batch: Callable[[int], None]) -> None:
        self._evaluate = inputs.evaluate
        self._recall = getattr(inputs.evaluate, "recall", None)
        config = inputs.config
        self._ledger = inputs.ledger
        self._journal = inputs.journal
        self._outcomes = inputs.outcomes
        self._solutions = inputs.solutions
        self._on_batch = on_batch
        self._results: dict[Key, EvaluationResult] = {}
        # Only a policy that is known to draw can be told to have failed to.
        watched = races(config) and getattr(inputs.evaluate, "repeats", None) == "drawn"
        self._repeats = Repeats() if watched else None
        self._first_replica = config.rollouts_per_evaluation
        self._most = self._first_replica + REPLICATES
        self._turns = inputs.turns
        self._asked: set[Key] = set()
        """What is reserved and not there yet."""
        self._shown = {problem.id: problem for problem in inputs.shown}
        self.one_draw = getattr(inputs.evaluate, "repeats", None) == "same"

    def requests(self, template: Template, problems: Iterable[Problem]) -> list[EvaluationRequest]:
        """The rollouts of an evaluation of a template: `rollouts_per_evaluation` for each problem, in order."""
        indices = range(self._first_replica)
        return [EvaluationRequest(problem, template, i) for problem in problems for i in indices]

    def replicas(self, template: Template, problems: Iterable[Problem]) -> list[EvaluationRequest]:
        """The `REPLICATES` further rollouts of each problem; their indices follow those of `requests`."""
        indices = range(self._first_replica, self._most)
        return [EvaluationRequest(problem, template, i) for problem in problems for i in indices]

    def new(self, requests: Iterable[EvaluationRequest]) -> int:
        """How many of the requests would be rolled out: no round has asked for them."""
        return len({key for key in map(_key, requests) if key not in self._results} - self._asked)

    def missing(self, template: Template, problems: Sequence[Problem]) -> int:
        """How many rollouts of an evaluation are not there yet."""
        results, template_id = self._results, template.id
        indices = range(self._first_replica)
        return sum((template_id, problem.id, i) not in results for problem in problems for i in indices)

    def run(self, requests: Sequence[EvaluationRequest]) -> list[EvaluationResult]:
        """The results of the requests, in order; only what is missing is rolled out, as one batch. Where solutions are
        quoted, no template is rolled out on a problem that it gives away.

        Raises:
            InputError: if the evaluator breaks its contract (`p2o.evolution.contract`).
        """
        keys = [_key(request) for request in requests]
        results = self._results
        if self._solutions is not None:
            for key, request in zip(keys, requests, strict=True):
                if key not in results and gives_away(request.template, request.problem):
                    results[key] = GIVEN_AWAY
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in results}
        # What another round waits for is there when this one goes on.
        fresh = {key: request for key, request in missing.items() if key not in self._asked}
        self._ledger.reserve_rollouts(len(fresh))
        self._asked.update(fresh)
        if self._turns.now is not None:
            self._turns.now.spent += len(fresh)
        if missing:
            self._turns.wait(Order(fresh, self.serve, self.give_back))
        if fresh:
            self._on_batch(len(fresh))
        if self._solutions is not None:
            for key, request in zip(keys, requests, strict=True):
                result = results[key]
                if result.finish_reason == "stop" and self._outcomes.is_success(result.reward):
                    self._solutions.add(request.problem, result.text)
        return [results[key] for key in keys]

    @property
    def affordable(self) -> int:
        """Rollouts that the round whose turn it is may still ask for."""
        return max(self._ledger.affordable_rollouts - self._turns.held_by_others, 0)

    def hold(self, count: int) -> None:
        """Keeps so many rollouts of the budget for what is left of this round."""
        self._turns.hold(count)

    def serve(self, batches: Sequence[Mapping[Key, EvaluationRequest]]) -> None:
        """The results of what rounds wait for: from the journal, the others as one batch of the evaluator."""
        wanted: dict[Key, EvaluationRequest] = {}
        for key, request in (item for fresh in batches for item in fresh.items()):
            if (journaled := self._journal.replay(key)) is not None:
                self._take(key, *journaled)
                if self._recall is not None:
                    self._recall(journaled[0])
            else:
                wanted[key] = request
        if wanted:
            self._dispatch(wanted)
        if self._repeats is not None:
            self._repeats.check()

    def _take(self, key: Key, result: EvaluationResult, said: str) -> None:
        self._results[key] = result
        self._asked.discard(key)
        self._ledger.rollout_tokens += result.tokens
        if self._repeats is not None:
            self._repeats.add(key, said)

    def _dispatch(self, wanted: dict[Key, EvaluationRequest]) -> None:
        try:
            self._journal.before_asking()
            answers = self._evaluate(list(wanted.values()))
            results = in_order("evaluate", EvaluationResult, answers, len(wanted))
            for key, result in zip(wanted, results, strict=True):
                result = checked_result(result, key[1])
                said = ""
                if self._repeats is not None and result.text:
                    said = hashlib.sha256(result.text.encode("utf-8", "replace")).hexdigest()[:16]
                if not self._is_shown(key) and (result.text or result.feedback):
                    result = EvaluationResult(
                        result.reward, finish_reason=result.finish_reason, tokens=result.tokens
                    )
                self._take(key, result, said)
                self._journal.evaluation(key, result, said)
        finally:
            self._journal.sync()

    def _is_shown(self, key: Key) -> bool:
        """Whether a reflection may show the text, which is kept (and journaled) only then: a rollout on a problem
        that minibatches are drawn from, be it on one of them or in a race."""
        return key[1] in self._shown and key[2] < self._first_replica

    def give_back(self, keys: Iterable[Key]) -> None:
        """Returns to the budget what was reserved and never rolled out."""
        left = self._asked.intersection(keys)
        self._asked -= left
        self._ledger.rollouts -= len(left)

    def total(self, template: Template, problem: Problem) -> tuple[float, int]:
        """Sum of rewards and number of all rollouts of a pair so far."""
        rewards = self._rewards(template, problem, 0, self._most)
        return sum(rewards, 0.0), len(rewards)

    def successes(self, template: Template, problem: Problem) -> tuple[int, int]:
        """Successes and number of all rollouts of a pair so far."""
        rewards = self._rewards(template, problem, 0, self._most)
        return sum(map(self._outcomes.is_success, rewards)), len(rewards)

    def on_shown(self, template: Template) -> tuple[float, int]:
        """Sum of rewards and number of a template's rollouts on the problems that minibatches are drawn from."""
        totals = [self.total(template, problem) for problem in self._shown.values()]
        return sum(earned for earned, _ in totals), sum(tried for _, tried in totals)

    def mean(self, template: Template, problem: Problem) -> float:
        """Mean reward of the evaluation of a pair, replicas left out: they are made where it went well."""
        rewards = self._rewards(template, problem, 0, self._first_replica)
        return sum(rewards) / len(rewards)

    def won(self, template: Template, other: Template, problems: Iterable[Problem]) -> list[Problem]:
        """The problems on which the evaluation of `template` went better than that of `other`."""
        return [problem for problem in problems if self.mean(template, problem) > self.mean(other, problem)]

    def compare(self, template: Template, other: Template, problems: Iterable[Problem]) -> tuple[int, int]:
        """Pairs of replicas (problem, rollout index) on which `template` did better than `other`, and worse, of the
        problems it won.

        The rollouts by which the problems were chosen are left out: were the two equally good on each problem, every
        pair that counts would be as likely a win as a loss.
        """
        wins = losses = 0
        for problem in self.won(template, other, problems):
            replicas = (
                self._rewards(each, problem, self._first_replica, self._most) for each in (template, other)
            )
            for mine, theirs in zip(*replicas, strict=False):
                wins += mine > theirs
                losses += mine < theirs
        return wins, losses

    def success_rate(self, template: Template, problem: Problem) -> float:
        """Share of successes in the evaluation of a pair, replicas left out."""
        rewards = self._rewards(template, problem, 0, self._first_replica)
        return sum(map(self._outcomes.is_success, rewards)) / len(rewards)

    def repeat_rate(self, template: Template, problem: Problem) -> float | None:
        """Share of successes among the replicas of a pair whose evaluation had one; None of others."""
        if self.success_rate(template, problem) == 0:
            return None
        rewards = self._rewards(template, problem, self._first_replica, self._most)
        return sum(map(self._outcomes.is_success, rewards)) / len(rewards) if rewards else None

    def _rewards(self, template: Template, problem: Problem, first: int, end: int) -> list[float]:
        """Rewards of those rollouts of a pair that are there, by their indices up to one that is not."""
        rewards: list[float] = []
        for index in range(first, end):
            if (result := self._results.get((template.id, problem.id, index))) is None:
                break
            rewards.append(result.reward)
        return rewards

    def record(self, policy_version: str, template_ids: Collection[str], source: str) -> None:
        """Adds every rollout of these templates to the ledger of outcomes."""
        for (template, problem, _), result in self._results.items():
            if template in template_ids and result is not GIVEN_AWAY:
                self._outcomes.record(policy_version, template, problem, result.reward, source)


def _key(request: EvaluationRequest) -> Key:
    return (request.template.id, request.problem.id, request.rollout_index)
