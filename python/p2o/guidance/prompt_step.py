"""The prompt step inside a run: `p2o.evolve`, with the policy to evaluate and a reflection model to propose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from p2o.errors import RunDirectoryError, TooFewProblemsError
from p2o.evolution import Evolution, EvolveConfig, evolve
from p2o.evolution.budget import rollouts_of
from p2o.evolution.events import Decided, Event, RolloutsDone, Started
from p2o.evolution.propose import proposer_class
from p2o.evolution.propose.refuse import PROMPT_TOO_LONG, gives_away
from p2o.evolution.result import FRUITLESS, PLAIN_ENOUGH, Candidate
from p2o.evolution.search.step import COMPLETE
from p2o.evolution.types import (
    TOO_LONG_WITH_TEMPLATE,
    EvaluationRequest,
    EvaluationResult,
    ReflectionReply,
    ReflectionRequest,
)
from p2o.guidance.evaluations import Evaluations, drawn_on_dev
from p2o.guidance.guidance import GuidanceParts
from p2o.guidance.spending import Allowance
from p2o.outcomes.outcomes import Outcomes
from p2o.outcomes.solutions import Solution
from p2o.reflection import SelfReflection
from p2o.rollout.collect import RolloutRequest
from p2o.rollout.rollouts import all_known
from p2o.rollout.sampler import SamplingParams
from p2o.seeds import derive_seed
from p2o.track.console import Console
from p2o.track.run_directory import template_records
from p2o.types import Group, Problem, Rollout, Template

WHOLE = Allowance()
"""All of `evolve.budget`."""


@dataclass(frozen=True, slots=True)
class PromptStepOutcome:
    """What a prompt step brought; `reason` says it in a few words.

    `evolution` is the step, which may have chosen nothing. Where it was skipped it is the one before, if that one's
    templates stay in use, or None.
    """

    evolution: Evolution | None
    tokens: int
    reason: str
    groups: Sequence[Group] = ()
    """Its rollouts of dev problems, plain and under the templates it chose: those that may be trained on."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Proposals that came to nothing, by reason: nobody else tells of those that brought no text."""
    records: Sequence[Mapping[str, Any]] = ()
    """What was written of its candidates."""
    tried: Sequence[Candidate] = ()
    """Its proposals that were rolled out."""

    def summary(self) -> dict[str, Any]:
        """For the history and the final table."""
        chosen = [] if self.evolution is None else [template.text for template in self.evolution.chosen]
        return {"templates": chosen, "tokens": self.tokens, "reason": self.reason, "refusals": self.refusals}


