"""The rounds of the prompt step: draw parents, reflect, try the children out, send the better ones to dev."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random

from p2o.errors import ReflectionError
from p2o.evolution.contract import checked_proposal, in_order
from p2o.evolution.events import Decided, Event, RolloutsDone, RoundEnded, Started, Stopped
from p2o.evolution.inputs import StepInputs
from p2o.evolution.propose import Proposal, Task, proposer_class
from p2o.evolution.result import FRUITLESS, PLAIN_ENOUGH, Candidate, Evolution
from p2o.evolution.search.acceptance import Entrant, Finish
from p2o.evolution.search.pool import CandidatePool
from p2o.evolution.search.race import ACCEPTANCES, race
from p2o.evolution.search.rollouts import Rollouts
from p2o.evolution.search.statistics import solved_share
from p2o.evolution.search.tasks import Minibatches, make_example
from p2o.templates import PLAIN, make_template
from p2o.types import Problem, Template

UNCHANGED = "unchanged"
DUPLICATE = "duplicate"
NOT_BETTER = "not better on the minibatch"
UNREADABLE = "the policy's tokenizer cannot read it"

COMPLETE = "complete"
"""The stop reason when there is nothing left to look for."""

_STALLED_ROUNDS = 5
"""Rounds in a row that lead nowhere before the step ends: no rollout is spent, since everything is cached and the
budget would never run out, no parent leaves anything to learn, or the proposer could not even try."""


class Step:
    """The state of one prompt step, and its rounds."""

    def __init__(self, inputs: StepInputs) -> None:
        self.inputs = inputs
        self.config = inputs.config
        self.seed = inputs.seed
        self.policy_version = inputs.policy_version
        self.outcomes = inputs.outcomes
        self.dev = inputs.dev
        self.journal = inputs.journal
        self.ledger = inputs.ledger
        self.rollouts = Rollouts(inputs, lambda count: self.emit(RolloutsDone(count, self.ledger.rollouts)))
        self.rule = ACCEPTANCES[self.config.acceptance](self.rollouts)
        self.proposer = proposer_class(self.config, inputs.reflection)(inputs)
        self.minibatches = Minibatches(inputs.shown, self.config.minibatch, self.seed)
        self.pool = CandidatePool(
            inputs, self.rollouts, self.rule, lambda candidate: self.emit(Decided(candidate))
        )
        # Written out it is the plain prompt all the same.
        self.plain_text_id = make_template(inputs.plain_text).id
        self.refusals: Counter[str] = Counter()  # of what became no candidate
        self.turns = inputs.turns
        self.rounds = 0  # that have begun
        self.quiet_rounds = 0
        self.fruitless = 0  # proposals in a row that were tried out and not accepted
        self.stalled_rounds = 0
        self.started = time.monotonic()

    def run(self) -> Evolution:
        """Rounds until something stops them."""
        source = f"prompt step {self.inputs.identity}"
        # The same step, run again on the same ledger (a notebook, after Ctrl-C), must not meet its own rollouts there.
        self.outcomes.withdraw(self.policy_version, source)
        dev_ids = tuple(problem.id for problem in self.dev)
        feedback_ids = tuple(problem.id for problem in self.inputs.feedback)
        try:
            self.emit(Started(dev_ids, feedback_ids, self.ledger.rollout_limit))
            reason = self.begin()
            while reason is None or self.turns:
                if reason is None and self.may_begin and self.affordable_tasks() > 0:
                    self.rounds += 1
                    self.turns.begin(self.rounds, self.one_round)
                self.turns.advance()
                if reason is None and self.may_begin:
                    reason = self.stop_reason()
                    if reason == "budget" and self.turns:
                        reason = None  # the rounds that are open may leave some of it
                if self.journal.stop_wanted and self.journal.read_through:
                    reason = "interrupted"
        except KeyboardInterrupt:
            reason = "interrupted"
        except ReflectionError as error:
            reason = f"reflection: {error}"
        finally:
            self.turns.close()
        # Templates that were refused are never drawn again: their rollouts would only weigh on checkpoints.
        kept = {candidate.template.id for candidate in self.pool.accepted}
        self.rollouts.record(self.policy_version, kept, source)
        self.journal.sync()
        with suppress(KeyboardInterrupt):  # there is nothing left to stop
            self.emit(Stopped(reason))
        return self.result(reason)

    def begin(self) -> str | None:
        """Evaluates the plain prompt and what the proposer begins with."""
        requests = self.rollouts.requests(PLAIN, self.dev)
        if len(requests) > self.ledger.affordable_rollouts:
            return "budget"
        self.rollouts.run(requests)
        plain = self.pool.add(PLAIN, (), "plain", self.round)
        self.pool.accept(Finish(plain.id, True, "", len(self.dev)))
        first = [self.consider(proposal, PLAIN) for proposal in self.proposer.begin()]
        if self.plain_is_enough():
            return PLAIN_ENOUGH
        self.enter([each for each in first if each is not None], self.kept_for_rounds)
        return self.stop_reason()

    def plain_is_enough(self) -> bool:
        """Whether plain rollouts would solve as many dev problems as templates are expected to.

        Single rollouts cannot tell a few problems that are always solved from many that now and then are; where by
        them it could be enough, the plain prompt is rolled out further.
        """
        enough = self.inputs.plain_enough
        if enough is None or self.solved_plain(enough.draws) < enough.share:
            return False
        more = [] if self.rollouts.one_draw else self.rollouts.replicas(PLAIN, self.dev)
        if self.rollouts.new(more) <= self.ledger.affordable_rollouts:
            self.rollouts.run(more)
        return self.solved_plain(enough.draws) >= enough.share

    def solved_plain(self, draws: float) -> float:
        """Share of the dev problems that so many plain rollouts of each would solve."""
        seen = [self.rollouts.successes(PLAIN, problem) for problem in self.dev]
        return solved_share([solved for solved, _ in seen], seen[0][1], draws)

    def one_round(self) -> None:
        """One batch of proposals, from the draw of parents to the front."""
        tasks = self.draw_tasks()
        proposed = self.proposer.propose(tasks)
        proposals = list(in_order("evolve.proposer", Proposal, proposed, len(tasks)))
        children: list[tuple[Candidate, Task]] = []
        for task, proposal in zip(tasks, proposals, strict=True):
            child = self.consider(proposal, task.parent.template)
            if child is not None:
                children.append((child, task))
        self.try_out(children)
        accepted = any(self.pool[child.id].accepted for child, _ in children)
        self.quiet_rounds = 0 if accepted else self.quiet_rounds + 1
        self.fruitless = 0 if accepted else self.fruitless + len(children)
        attempted = any(proposal.attempted for proposal in proposals)
        spent = self.turns.now is not None and self.turns.now.spent > 0
        self.stalled_rounds = 0 if attempted and spent else self.stalled_rounds + 1
        if self.inputs.callbacks:
            self.emit(RoundEnded(self.round, self.result("").metrics()))

    @property
    def round(self) -> int:
        """The number of the round whose turn it is; between rounds, of the last one that began."""
        return self.rounds if self.turns.now is None else self.turns.now.number

    @property
    def may_begin(self) -> bool:
        """Whether another round may be open."""
        return len(self.turns) < self.config.rounds_at_once

    def draw_tasks(self) -> list[Task]:
        """The tasks of a round: parents from the front on minibatches, rolled out."""
        wanted = min(self.config.parents, self.affordable_tasks())
        draw = hashlib.sha256(f"{self.seed}/parents/{self.round}".encode()).digest()
        parents = self.pool.parents(int.from_bytes(draw[:8]), self.config.parents)
        drawn = [(parents[i % len(parents)], self.minibatches.next()) for i in range(wanted)]
        self.rollouts.hold(self.cost_of_task * wanted + self.cost_of_race)  # for the children
        return self.make_tasks(drawn)

    def make_tasks(self, drawn: Sequence[tuple[Candidate, list[Problem]]]) -> list[Task]:
        """Tasks of (parent, minibatch) pairs, rolled out; those with nothing left to learn are left out."""
        requests = [r for parent, batch in drawn for r in self.rollouts.requests(parent.template, batch)]
        results = iter(self.rollouts.run(requests))
        count = self.config.rollouts_per_evaluation
        tasks: list[Task] = []
        chances, front = Random(f"{self.seed}/crossover/{self.round}"), self.pool.accepted
        for parent, batch in drawn:
            shown = [[next(results) for _ in range(count)] for _ in batch]
            chance = chances.random()
            if all(self.outcomes.is_success(result.reward) for group in shown for result in group):
                self.refusals["nothing to learn"] += 1
                continue
            examples = [
                make_example(problem, group, self.outcomes.success)
                for problem, group in zip(batch, shown, strict=True)
            ]
            tasks.append(Task(parent, batch, examples, front, chance))
        return tasks

    def consider(self, proposal: Proposal, parent: Template) -> Candidate | None:
        """Enters a proposal as a candidate; None if it is refused before a rollout."""
        proposal = checked_proposal(proposal, len(self.pool))
        if proposal.text is None:
            self.refusals[proposal.refusal or "no text"] += 1
            return None
        template, reason = make_template(proposal.text), proposal.refusal
        identity = PLAIN.id if template.id == self.plain_text_id else template.id
        if identity == parent.id:
            reason = UNCHANGED
        elif identity in self.pool.decided:
            reason = DUPLICATE
        elif (
            reason is None and self.inputs.policy_reads is not None and not self.inputs.policy_reads(template)
        ):
            reason = UNREADABLE
        candidate = self.pool.add(template, proposal.parents, proposal.made_by, self.round, proposal.cost)
        if reason is not None:
            self.pool.decide(replace(candidate, reason=reason))
            return None
        # Refused again within the round; whoever fails on the minibatch only may be proposed again later.
        self.pool.decided.add(template.id)
        return candidate

    def try_out(self, children: Sequence[tuple[Candidate, Task]]) -> None:
        """Rolls the children out on their minibatches and sends the better ones to the dev set."""
        requests = [
            r for child, task in children for r in self.rollouts.requests(child.template, task.minibatch)
        ]
        self.rollouts.hold(self.cost_of_race)
        self.rollouts.run(requests)
        better: list[tuple[float, Candidate]] = []
        for child, task in children:
            scores = tuple(
                (
                    problem.id,
                    self.rollouts.mean(task.parent.template, problem),
                    self.rollouts.mean(child.template, problem),
                )
                for problem in task.minibatch
            )
            measured = replace(child, minibatch=scores)
            gain = self.rule.minibatch_gain(scores)
            if gain > 0:
                self.pool.candidates[child.id] = measured
                better.append((gain, child))
            else:
                self.pool.decided.discard(child.template.id)
                self.pool.decide(replace(measured, reason=NOT_BETTER))
        better.sort(key=lambda pair: (-pair[0], pair[1].id))
        self.enter([child for _, child in better])

    def enter(self, candidates: Sequence[Candidate], kept: int = 0) -> None:
        """Sends candidates over the dev set, for all of the budget but what is `kept`; the accepted ones join the front
        as they come in."""
        self.pool.decided.update(candidate.template.id for candidate in candidates)
        entrants = [
            Entrant(
                each.id, each.template, self.dev_order(each.template), held_out=self.pool.held_out(each.id)
            )
            for each in candidates
        ]
        orders = {each.id: each.dev for each in entrants}
        for finish in race(entrants, self.dev, self.rollouts, self.rule, kept):
            if finish.accepted:
                self.pool.accept(finish)
            else:
                self.pool.refuse(finish, orders[finish.id][: finish.seen])

    def dev_order(self, template: Template) -> list[Problem]:
        """The dev problems in an order of the template's own."""
        dev = list(self.dev)
        if self.rule.needs_random_order:
            Random(f"{self.seed}/dev/{template.id}").shuffle(dev)
        return dev

    def affordable_tasks(self) -> int:
        """Tasks whose minibatches fit into the budget beside one race over the whole dev set."""
        left = self.rollouts.affordable - self.cost_of_race
        return max(left, 0) // (2 * self.cost_of_task)

    @property
    def cost_of_task(self) -> int:
        """Rollouts of a template on a minibatch."""
        return self.minibatches.size * self.config.rollouts_per_evaluation

    @property
    def cost_of_race(self) -> int:
        """Rollouts of a template on the whole dev set, and those of the plain prompt that must be there and are not."""
        missing = self.rollouts.new(self.rule.baseline(self.dev))
        return len(self.dev) * self.config.rollouts_per_evaluation + missing

    @property
    def kept_for_rounds(self) -> int:
        """Rollouts that are not spent on judging what was there before: half of them, but for one race in any case."""
        left = self.rollouts.affordable
        return max(min(left // 2, left - self.cost_of_race), 0) if self.proposer.in_rounds else 0

    def stop_reason(self) -> str | None:
        """Why no further round may begin, or None."""
        inputs, journal, most = self.inputs, self.journal, self.inputs.reflection.max_cost
        if not self.proposer.in_rounds:
            return COMPLETE
        if most is not None and self.ledger.reflection_cost >= most:
            return "reflection limit"
        if self.affordable_tasks() == 0:
            return "budget"
        if inputs.max_rounds is not None and self.rounds >= inputs.max_rounds:
            return "rounds"
        if self.config.patience is not None and self.quiet_rounds >= self.config.patience:
            return "patience"
        if inputs.max_fruitless is not None and self.fruitless >= inputs.max_fruitless:
            return FRUITLESS
        if self.stalled_rounds >= _STALLED_ROUNDS:
            return "stalled"
        late = inputs.time_limit_s is not None and time.monotonic() - self.started >= inputs.time_limit_s
        # The clock is no answer that could be replayed: its verdict is journaled.
        verdict = {"kind": "time", "round": self.round}
        if journal.is_next(verdict) or (late and journal.read_through):
            journal.note(verdict)
            return "time"
        return None

    def emit(self, event: Event) -> None:
        """Tells the callbacks. One that stops the step during a replay stops it where the records end."""
        for callback in self.inputs.callbacks:
            try:
                callback(event)
            except KeyboardInterrupt:
                if self.journal.read_through:
                    raise
                self.journal.stop_wanted = True

    def chosen(self) -> list[Template]:
        """The training templates."""
        return self.pool.chosen()

    def result(self, reason: str) -> Evolution:
        """The step so far."""
        candidates = self.pool.settled()
        refusals = self.refusals + Counter(each.reason for each in candidates if each.reason)
        return Evolution(
            policy_version=self.policy_version,
            candidates=candidates,
            chosen=tuple(self.chosen()),
            dev_ids=tuple(problem.id for problem in self.dev),
            feedback_ids=tuple(problem.id for problem in self.inputs.feedback),
            ledger=replace(self.ledger),
            stop_reason=reason,
            rounds=self.rounds,
            solved=len(self.pool.solvers),
            solvers=dict(self.pool.solvers),
            refusals=dict(sorted(refusals.items())),
            merged=dict(self.inputs.merged),
        )
