"""Whether repeated rollouts of a prompt are draws of their own: the race decides by them."""

from __future__ import annotations

from p2o.errors import ConfigError
from p2o.evolution.journal import Key

_PROMPTS = 30
_PROBLEMS = 10
"""So many prompts, of so many problems, that were repeated and answered alike each time are no chance. One that was not
is proof enough that the model draws."""


class Repeats:
    """Watches what the repeated rollouts of a policy say that is meant to draw each anew."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}
        self._alike: set[tuple[str, str]] = set()
        self._draws = False

    def add(self, key: Key, text: str) -> None:
        """Takes in a rollout's text, or a hash of it; an empty one says nothing."""
        prompt = key[:2]
        if self._draws or not text:
            return
        if prompt not in self._first:
            self._first[prompt] = text
        elif self._first[prompt] == text:
            self._alike.add(prompt)
        else:
            self._draws = True

    def check(self) -> None:
        """Raises ConfigError if many prompts were answered alike each time: repetitions then prove nothing."""
        problems = {problem for _, problem in self._alike}
        if not self._draws and len(self._alike) >= _PROMPTS and len(problems) >= _PROBLEMS:
            raise ConfigError(
                f"the policy answered each of {len(self._alike)} repeated prompts with the same text again, byte for "
                "byte: its server caches replies, or samples as good as greedily, and repetitions then prove nothing: "
                'switch the cache off, raise policy.temperature, or set evolve.acceptance = "sequential"'
            )
