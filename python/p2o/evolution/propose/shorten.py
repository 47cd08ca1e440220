"""Reflection prompts that are longer than the reflection model takes, in shorter and shorter forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from p2o.evolution.propose.prompt import ReflectionExample, ReflectionPrompt, render_reflection
from p2o.types import Message

LEAST_CHARS = 200
"""Shortest form of a response: less of it says nothing about what went wrong, and fewer examples say more."""


def ever_shorter(
    prompt: ReflectionPrompt,
    template: str,
    examples: Sequence[ReflectionExample],
    *,
    show_gold: bool,
    values: Mapping[str, str],
) -> Iterator[tuple[Message, ...]]:
    """The prompt with all examples as its file has them first, then its shorter forms, down to one example.

    With each number of examples the responses are shown in full first, then cut to half and half again, down to
    `LEAST_CHARS`. Examples that went well are left out before those that failed, and later ones before earlier ones.
    The template, the problems and the verdicts stay as they are.
    """
    by_reward = sorted(range(len(examples)), key=lambda index: examples[index].reward)
    for count in range(len(examples), 0, -1):
        shown = [examples[index] for index in sorted(by_reward[:count])]
        for chars in _halvings(prompt.settings.response_chars, shown):
            settings = prompt.settings.model_copy(update={"response_chars": chars})
            cut = replace(prompt, settings=settings)
            yield render_reflection(cut, template, shown, show_gold=show_gold, values=values)


def _halvings(limit: int, examples: Sequence[ReflectionExample]) -> Iterator[int]:
    """The limit, and the halves of the longest response that it leaves."""
    yield limit
    chars = min(limit, max(len(example.response) for example in examples)) // 2
    while chars >= LEAST_CHARS:
        yield chars
        chars //= 2
