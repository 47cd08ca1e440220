"""A world for tests of the prompt step: problems of three kinds, each solved by a template that names it.

Policy and reflection model are pure functions of the request: the same seed gives the same answers.
"""

import json
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any

from p2o.evolution import (
    EvaluationRequest,
    EvaluationResult,
    EvolveConfig,
    ReflectionConfig,
    ReflectionReply,
    ReflectionRequest,
)
from p2o.evolution.budget import Ledger
from p2o.evolution.inputs import StepInputs
from p2o.evolution.journal import Journal
from p2o.outcomes import Outcomes
from p2o.types import Message, Problem

KINDS = ("circles", "primes", "graphs")


def make_problems(count: int) -> list[Problem]:
    return [
        Problem(
            f"{KINDS[i % 3]}-{i:03d}",
            (Message(role="user", content=f"A question about {KINDS[i % 3]} with number {i}"),),
            gold=f"gold-{i:03d}",
        )
        for i in range(count)
    ]


def signed(record: dict[str, Any]) -> str:
    """The line of a journal that holds a record."""
    text = json.dumps({name: value for name, value in record.items() if name != "check"})
    return f'{text[:-1]}, "check": "{zlib.crc32(text.encode()):08x}"}}\n'


def limits(options: dict[str, Any]) -> dict[str, Any]:
    """Takes out of `options` what `evolve` has as arguments of its own; the others are settings."""
    return {name: options.pop(name) for name in ("max_rounds", "time_limit_s") if name in options}


def by_race(**settings: Any) -> EvolveConfig:
    """Settings of a step under `posterior`, which needs no more than three dev problems."""
    return EvolveConfig(**{"acceptance": "posterior", **settings})


def step_inputs(**given: Any) -> StepInputs:
    """Inputs of a step that asks nobody, without problems; `given` replaces them."""
    inputs = {
        "config": by_race(),
        "reflection": ReflectionConfig(),
        "evaluate": lambda requests: [],
        "reflect": lambda requests: [],
        "seed": 0,
        "policy_version": "0",
        "outcomes": Outcomes(),
        "dev": [],
        "feedback": [],
        "shown": given.get("feedback", []),
        "journal": Journal(None, {}),
        "ledger": Ledger(100),
    }
    return StepInputs(**{**inputs, **given})


class World:
    """`plain` and `right` are the success rates without and with the right template; `useful` is the share of
    replies that name a kind. It records every rollout and refuses to make one twice."""

    def __init__(self, plain: float = 0.05, right: float = 0.9, useful: float = 0.5, seed: int = 0) -> None:
        self.plain = plain
        self.right = right
        self.useful = useful
        self.seed = seed
        self.rollouts: dict[tuple[str, str, int], None] = {}
        self.batches: list[int] = []
        self.calls: list[ReflectionRequest] = []

    def evaluate(self, requests: list[EvaluationRequest]) -> Iterator[EvaluationResult]:
        self.batches.append(len(requests))
        for request in requests:
            key = (request.template.id, request.problem.id, request.rollout_index)
            assert key not in self.rollouts, f"rolled out twice: {key}"
            self.rollouts[key] = None
            draw = Random(f"{self.seed}/{key}").random()
            yield EvaluationResult(float(draw < self.rate(request)), f"response to {key}", "stop", 7)

    def rate(self, request: EvaluationRequest) -> float:
        kind = request.problem.id.split("-")[0]
        return self.right if kind in request.template.text else self.plain

    def reflect(self, requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        self.calls.extend(requests)
        return [self.reply(request) for request in requests]

    def reply(self, request: ReflectionRequest) -> ReflectionReply:
        random = Random(f"{self.seed}/{request.seed}")
        word = random.choice(KINDS) if random.random() < self.useful else "nothing"
        return ReflectionReply(
            f"```\nThink of {word}, variant {random.randrange(10**6)}.\n```", "stop", 11, 0.5
        )
