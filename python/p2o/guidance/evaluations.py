"""The rollouts of a prompt step that are worth training on: whole, where evolution itself needs only their rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p2o.evolution import Evolution
from p2o.evolution.events import Decided, Event
from p2o.files import append_jsonl, read_jsonl, write_jsonl
from p2o.rollout.collect import RolloutRequest
from p2o.rollout.record import rollout_from_dict, rollout_to_dict
from p2o.templates import PLAIN
from p2o.types import Group, Problem, Rollout

Key = tuple[str, str, int]
"""(template id, problem id, rollout index)."""

Tokens = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Of a response: ids and log-probs, [T] each."""


class Evaluations:
    """What was drawn under the plain prompt and under templates that are not refused, of one prompt step.

    Args:
        file: where it is written down as well, for a step that is killed: a rollout that is drawn again has the same
            tokens, but log-probs that may differ by rounding. What is there is taken up.
    """

    def __init__(self, file: Path) -> None:
        self._rollouts: dict[Key, tuple[Rollout, Tokens]] = {}
        self._file = file
        if file.exists():
            records = read_jsonl(file)
            write_jsonl(file, records)  # without a line that a kill cut off: what it held is drawn again
            for record in records:
                self._add(rollout_from_dict(record))

    def keep(self, requests: Sequence[RolloutRequest], rollouts: Sequence[Rollout]) -> None:
        """Keeps the rollouts of the requests."""
        kept = [
            replace(rollout, index=request.index) for request, rollout in zip(requests, rollouts, strict=True)
        ]
        for rollout in kept:
            self._add(rollout)
        append_jsonl(self._file, map(rollout_to_dict, kept))

    def find(self, requests: Sequence[RolloutRequest]) -> list[Rollout] | None:
        """What was drawn for these requests; None unless all of it is here.

        A step killed while it noted the rewards of a batch asks for the rest again. In a smaller batch their log-probs
        could differ by rounding; of a batch that was not written down whole nothing was noted, and all is drawn again.
        """
        keys = [(request.template.id, request.problem.id, request.index) for request in requests]
        if self.missing(keys):
            return None
        return [self._whole(key) for key in keys]

    def _whole(self, key: Key) -> Rollout:
        rollout, (ids, logprobs) = self._rollouts[key]
        return replace(rollout, response_ids=ids.tolist(), sampler_logprobs=logprobs.tolist())

    def _add(self, rollout: Rollout) -> None:
        """Its tokens as arrays: a prompt step draws millions."""
        tokens = (
            np.asarray(rollout.response_ids, np.int32),
            np.asarray(rollout.sampler_logprobs, np.float32),
        )
        bare = replace(rollout, response_ids=(), sampler_logprobs=())
        self._rollouts[rollout.template_id, rollout.problem_id, rollout.index] = bare, tokens

    def on_event(self, event: Event) -> None:
        """Lets go of what was drawn under a template that was refused; a callback of `p2o.evolve`."""
        if isinstance(event, Decided) and event.candidate.reason and event.candidate.made_by != "plain":
            refused = event.candidate.template.id
            for key in [key for key in self._rollouts if key[0] == refused]:
                del self._rollouts[key]

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Those that are not in memory."""
        return [key for key in keys if key not in self._rollouts]

    def recall(self, keys: Sequence[Key]) -> list[Key]:
        """Reads back what was let go of, and returns what a damaged file lacks.

        A template that was refused may be proposed again and accepted, or an accepted one proposed again and refused.
        """
        if lost := set(self.missing(keys)):
            for record in read_jsonl(self._file):
                rollout = rollout_from_dict(record)
                if (rollout.template_id, rollout.problem_id, rollout.index) in lost:
                    self._add(rollout)
        return self.missing(keys)

    def groups(self, keys: Sequence[Key], problems: Mapping[str, Problem]) -> list[Group]:
        """A group of each problem, in the order of `keys`; indices count within it."""
        grouped: dict[str, list[Rollout]] = {}
        for key in keys:
            rollouts = grouped.setdefault(key[1], [])
            rollouts.append(replace(self._whole(key), index=len(rollouts)))
        return [Group(problems[identity], rollouts) for identity, rollouts in grouped.items()]


def drawn_on_dev(evolution: Evolution) -> list[Key]:
    """The rollouts of the dev problems, plain and under each chosen template, problem by problem."""
    ids = {PLAIN.id, *(template.id for template in evolution.chosen)}
    used = [
        candidate for candidate in evolution.candidates if candidate.template.id in ids and candidate.scores
    ]
    return [
        (candidate.template.id, problem_id, index)
        for problem_id in evolution.dev_ids
        for candidate in used
        for index in range(int(candidate.scores.get(problem_id, (0.0, 0))[1]))
    ]
