"""Hard problems followed through a run: how the policy failed, what solved them, and whether it does so plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from p2o.outcomes.outcomes import is_success
from p2o.report.records import Record, RunRecords
from p2o.rewards import with_usual_end_of_thought
from p2o.templates import PLAIN
from p2o.verifier import VerifyOptions, verify

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
    solved: bool
    """Whether it counts as a success (`mining.success`)."""
    answer: str | None = None
    """What the verifier took for the answer; None where there is none, or another function judges."""
    reason: str = ""
    """Why it was not rewarded, in a few words; empty where that is not known."""

    @property
    def plain(self) -> bool:
        """Whether it was drawn on the plain prompt."""
        return not self.template


@dataclass(frozen=True, slots=True)
class Story:
    """A problem that was hard when the run met it."""

    problem: str
    question: str
    gold: str
    attempts: Sequence[Attempt]
    """In the order of the run."""
    chapters: int
    """How much of the method it shows: see `Course`."""

    @property
    def guided(self) -> Attempt | None:
        """The first success under a template."""
        return next((each for each in self.attempts if each.solved and not each.plain), None)

    @property
    def learnt(self) -> Attempt | None:
        """The first plain success after one under a template, or the first one of all if there is none of those."""
        after = self.attempts[self.attempts.index(self.guided) :] if self.guided else self.attempts
        return next((each for each in after if each.solved and each.plain), None)


@dataclass(slots=True)
class Course:
    """What became of a problem, without the texts: all problems of a run are followed, few of them are shown."""

    first_step: int | None = None
    """Of the first plain attempts."""
    began_hard: bool = True
    """Whether those all failed."""
    guided: bool = False
    """Whether a template solved it."""
    learnt: bool = False
    """Whether it was solved plain: after a template solved it, where one did."""
    epochs: set[int] = field(default_factory=set)

    def add(self, record: Record, *, solved: bool) -> None:
        """Takes in the next attempt."""
        plain = record["template"] == PLAIN.id
        self.epochs.add(record["epoch"])
        if plain and self.first_step in (None, record["step"]):
            self.first_step = record["step"]
            self.began_hard &= not solved
        if solved and plain:
            self.learnt = True
        elif solved and not self.guided:
            self.guided, self.learnt = True, False

    @property
    def chapters(self) -> int:
        """How much of the method it shows: solved under a template, then plain."""
        return 2 * self.guided + self.learnt


def hard_problems(run: RunRecords, most: int = MOST) -> list[Story]:
    """The problems of the rollouts on file whose first plain attempts all failed, those that show most first.

    The rollouts are gone through twice, and only the texts of what is shown are kept.
    """
    courses: dict[str, Course] = {}
    for record in run.rollouts:
        if "question" in record:  # runs of earlier versions do not say what was asked
            solved = is_success(record["reward"], run.success)
            courses.setdefault(str(record["problem"]), Course()).add(record, solved=solved)
    hard = [name for name, course in courses.items() if course.began_hard and course.first_step is not None]
    hard.sort(key=lambda name: (-courses[name].chapters, -len(courses[name].epochs), name))
    shown: dict[str, list[Record]] = {name: [] for name in hard[:most]}
    if shown:
        for record in run.rollouts:
            if str(record["problem"]) in shown:
                shown[str(record["problem"])].append(record)
    texts = {str(record["template"]["id"]): str(record["template"]["text"]) for record in run.templates}
    options = None if run.reward is None else run.reward.verifier_options()
    return [
        Story(
            name,
            str(records[0]["question"]),
            str(records[0]["gold"]),
            [_attempt(record, texts, options, run.success) for record in records],
            courses[name].chapters,
        )
        for name, records in shown.items()
    ]


def _attempt(
    record: Record, texts: Mapping[str, str], options: VerifyOptions | None, success: float
) -> Attempt:
    """An attempt, with what the verifier says of it, as it was asked in training."""
    identity, reward, answer, reason = record["template"], record["reward"], None, ""
    template = "" if identity == PLAIN.id else texts.get(identity, f"(template {identity})")
    if options is not None:
        verdict = verify(with_usual_end_of_thought(record["text"]), str(record["gold"]), **options)
        answer = verdict.extracted
        reason = REASONS.get(verdict.status, verdict.status) or "refused by this run's rules"
    if record["finish_reason"] == "length":
        reason = f"cut off after {record['tokens']:,} tokens"
    solved = is_success(reward, success)
    return Attempt(
        record["epoch"], template, record["text"], reward, solved, answer, "" if solved else reason
    )
