"""The policy behind an OpenAI-compatible API: rollouts for evolution without training."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from p2o.errors import ModelError
from p2o.evolution.config import TRANSPORT, EvaluatedModelConfig, is_greedy
from p2o.evolution.endpoint.chat import ChatClient
from p2o.evolution.types import TOO_LONG_WITH_TEMPLATE, EvaluationRequest, EvaluationResult
from p2o.templates import normalize

LOGGER = logging.getLogger(__name__)

_TOO_LONG = EvaluationResult(reward=0.0, feedback="The prompt is too long.")
_REFUSED = EvaluationResult(reward=0.0, feedback="The server refuses this prompt.")

Verify = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Completions and golds to rewards, in order."""


class OpenAIEvaluator:
    """Rolls out requests; pass it to `p2o.evolve`. Results come as they are verified, so a journal keeps them.

    A request that the server refuses (a content filter, say) earns 0, and its problem is named in the log.

    Raises:
        MissingDependencyError: without the package `openai`.
        ConfigError: if OpenAI's own API is meant and its key is not set.
        ModelError: when called, if the server refuses for good, retries are used up, or every prompt is too long.
    """

    def __init__(self, config: EvaluatedModelConfig, *, seed: int = 0, verify: Verify | None = None) -> None:
        self._config = config
        self._seed = seed
        self._verify = verify or VERIFIERS[config.verify]
        self._client = ChatClient(config, error=ModelError, spare=True)
        self._fits = False
        """Whether a prompt has fitted yet. If none does, it is the setting that is wrong and not the problems."""
        self._named: set[str] = set()
        sampled = {"temperature": config.temperature, "top_p": config.top_p, "top_k": 0, **config.extra_body}
        temperature, top_p, top_k = (
            value if isinstance(value := sampled[name], int | float) else default
            for name, default in (("temperature", 1.0), ("top_p", 1.0), ("top_k", 0))
        )
        # A value of extra_body that is no number is the server's to judge.
        greedy = is_greedy(temperature=temperature, top_p=top_p, top_k=top_k)
        self.repeats: Literal["same", "drawn"] = "same" if greedy else "drawn"
        """What repeated rollouts of a prompt are (see `p2o.evolve`)."""
        self.answers_for: dict[str, Any] = {
            "policy": config.model_dump(exclude=TRANSPORT),
            "policy seed": seed,
            **({} if verify is None else {"verify": verify}),
        }
        """What a journal of these results belongs to."""

    def __call__(self, requests: list[EvaluationRequest]) -> Iterator[EvaluationResult]:
        """One result per request, in order."""
        config = self._config
        replies = self._client.complete(
            [(request.messages, self._seed_of(request)) for request in requests],
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            top_p=config.top_p,
        )
        held: list[EvaluationResult] = []
        refused = 0
        for request, reply in zip(requests, replies, strict=True):
            if reply.finish_reason == "prompt_too_long":
                held.append(TOO_LONG_WITH_TEMPLATE if request.template.text else _TOO_LONG)
                refused += not request.template.text
            elif reply.finish_reason == "refused":
                self._name(request.problem.id, reply.reason)
                held.append(_REFUSED)
            else:
                self._fits = True
                (reward,) = self._verify([reply.text], [request.problem.gold])
                held.append(
                    EvaluationResult(
                        float(reward), reply.text, reply.finish_reason, reply.completion_tokens or 0
                    )
                )
            if self._fits or not refused:
                yield from held
                held.clear()
        if held:
            raise ModelError(
                f"model {config.model} takes not one of {refused} plain prompts beside policy.max_tokens = "
                f"{config.max_tokens}: lower it"
            )

    def recall(self, result: EvaluationResult) -> None:
        """Takes in a result of before a kill: what the server took then tells as much."""
        if result.tokens or result.reward:
            self._fits = self._client.served = True

    def _name(self, problem_id: str, reason: str) -> None:
        """Tells of a problem that the server refuses, once."""
        if problem_id not in self._named:
            self._named.add(problem_id)
            LOGGER.warning("problem %s: the server %s; its rollout counts as failed", problem_id, reason)

    def _seed_of(self, request: EvaluationRequest) -> int:
        key = f"{self._seed}/{request.template.id}/{request.problem.id}/{request.rollout_index}"
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) >> 1


def _math(completions: Sequence[str], golds: Sequence[str]) -> Sequence[float]:
    from p2o.verifier import verify_batch

    return [float(reward) for reward in verify_batch(list(completions), list(golds))]


def _exact(completions: Sequence[str], golds: Sequence[str]) -> Sequence[float]:
    last_lines = [(completion.strip().splitlines() or [""])[-1] for completion in completions]
    return [float(normalize(line) == normalize(gold)) for line, gold in zip(last_lines, golds, strict=True)]


VERIFIERS: dict[str, Verify] = {"math": _math, "exact": _exact}
"""By the names of `EvaluatedModelConfig.verify`."""
