"""Hard problems followed through a run: how the policy failed, what solved them, and whether it does so plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from p2o.report.records import Record, RunRecords
from p2o.rewards import with_usual_end_of_thought
from p2o.rollout.reward import RewardConfig
from p2o.templates import PLAIN
from p2o.verifier import verify

MOST = 12
"""Problems in a report."""

REASONS = {
    "correct": "",
    "wrong": "another value than the gold",
    "no_answer": "no answer found",
    "timeout": "the comparison took too long",
    "gold_unparsable": "the gold cannot be read",
}
"""What a verdict means, in a few words."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One completion of the problem."""

    epoch: int
    template: str
    """The template's text; empty on the plain prompt."""
    text: str
    reward: float
    answer: str | None = None
    """What the verifier took for the answer; None where there is none, or another function judges."""
    reason: str = ""
    """Why it was not rewarded, in a few words; empty where that is not known."""

    @property
    def plain(self) -> bool:
        """Whether it was drawn on the plain prompt."""
        return not self.template

    @property
    def solved(self) -> bool:
        """Whether the reward is full."""
        return self.reward >= 1


@dataclass(frozen=True, slots=True)
class Story:
    """A problem that was hard when the run met it."""

    problem: str
    question: str
    gold: str
    attempts: Sequence[Attempt]
    """In the order of the run."""

    @property
    def guided(self) -> Attempt | None:
        """The first success under a template."""
        return next((each for each in self.attempts if each.solved and not each.plain), None)

    @property
    def learnt(self) -> Attempt | None:
        """The first plain success after one under a template, or the first one of all if there is none of those."""
        after = self.attempts[self.attempts.index(self.guided) :] if self.guided else self.attempts
        return next((each for each in after if each.solved and each.plain), None)

    @property
    def chapters(self) -> int:
        """How much of the method it shows: solved under a template, then plain."""
        return 2 * (self.guided is not None) + (self.learnt is not None)

    def by_epoch(self) -> dict[int, list[Attempt]]:
        """The attempts of each epoch."""
        found: dict[int, list[Attempt]] = {}
        for attempt in self.attempts:
            found.setdefault(attempt.epoch, []).append(attempt)
        return found


def hard_problems(run: RunRecords, most: int = MOST) -> list[Story]:
    """The problems of the rollouts on file whose first plain attempts all failed, those that show most first."""
    grouped: dict[str, list[Record]] = {}
    for record in run.rollouts:
        if "question" in record:  # runs of earlier versions do not say what was asked
            grouped.setdefault(str(record["problem"]), []).append(record)
    texts = {str(record["template"]["id"]): str(record["template"]["text"]) for record in run.templates}
    began_hard = (records for records in grouped.values() if _began_hard(records))
    stories = [_story(records, texts) for records in began_hard]
    stories.sort(key=lambda story: (-story.chapters, -len(story.by_epoch()), story.problem))
    # Only what is shown is verified again.
    return [_judged(story, grouped[story.problem], run.reward) for story in stories[:most]]


def _began_hard(records: Sequence[Record]) -> bool:
    plain = [record for record in records if record["template"] == PLAIN.id]
    first = [record for record in plain if record["step"] == plain[0]["step"]]
    return bool(first) and all(record["reward"] < 1 for record in first)


def _story(records: Sequence[Record], texts: Mapping[str, str]) -> Story:
    attempts = []
    for record in records:
        identity = record["template"]
        template = "" if identity == PLAIN.id else texts.get(identity, f"(template {identity})")
        attempts.append(Attempt(record["epoch"], template, record["text"], record["reward"]))
    first = records[0]
    return Story(str(first["problem"]), str(first["question"]), str(first["gold"]), attempts)


def _judged(story: Story, records: Sequence[Record], reward: RewardConfig | None) -> Story:
    """The story with what the verifier says of each attempt, as it was asked in training."""
    options = None if reward is None else reward.verifier_options()
    judged = []
    for attempt, record in zip(story.attempts, records, strict=True):
        answer, reason = None, ""
        if options is not None:
            verdict = verify(with_usual_end_of_thought(attempt.text), story.gold, **options)
            answer = verdict.extracted
            if not attempt.solved:
                reason = REASONS.get(verdict.status, verdict.status) or "refused by this run's rules"
        if record["finish_reason"] == "length" and not attempt.solved:
            reason = f"cut off after {record['tokens']:,} tokens"
        judged.append(replace(attempt, answer=answer, reason=reason))
    return replace(story, attempts=judged)
