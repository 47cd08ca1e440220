"""Adapters written for `gepa.optimize` run here unchanged.

The adapter's `evaluate` and `make_reflective_dataset` are called as gepa calls them, with the component texts of a
candidate; gepa itself is not needed. One component evolves, the others stay. An adapter's `propose_new_texts` is not
used: the reflection model is asked with the prompt file `adapter` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from p2o.errors import InputError
from p2o.evolution.config import EvolveConfig, ReflectionConfig
from p2o.evolution.engine import evolve
from p2o.evolution.result import Evolution
from p2o.evolution.types import EvaluationRequest, EvaluationResult, ReflectionReply, ReflectionRequest
from p2o.types import Message, Problem


class GepaAdapter(Protocol):
    """The part of gepa's `GEPAAdapter` that is used. The batch it returns is a dataclass with the lists `outputs`,
    `scores` and `trajectories`, in the order of the batch it was given."""

    def evaluate(self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Scores of a candidate on data instances."""

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Records that tell the reflection model what happened."""


def evolve_adapter(
    adapter: GepaAdapter,
    seed_candidate: Mapping[str, str],
    trainset: Sequence[Any],
    valset: Sequence[Any],
    reflection_lm: Callable[[str], str],
    config: EvolveConfig | None = None,
    *,
    component: str | None = None,
    reflection: ReflectionConfig | None = None,
    **options: Any,
) -> Evolution:
    """Evolves one component of a gepa candidate.

    Args:
        adapter: an adapter object for `gepa.optimize`; its scores lie in [0, 1].
        seed_candidate: component name -> text; the evolving one is the plain prompt of the step.
        trainset: data instances for the minibatches.
        valset: data instances for the dev set.
        reflection_lm: prompt -> reply.
        config: settings of the step.
        component: the component that evolves; may be left out if there is one.
        reflection: its `prompt` defaults to `adapter`.
        options: further keyword arguments of `p2o.evolve`.

    Returns:
        The step; `best_candidate` turns it into component texts.

    Raises:
        InputError: if the component is not clear, or the adapter returns too few or too many scores, outputs or
            trajectories.
    """
    component = _component(seed_candidate, component)
    role = _AdapterRole(adapter, seed_candidate, component)

    def reflect(requests: list[ReflectionRequest]) -> Iterator[ReflectionReply]:
        for request in requests:
            yield ReflectionReply(reflection_lm(request.messages[-1]["content"]))

    return evolve(
        _problems("train", trainset),
        role,
        reflect,
        config,
        reflection=reflection or ReflectionConfig(prompt="adapter"),
        dev_problems=_problems("val", valset),
        plain_text=seed_candidate[component],
        **options,
    )


def best_candidate(
    evolution: Evolution, seed_candidate: Mapping[str, str], component: str | None = None
) -> dict[str, str]:
    """The component texts of the accepted candidate with the highest mean score on the valset."""
    component = _component(seed_candidate, component)
    best = max(evolution.accepted(), key=lambda candidate: candidate.mean, default=None)
    text = best.template.text if best is not None else ""
    return {**seed_candidate, component: text or seed_candidate[component]}


def _component(seed_candidate: Mapping[str, str], component: str | None) -> str:
    if component is None and len(seed_candidate) == 1:
        return next(iter(seed_candidate))
    if component is None or component not in seed_candidate:
        raise InputError(f"component {component!r}: choose one of {', '.join(map(repr, seed_candidate))}")
    return component


def _problems(name: str, data: Sequence[Any]) -> list[Problem]:
    return [
        Problem(f"{name}-{i:05d}", (Message(role="user", content=f"{name}-{i:05d}"),), "", {"data": instance})
        for i, instance in enumerate(data)
    ]


class _AdapterRole:
    """The adapter as `p2o.evolve` calls it."""

    def __init__(self, adapter: GepaAdapter, seed_candidate: Mapping[str, str], component: str) -> None:
        self.adapter = adapter
        self.seed_candidate = seed_candidate
        self.component = component
        self.answers_for = {
            "adapter": f"{type(adapter).__module__}.{type(adapter).__qualname__}",
            "components": [dict(seed_candidate), component],
        }

    def __call__(self, requests: list[EvaluationRequest]) -> list[EvaluationResult]:
        """One call of the adapter for each (template, train or val); traces for train only, which reflection sees."""
        groups: dict[tuple[str, bool], list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault((request.template.text, request.problem.id.startswith("train-")), []).append(
                place
            )
        results: dict[int, EvaluationResult] = {}
        for (text, traced), places in groups.items():
            candidate = {**self.seed_candidate, self.component: text or self.seed_candidate[self.component]}
            data = [requests[place].problem.meta["data"] for place in places]
            batch = self.adapter.evaluate(data, candidate, capture_traces=traced)
            told = traced and bool(batch.trajectories)
            for name in ("scores", "outputs", "trajectories") if told else ("scores",):
                if (count := len(getattr(batch, name))) != len(data):
                    raise InputError(f"the adapter returned {count} {name} for {len(data)} instances")
            for at, place in enumerate(places):
                feedback = self._feedback(candidate, batch, at) if told else ""
                results[place] = EvaluationResult(batch.scores[at], feedback=feedback)
        return [results[place] for place in range(len(requests))]

    def _feedback(self, candidate: dict[str, str], batch: Any, at: int) -> str:
        """The adapter's records of one instance, as text."""
        objective_scores = getattr(batch, "objective_scores", None)
        single = replace(
            batch,
            outputs=[batch.outputs[at]],
            scores=[batch.scores[at]],
            trajectories=[batch.trajectories[at]],
            **({"objective_scores": [objective_scores[at]]} if objective_scores else {}),
        )
        dataset = self.adapter.make_reflective_dataset(candidate, single, [self.component])
        return "".join(f"\n{_as_text(record)}" for record in dataset.get(self.component, ()))


def _as_text(value: Any, indent: str = "") -> str:
    """Nested mappings and sequences as an indented outline."""
    if isinstance(value, Mapping):
        parts = [(f"{key}:", item) for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = [("-", item) for item in value]
    else:
        return f"{indent}{str(value).strip()}"
    lines = []
    for label, item in parts:
        if isinstance(item, str | int | float | bool) or item is None:
            lines.append(f"{indent}{label} {str(item).strip()}")
        else:
            lines += [f"{indent}{label}", _as_text(item, indent + "  ")]
    return "\n".join(lines)
