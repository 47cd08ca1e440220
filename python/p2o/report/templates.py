"""Templates as a tree: what each was made of, what became of it and why, what it solved and what it left behind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

from p2o.evolution.result import UNPROPOSED
from p2o.report.records import Record, RunRecords

Change = tuple[Literal["same", "gone", "new"], str]
"""A piece of a template's text beside its parent's."""

LONG = 4_000
"""Characters of a text from which on it is shown as it is, without what changed: comparing takes too long."""

Outcome = Literal["in training", "accepted", "refused"]


@dataclass(slots=True)
class Node:
    """A candidate of a prompt step."""

    id: int
    text: str
    made_by: str
    outcome: Outcome
    reason: str
    """Why it was refused."""
    changes: Sequence[Change]
    """The text beside the parent's; of a first one the text alone."""
    other_parents: Sequence[int]
    """Candidates that it was made of as well."""
    solved: float
    """Rewards on the dev problems that it was tried on, added up."""
    tried: int
    """Rollouts on dev problems."""
    transfer: Record | None
    """What is known of it after the last epoch, for one that was trained under."""
    problem: str = ""
    """The one that it was made for, by its id; empty where it is for many."""
    depth: int = 0
    """Generations from the first one of its line."""
    refused: list[Node] = field(default_factory=list)
    """What came of it and led to nothing."""


@dataclass(frozen=True, slots=True)
class PromptStep:
    """One prompt step."""

    version: int
    epoch: int
    """The epoch after it, from 1."""
    nodes: Sequence[Node]
    """Each after the one that it was made of: those that were accepted or led to one that was, and those without a
    parent (the plain prompt, those given, those carried over)."""
    proposals: int
    outcomes: Counter[str]
    """Proposals by what became of them."""
    record: Record | None
    """Its line of metrics, where there is one: tokens and how it ended."""


def prompt_steps(run: RunRecords) -> list[PromptStep]:
    """The prompt steps of a run, in order; those that were skipped have no templates."""
    last = max((record["epoch"] for record in run.transfer), default=None)
    transfer = {record["template"]: record for record in run.transfer if record["epoch"] == last}
    by_version: dict[int, list[Record]] = {}
    for record in run.templates:  # of `p2o evolve` they have no version
        by_version.setdefault(record.get("version", 1), []).append(record)
    lines = {record.get("guidance/version", 0): record for record in run.prompt_steps}
    return [
        _prompt_step(version, by_version.get(version, []), transfer, lines.get(version))
        for version in sorted(by_version.keys() | lines.keys())
    ]


def _prompt_step(
    version: int, records: Sequence[Record], transfer: Mapping[str, Record], line: Record | None
) -> PromptStep:
    texts = {record["id"]: str(record["template"]["text"]) for record in records}
    nodes = {record["id"]: _node(record, texts, transfer) for record in records}
    proposed = [nodes[record["id"]] for record in records if record["made_by"] not in UNPROPOSED]
    epoch = records[0].get("epoch", 0) if records else (line or {}).get("epoch", 0)
    outcomes = Counter(node.reason or node.outcome for node in proposed)
    return PromptStep(version, epoch, _in_lines(records, nodes), len(proposed), outcomes, line)


def _in_lines(records: Sequence[Record], nodes: Mapping[int, Node]) -> list[Node]:
    """The nodes line by line, with their depths; those that lead to nothing go to the one before them that does."""
    parent_of = {record["id"]: record["parents"][0] for record in records if record["parents"]}
    leading: set[int] = set()
    for record in records:
        identity = record["id"]
        while record.get("accepted") and identity not in leading and identity in nodes:
            leading.add(identity)
            identity = parent_of.get(identity)
    children: dict[int | None, list[int]] = {}
    for identity in nodes:
        parent = parent_of.get(identity)
        children.setdefault(parent if parent in nodes else None, []).append(identity)
    found: list[Node] = []
    # (node, depth, the one before it that is shown); the next one to be shown is the last.
    todo: list[tuple[int, int, Node | None]] = [(root, 0, None) for root in reversed(children.get(None, []))]
    while todo:
        identity, depth, before = todo.pop()
        node = nodes[identity]
        if identity in leading or before is None:
            node.depth = depth
            found.append(node)
            before = node
        else:
            before.refused.append(node)
        todo += [(child, depth + 1, before) for child in reversed(children.get(identity, []))]
    return found


def _node(record: Record, texts: Mapping[int, str], transfer: Mapping[str, Record]) -> Node:
    outcome: Outcome = "refused"
    if record.get("accepted"):
        outcome = "in training" if record.get("chosen") else "accepted"
    parents = list(record["parents"])
    text = texts[record["id"]]
    parent = texts.get(parents[0], "") if parents else ""
    scores = record.get("scores", {}).values()
    return Node(
        record["id"],
        text,
        str(record["made_by"]),
        outcome,
        "" if outcome != "refused" else str(record.get("reason") or "no better than its parent"),
        changes(parent, text),
        parents[1:],
        sum(won for won, _ in scores),
        sum(tried for _, tried in scores),
        transfer.get(record["template"]["id"]),
        str(record.get("problem", "")),
    )


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """A template that problems were solved under in training, and what it left behind."""

    text: str
    made_by: str
    figures: Sequence[str]
    """As in `CARRIED_OVER`, a dash where one is not known."""


CARRIED_OVER = (
    "problems solved under it",
    "solved plain later",
    "gain of the plain rate",
    "reliance",
    "context ratio",
    "tokens masked",
)


def carried_over(run: RunRecords) -> list[CarriedOver]:
    """What is known of each template after the newest epoch, those that solved most problems first."""
    last = max((record["epoch"] for record in run.transfer), default=None)
    newest = [record for record in run.transfer if record["epoch"] == last and record["problems"]]
    # A template that is carried over is given to the next prompt step: who made it is said the first time.
    made = {record["template"]["id"]: record for record in reversed(run.templates)}
    found = []
    for record in sorted(newest, key=lambda record: -record["problems"]):
        unknown = {"template": {"text": record["template"]}, "made_by": ""}
        origin = made.get(record["template"], unknown)
        figures = (
            f"{record['problems']:,}",
            _figure(record["solved_later"], ".0%", record["tried_later"]),
            _figure(record["gain"], "+.0%", record["compared"]),
            _figure(record["reliance"], "+.0%", record["reliance_problems"]),
            _figure(record["context_ratio"], ".3g"),
            _figure(record["context_masked"], ".1%"),
        )
        found.append(CarriedOver(str(origin["template"]["text"]), str(origin["made_by"]), figures))
    return found


def _figure(value: float | None, form: str, count: int | None = None) -> str:
    """A figure, and of how many problems; a dash where it is not known."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:{form}}" if count is None else f"{value:{form}} of {count:,}"


def changes(parent: str, text: str) -> list[Change]:
    """What of a text is new beside its parent's, and what of the parent's is gone, word by word."""
    if not parent or max(len(parent), len(text)) > LONG:
        return [("same", text)]
    before, after = (re.findall(r"\s+|\S+", each) for each in (parent, text))
    found: list[Change] = []
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, False).get_opcodes():
        gone, new = "".join(before[start:end]), "".join(after[new_start:new_end])
        found += [("same", new)] if kind == "equal" else [("gone", gone), ("new", new)]
    return [change for change in found if change[1]]
