"""What a file of problems holds, before anything is trained on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from p2o.data import OWN_RULES, ConflictError, Reader, RecordData
from p2o.problem_fields import BadGoldError, lost_backslash
from p2o.records import Record
from p2o.types import Problem

NGRAM = 8
"""Words of the sequences by which problems are compared; a shorter problem is one sequence."""

SHARED_LEAST = 0.5
"""Share of an evaluation problem's sequences that are in training problems from which it counts as seen."""

_KINDS = (
    ("integer", r"[-+]?\d{1,3}(?:,\d{3})+|[-+]?\d+"),
    ("decimal", r"[-+]?\d*\.\d+"),
    ("fraction", r"[-+]?(?:\d+\s*/\s*\d+|\\[dt]?frac\{\s*-?\d+\s*\}\{\s*\d+\s*\})"),
    ("percentage or unit", r"[-+]?[\d.,]+\s*(?:\\?%|[^\W\d_\\]+|\\text.*|\^?\\?circ.*)"),
    ("several values", r".*,.*|.*\\cup.*|.*\bor\b.*|.*\\pm.*"),
    ("words", r"[^\W\d_][^\\=^+*/]*"),
)


@dataclass(slots=True)
class Survey:
    """What was found."""

    problems: list[Problem] = field(default_factory=list)
    records: int = 0
    merged: int = 0
    fields: str = ""
    unreadable: list[str] = field(default_factory=list)
    """Why golds cannot be used, a line each."""
    conflicts: list[str] = field(default_factory=list)
    """Golds that contradict earlier ones, a line each."""

    @property
    def damaged(self) -> list[str]:
        """Problems that have lost a backslash of LaTeX, a line each."""
        texts = ((problem.place, problem.messages[-1]["content"]) for problem in self.problems)
        return [
            f"{place}: {lost!r} in {text[:60]!r}" for place, text in texts if (lost := lost_backslash(text))
        ]

    @property
    def golds(self) -> Counter[str]:
        """The golds by their kind."""
        return Counter(kind_of(problem.gold) for problem in self.problems)

    @property
    def lengths(self) -> list[int]:
        """Characters of the problems, ascending."""
        return sorted(sum(len(message["content"]) for message in p.messages) for p in self.problems)


def survey(records: Iterable[Record], config: RecordData) -> Survey:
    """Reads all records; golds of no use and contradictions are gathered instead of ending it.

    Raises:
        DataError: if a record is malformed.
    """
    reader, found = Reader(config, OWN_RULES, needs_gold=True), Survey()
    for where, record in records:
        try:
            reader.add(where, record)
        except BadGoldError as error:
            found.unreadable.append(str(error))
        except ConflictError as error:
            found.conflicts.append(str(error))
    found.problems, found.records, found.merged = reader.problems, reader.records, reader.merged
    found.fields = reader.fields
    return found


def kind_of(gold: str) -> str:
    """A gold's kind, in a word or two."""
    text = gold.strip().strip("$").strip()
    return next((kind for kind, form in _KINDS if re.fullmatch(form, text, re.DOTALL)), "expression")


def seen(train: Sequence[Problem], evaluation: Sequence[Problem]) -> list[tuple[Problem, float]]:
    """The evaluation problems of which at least half is in training problems, word for word, and how much of each."""
    known = {sequence for problem in train for sequence in _sequences(problem)}
    shares = [
        (problem, sum(sequence in known for sequence in own) / len(own))
        for problem in evaluation
        if (own := _sequences(problem))
    ]
    return sorted((pair for pair in shares if pair[1] >= SHARED_LEAST), key=lambda pair: -pair[1])


def _sequences(problem: Problem) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", problem.messages[-1]["content"].lower())
    return {tuple(words[start : start + NGRAM]) for start in range(max(1, len(words) - NGRAM + 1)) if words}
