"""The candidates of a prompt step: what became of each, and the Pareto front of those that were accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from p2o._core import ParetoFront
from p2o.evolution.inputs import StepInputs
from p2o.evolution.result import COVER_THRESHOLD, Candidate
from p2o.evolution.search.acceptance import Finish, Rule
from p2o.evolution.search.cover import COVERS
from p2o.evolution.search.rollouts import Rollouts
from p2o.outcomes.outcomes import Tally
from p2o.templates import PLAIN
from p2o.types import Problem, Template

UNDECIDED = "undecided"


class CandidatePool:
    """GEPA's candidate pool. Every candidate is entered by `add` and ends with `decide`, `refuse` or `accept`.

    Args:
        rollouts: those that the candidates' scores are of.
        rule: says whether the front weighs scores by the rollouts behind them.
        tell: is called with each candidate that is decided.
    """

    def __init__(
        self, inputs: StepInputs, rollouts: Rollouts, rule: Rule, tell: Callable[[Candidate], None]
    ) -> None:
        self.inputs = inputs
        self.rollouts = rollouts
        self.rule = rule
        self.tell = tell
        self.front = ParetoFront(len(inputs.dev))
        self.front_of_successes = ParetoFront(len(inputs.dev))  # the same entries: what the cover goes by
        self.entries: list[int] = []  # candidate id of each front id
        self.candidates: list[Candidate] = []
        self.decided: set[str] = set()  # template ids that need no second trial
        self.solvers: dict[str, tuple[str, ...]] = {}  # ids of the templates that solve a dev problem

    def __getitem__(self, id: int) -> Candidate:
        return self.candidates[id]

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def accepted(self) -> list[Candidate]:
        """The candidates on the front, in the order of its entries."""
        return [self.candidates[entry] for entry in self.entries]

    def parents(self, seed: int, count: int) -> list[Candidate]:
        """Draws in proportion to the dev problems that no other solves better (`ParetoFront.select`)."""
        return [self.candidates[self.entries[entry]] for entry in self.front.select(seed, count)]

    def chosen(self) -> list[Template]:
        """The training templates, by `evolve.cover`."""
        accepted = self.accepted
        cover = COVERS[self.inputs.config.cover](self.front_of_successes, accepted)
        return [accepted[entry].template for entry in cover]

    def add(
        self, template: Template, parents: tuple[int, ...], made_by: str, round: int, cost: float = 0.0
    ) -> Candidate:
        """A new candidate, not decided yet."""
        candidate = Candidate(len(self.candidates), template, parents, made_by, round, cost=cost)
        self.candidates.append(candidate)
        self.inputs.journal.note({"kind": "proposal", **asdict(candidate)})
        return candidate

    def decide(self, candidate: Candidate) -> None:
        """Records what became of a candidate."""
        self.candidates[candidate.id] = candidate
        self.inputs.journal.note(
            {
                "kind": "decision",
                "id": candidate.id,
                "accepted": candidate.accepted,
                "reason": candidate.reason,
                "probability_better": candidate.probability_better,
                "e_value": candidate.e_value,
            }
        )
        self.tell(candidate)

    def refuse(self, finish: Finish, seen: Sequence[Problem]) -> None:
        """Records that a candidate was dropped on the dev set, after the problems `seen`."""
        self.decide(replace(self._measured(finish, seen), reason=finish.reason))

    def accept(self, finish: Finish) -> None:
        """Puts a candidate evaluated on the whole dev set on the front."""
        dev, rollouts = self.inputs.dev, self.rollouts
        candidate = self._measured(finish, dev)
        template, scores = candidate.template, candidate.scores
        self.decided.add(template.id)
        rewards = [scores[problem.id] for problem in dev]
        successes = [rollouts.successes(template, problem) for problem in dev]
        if not self.rule.counts_trials:
            self.front.insert([won / tried for won, tried in rewards])
            self.front_of_successes.insert([won / tried for won, tried in successes])
        else:
            earlier = [self._earlier(template, problem) for problem in dev]
            pairs = list(zip(rewards, successes, earlier, strict=True))
            trials = [int(tried + more.trials) for (_, tried), _, more in pairs]
            self.front.insert([won + more.rewards for (won, _), _, more in pairs], trials)
            self.front_of_successes.insert([won + more.successes for _, (won, _), more in pairs], trials)
        self.entries.append(candidate.id)
        if candidate.made_by != "plain" or self.inputs.config.cover == "greedy_with_plain":
            for problem, (won, tried) in zip(dev, successes, strict=True):
                if won / tried >= COVER_THRESHOLD:
                    self.solvers[problem.id] = (*self.solvers.get(problem.id, ()), template.id)
        self.decide(replace(candidate, accepted=True))

    def accept_unseen(self, candidate: Candidate) -> None:
        """Accepts a candidate that nothing is known of; it joins no front."""
        self.entries.append(candidate.id)
        self.decide(replace(candidate, accepted=True))

    def held_out(self, id: int) -> list[Problem]:
        """The feedback problems that were on no minibatch of a candidate or of those it was made from."""
        used: set[str] = set()
        family, known = [id], {id}
        while family:
            candidate = self.candidates[family.pop()]
            used.update(problem for problem, _, _ in candidate.minibatch)
            family += (new := set(candidate.parents) - known)
            known |= new
        return [problem for problem in self.inputs.feedback if problem.id not in used]

    def settled(self) -> tuple[Candidate, ...]:
        """All candidates as they stand: those of an interrupted round are undecided, and the plain prompt has all of
        its rollouts, of which some came in after it was accepted."""
        candidates = [
            c if c.accepted or c.made_by == "plain" else replace(c, reason=c.reason or UNDECIDED)
            for c in self.candidates
        ]
        if candidates and candidates[0].scores:
            plain = {problem.id: self.rollouts.total(PLAIN, problem) for problem in self.inputs.dev}
            candidates[0] = replace(candidates[0], scores=plain)
        return tuple(candidates)

    def _measured(self, finish: Finish, problems: Sequence[Problem]) -> Candidate:
        """A candidate with what its evaluation on problems came to; means are 0 without any."""
        candidate, rollouts = self.candidates[finish.id], self.rollouts
        template, count = candidate.template, max(len(problems), 1)
        return replace(
            candidate,
            scores={problem.id: rollouts.total(template, problem) for problem in problems},
            mean=sum(rollouts.mean(template, problem) for problem in problems) / count,
            success_rate=sum(rollouts.success_rate(template, problem) for problem in problems) / count,
            probability_better=finish.probability_better,
            e_value=finish.e_value,
        )

    def _earlier(self, template: Template, problem: Problem) -> Tally:
        """The earlier rollouts of the same template by the same policy; none of the plain prompt."""
        if template.id == PLAIN.id:
            return Tally()
        found = self.inputs.outcomes.of(template.id, problem.id, self.inputs.policy_version)
        return found._replace(rewards=min(max(found.rewards, 0.0), found.trials))
