"""The rollouts of a prompt step that are worth training on: whole, where evolution itself needs only their rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from p2o.evolution import Evolution
from p2o.evolution.events import Decided, Event
from p2o.rollout.collect import RolloutRequest
from p2o.templates import PLAIN
from p2o.types import Group, Problem, Rollout, Template

Key = tuple[str, str, int]
"""(template id, problem id, rollout index)."""

Tokens = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Of a response: ids and log-probs, [T] each."""


class Evaluations:
    """What was drawn under the plain prompt and under templates that are not refused, of one prompt step."""

    def __init__(self) -> None:
        self._rollouts: dict[Key, tuple[Rollout, Tokens]] = {}

    def keep(self, requests: Sequence[RolloutRequest], rollouts: Sequence[Rollout]) -> None:
        """Keeps the rollouts of the requests, their tokens as arrays: a prompt step draws millions."""
        for request, rollout in zip(requests, rollouts, strict=True):
            tokens = (
                np.asarray(rollout.response_ids, np.int32),
                np.asarray(rollout.sampler_logprobs, np.float32),
            )
            bare = replace(rollout, response_ids=(), sampler_logprobs=())
            self._rollouts[request.template.id, request.problem.id, request.index] = bare, tokens

    def on_event(self, event: Event) -> None:
        """Lets go of what was drawn under a template that was refused; a callback of `p2o.evolve`."""
        if isinstance(event, Decided) and event.candidate.reason and event.candidate.made_by != "plain":
            refused = event.candidate.template.id
            for key in [key for key in self._rollouts if key[0] == refused]:
                del self._rollouts[key]

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Those that are not here: a step that was resumed has only their rewards, from its journal."""
        return [key for key in keys if key not in self._rollouts]

    def groups(self, keys: Sequence[Key], problems: Mapping[str, Problem]) -> list[Group]:
        """A group of each problem, in the order of `keys`; indices count within it."""
        grouped: dict[str, list[Rollout]] = {}
        for key in keys:
            rollouts = grouped.setdefault(key[1], [])
            rollout, (ids, logprobs) = self._rollouts[key]
            rollouts.append(
                replace(
                    rollout,
                    index=len(rollouts),
                    response_ids=ids.tolist(),
                    sampler_logprobs=logprobs.tolist(),
                )
            )
        return [Group(problems[identity], rollouts) for identity, rollouts in grouped.items()]


def drawn_on_dev(evolution: Evolution) -> list[Key]:
    """The rollouts of the dev problems, plain and under each chosen template, problem by problem."""
    plain, chosen = evolution.candidates[0], [evolution.candidate_of(each.id) for each in evolution.chosen]
    used = [plain, *(candidate for candidate in chosen if candidate is not None)]
    return [
        (candidate.template.id, problem_id, index)
        for problem_id in evolution.dev_ids
        for candidate in used
        for index in range(int(candidate.scores.get(problem_id, (0.0, 0))[1]))
    ]


def template_of(evolution: Evolution, template_id: str) -> Template:
    """The plain prompt or a chosen template, by its id."""
    return next(template for template in (PLAIN, *evolution.chosen) if template.id == template_id)