class Heartbeat:
    """Says now and then how far a prompt step is: a callback of `evolve`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.limit = self.spent = self.proposals = self.accepted = 0

    def __call__(self, event: Event) -> None:
        """Takes an event of the step."""
        match event:
            case Started():
                self.limit = event.rollout_limit
            case RolloutsDone():
                self.spent = event.spent
            case Decided(candidate) if candidate.proposed:
                self.proposals += 1
                self.accepted += candidate.accepted
        self.console.under_way(
            lambda: (
                f"prompt step: {self.spent} of at most {self.limit} rollouts, {self.accepted} of {self.proposals} "
                "proposals accepted"
            )
        )


class PromptStep:
    """Evolves templates on the hard problems of an epoch.

    Rank 0 alone keeps the books (front, journal, budget); all ranks roll out, and reflect where the model is their own.
    """

    def __init__(self, parts: GuidanceParts) -> None:
        self.config = config = parts.config
        self.problems = {problem.id: problem for problem in parts.problems}
        self.collector = parts.collector
        self.params = SamplingParams.of(config.rollout)
        self.reflect = parts.reflect
        self.directory = parts.directory
        self.console = parts.console
        self.given = parts.templates
        self.quotes = proposer_class(config.evolve, config.reflection).quotes
        # What is read once is not read again: an edited file must not change a run under way.
        self.settings = config.evolve.model_copy(update={"templates": None})
        self.limits: dict[str, Any] = {}  # `max_rounds` and `time_limit_s` of `p2o.evolve`

    def evolve(
        self,
        hard: Mapping[str, str],
        outcomes: Outcomes,
        *,
        version: int,
        epoch: int,
        previous: Evolution | None,
        allowance: Allowance = WHOLE,
        keep_rollouts: bool = False,
        solutions: Iterable[Solution] = (),
    ) -> PromptStepOutcome:
        """One prompt step on the hard problems `hard` (problem id -> kind), by the policy of `version`, for rollouts of
        `epoch`.

        Whatever goes wrong with the reflection model ends the prompt step and not the run; the outcome's `reason`
        says why. With `evolve.carry_over` the templates of the step before are candidates of this one, and stay in
        use where it is skipped; without, the next epoch is then plain GRPO. With `keep_rollouts` the outcome has
        `groups`.
        """
        carried = previous if self.config.evolve.carry_over else None
        least = self.config.mining.min_count
        if len(hard) < least:
            reason = f"skipped: {len(hard)} hard problems, under mining.min_count = {least}"
            return PromptStepOutcome(carried, 0, reason)
        seed = derive_seed(self.config.run.seed, "evolve", version)
        kept = self._evaluations(version) if keep_rollouts else None
        actions: dict[str, Callable[..., Any]] = {"collect": self._collect}
        some_problem = self.problems[min(hard)]
        fits = None
        if isinstance(self.reflect, SelfReflection):
            actions["reflect"] = self._reflect
            fits = self.reflect.fits
        # One that answers beside rollouts, whose bar is shown.
        reflect = self.reflect if getattr(self.reflect, "beside", False) else self._reflect
        try:
            evolution = self.collector.processes.lead(
                actions,
                lambda actions: evolve(
                    [self.problems[identity] for identity in hard],
                    lambda requests: self._evaluate(requests, seed, actions["collect"], kept),
                    actions.get("reflect", reflect),
                    self._settings(len(hard), allowance),
                    reflection=self.config.reflection,
                    seed=seed,
                    policy_version=str(version),
                    outcomes=outcomes,
                    journal=self.directory.journals / _journal_name(version),
                    callbacks=(Heartbeat(self.console), *(() if kept is None else (kept.on_event,))),
                    templates=[*self._given(version), *in_use(carried)],
                    reflection_fits=fits,
                    solutions=solutions,
                    policy_reads=lambda template: self.collector.reads(some_problem, template),
                    plain_enough=allowance.plain_enough,
                    max_fruitless=allowance.max_fruitless,
                    **self.limits,
                ),
            )
        except TooFewProblemsError as error:
            return PromptStepOutcome(carried, 0, f"skipped: {error}")
        if evolution.stop_reason == "interrupted":
            raise KeyboardInterrupt  # Ctrl-C means the run, not only this step
        records = template_records(version, epoch, evolution)
        self.directory.log_templates(version, records)
        tokens = evolution.ledger.rollout_tokens + evolution.ledger.reflection_tokens
        groups = self._groups(evolution, kept, version) if keep_rollouts else ()
        return PromptStepOutcome(
            evolution,
            tokens,
            outcome_of(evolution),
            groups,
            evolution.refusals,
            records,
            [each for each in evolution.candidates if each.proposed and each.tried],
        )

    def available(self, template: Template, problem_id: str) -> bool:
        """Whether a template may be given to a problem: not where it gives it away and solutions are quoted."""
        return not (self.quotes and gives_away(template, self.problems[problem_id]))

    def _evaluations(self, version: int) -> Evaluations | None:
        """What keeps the step's rollouts, on rank 0; those of earlier steps are no longer needed."""
        if not self.collector.processes.is_main:
            return None
        file = self.directory.journals / _rollouts_name(version)
        for other in self.directory.journals.glob("rollouts-*.jsonl"):
            if other != file:
                other.unlink()
        return Evaluations(file)

    def _settings(self, hard: int, allowance: Allowance) -> EvolveConfig:
        """`[evolve]` of a step on so many problems."""
        if allowance.share == 1.0:
            return self.settings
        budget = rollouts_of(self.settings.budget, min(self.settings.dev_size, hard // 2))
        return self.settings.model_copy(update={"budget": max(1, round(allowance.share * budget))})

    def _groups(self, evolution: Evolution, kept: Evaluations | None, version: int) -> list[Group]:
        """What was drawn on the dev problems, on all ranks; rank 0 has `kept` it.

        Raises:
            RunDirectoryError: if the step's journal tells of rollouts that its file of rollouts lacks.
        """
        processes, keys = self.collector.processes, drawn_on_dev(evolution)
        missing = kept.recall(keys) if kept is not None else []
        with processes.raising_on_all():
            if missing:
                raise RunDirectoryError(
                    f"{self.directory.journals}: {_rollouts_name(version)} lacks {len(missing)} rollouts that "
                    f"{_journal_name(version)} tells of: delete both, and the prompt step is made again"
                )
        return processes.broadcast(kept.groups(keys, self.problems) if kept is not None else [])

    def _given(self, version: int) -> Sequence[Template]:
        """The templates given, in the first prompt step that takes place; in each where nobody proposes others."""
        if not proposer_class(self.config.evolve, self.config.reflection).in_rounds:
            return self.given
        journals = self.directory.journals.glob("prompt-step-*.jsonl")
        return () if any(journal.name < _journal_name(version) for journal in journals) else self.given

    def _reflect(self, requests: list[ReflectionRequest]) -> Iterable[ReflectionReply]:
        """The reflection model's replies."""
        with self.console.phase("prompt step  reflection", len(requests)):
            return self.reflect(requests)

    def _collect(self, requests: Sequence[RolloutRequest]) -> list[Rollout]:
        """The rollouts of one batch, on all ranks."""
        with self.console.phase("prompt step  rollouts", len(requests)) as progress:
            return all_known(self.collector.collect(requests, self.params, progress))

    def _evaluate(
        self,
        requests: Sequence[EvaluationRequest],
        seed: int,
        collect: Callable[[Sequence[RolloutRequest]], list[Rollout]],
        kept: Evaluations | None = None,
    ) -> list[EvaluationResult]:
        """Rewards of templates on problems."""
        asked = [
            self._request(request.problem, request.template, request.rollout_index, seed)
            for request in requests
        ]
        rollouts = None if kept is None else kept.find(asked)
        if rollouts is None:
            rollouts = collect(asked)
            if kept is not None:
                kept.keep(asked, rollouts)
        return [
            EvaluationResult(rollout.reward, rollout.text, rollout.finish_reason, len(rollout.response_ids))
            if rollout.response_ids
            else TOO_LONG_WITH_TEMPLATE
            for rollout in rollouts
        ]

    def _request(self, problem: Problem, template: Template, index: int, seed: int) -> RolloutRequest:
        """A rollout of the step with this seed."""
        return RolloutRequest(problem, template, index, derive_seed(seed, problem.id, template.id, index))


def in_use(evolution: Evolution | None) -> list[Template]:
    """The templates that the next step begins with: those chosen, or where the step ended early those it began with."""
    if evolution is None:
        return []
    if evolution.stop_reason == PLAIN_ENOUGH:
        return [candidate.template for candidate in evolution.candidates if candidate.made_by == "given"]
    return list(evolution.chosen)


def _journal_name(version: int) -> str:
    """The journal of the prompt step of a policy version."""
    return f"prompt-step-{version:04d}.jsonl"


def _rollouts_name(version: int) -> str:
    """The rollouts of that step, where they are trained on."""
    return f"rollouts-{version:04d}.jsonl"


def outcome_of(evolution: Evolution) -> str:
    """A prompt step in a few words."""
    proposals = sum(candidate.proposed for candidate in evolution.candidates)
    given = sum(candidate.made_by == "given" for candidate in evolution.candidates)
    chosen = len(evolution.chosen)
    found = f"{chosen} template{'s' * (chosen != 1)} from {proposals} proposal{'s' * (proposals != 1)}"
    if evolution.stop_reason == COMPLETE and not proposals:
        return f"{len(evolution.chosen)} templates of {given} given"
    if evolution.stop_reason == PLAIN_ENOUGH:
        return f"ended: plain rollouts solve {evolution.candidates[0].success_rate:.0%}"
    # A limit that was set is the normal end; anything else is worth a word, and so is one that let no round begin.
    if too_long := evolution.refusals.get(PROMPT_TOO_LONG):
        found += f", {too_long} reflection prompts too long"
    normal = evolution.stop_reason in ("budget", "complete", FRUITLESS) and evolution.rounds > 0
    return found if normal else f"{found} ({evolution.stop_reason})"
