"""Reflection prompts: text files with placeholders, and their rendering.

A prompt file has sections, each begun by a line `%% name`; lines before the first section are comments.

- `settings`: `key = value` lines, the fields of [`PromptSettings`][];
- `user` (required) and `system`: the messages, with `{template}` and `{examples}`;
- `example`: one example, with `{problem}`, `{response}`, `{verdict}`, `{gold}`, `{reward}`;
- `correct`, `wrong`, `wrong without gold`, `cut off`, `cut off without gold`: the verdicts, with `{gold}` and
  `{reward}`;
- `no template`: what stands for the plain prompt.

A placeholder is replaced once, wherever it stands; other braces (LaTeX) are left alone, and so is every brace
of the inserted text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import NonNegativeInt, ValidationError

from p2o.errors import ConfigError
from p2o.files import why_unreadable
from p2o.outcomes.outcomes import is_success
from p2o.settings import Settings
from p2o.shipped import shipped
from p2o.types import FinishReason, Message, Template

Section = Literal[
    "system",
    "user",
    "example",
    "correct",
    "wrong",
    "wrong without gold",
    "cut off",
    "cut off without gold",
    "no template",
]
_REQUIRED: tuple[Section, ...] = ("user", "example", "correct", "wrong", "wrong without gold")


class PromptSettings(Settings):
    """The `settings` section of a prompt file."""

    reply: Literal["fence", "whole"] = "fence"
    """What the reply's template is: the last complete ``` fence, or the whole reply where there is none."""

    examples_separated_by: Literal["newline", "blank line"] = "blank line"
    """What stands between two examples."""

    single_line: bool = False
    """Write the template, problems and responses on one line each: runs of white space become one space."""

    ellipsis: str = "..."
    """What stands for text that was cut."""

    template_chars: NonNegativeInt = 6000
    """Longest current template shown, in characters, the ellipsis not counted."""

    problem_chars: NonNegativeInt = 4000
    """Longest problem shown, in characters; its end is cut."""

    response_chars: NonNegativeInt = 6000
    """Longest response shown, in characters."""

    response_keep: Literal["start", "end", "both"] = "both"
    """Which part of a long response is kept; `both` cuts out the middle."""


@dataclass(frozen=True, slots=True)
class ReflectionPrompt:
    """A parsed prompt file."""

    name: str
    settings: PromptSettings
    sections: Mapping[Section, str]


@dataclass(frozen=True, slots=True)
class ReflectionExample:
    """One rollout shown to the reflection model.

    `feedback` is what the evaluator has to say beyond right and wrong; it follows the verdict.
    """

    problem_text: str
    response: str
    reward: float
    gold: str
    finish_reason: FinishReason = "stop"
    feedback: str = ""
    success: float = 1.0
    """Reward from which it counts as a success."""


def render_reflection(
    prompt: ReflectionPrompt | str | Path,
    template: Template | str,
    examples: Sequence[ReflectionExample],
    *,
    show_gold: bool = True,
    values: Mapping[str, str] | None = None,
) -> tuple[Message, ...]:
    """The messages that ask the reflection model for a better template.

    Pure: the same arguments give the same messages.

    Args:
        prompt: a parsed prompt, the name of a shipped one (`default`, `tiny`) or a path.
        template: the current template; the empty one is written as the file's `no template`.
        examples: what the policy did under it. The verdict is `correct` for a success.
        show_gold: False takes the verdicts "without gold" and leaves `{gold}` empty.
        values: further placeholders of the messages.

    Raises:
        ConfigError: if the prompt file cannot be used.
    """
    if not isinstance(prompt, ReflectionPrompt):
        prompt = load_prompt(prompt)
    separator = "\n" if prompt.settings.examples_separated_by == "newline" else "\n\n"
    filled = {
        **(values or {}),
        "template": render_template(prompt, template),
        "examples": separator.join(
            render_example(prompt, example, show_gold=show_gold) for example in examples
        ),
    }
    roles: tuple[Literal["system", "user"], ...] = ("system", "user")
    return tuple(
        Message(role=role, content=fill(prompt.sections[role], filled))
        for role in roles
        if prompt.sections.get(role)
    )


def render_template(prompt: ReflectionPrompt, template: Template | str) -> str:
    """The template as the prompt shows it: cut to `template_chars`, or the file's `no template` if empty."""
    text = template if isinstance(template, str) else template.text
    if not text.strip():
        return prompt.sections.get("no template", "")
    return _shorten(text, prompt.settings, prompt.settings.template_chars, "start")


def render_example(prompt: ReflectionPrompt, example: ReflectionExample, *, show_gold: bool = True) -> str:
    """One example by the file's `example` section."""
    settings = prompt.settings
    gold = example.gold if show_gold else ""
    facts = {"gold": gold, "reward": f"{example.reward:g}"}
    verdict = fill(prompt.sections[_verdict(prompt, example, show_gold=show_gold)], facts)
    if example.feedback:
        verdict = f"{verdict} {example.feedback}"
    return fill(
        prompt.sections["example"],
        {
            **facts,
            "problem": _shorten(example.problem_text, settings, settings.problem_chars, "start"),
            "response": _shorten(example.response, settings, settings.response_chars, settings.response_keep),
            "verdict": verdict,
        },
    )


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replaces `{name}` for each name in `values`, in one pass: inserted text is never searched."""
    names = "|".join(re.escape(name) for name in values)
    return re.sub(rf"\{{({names})\}}", lambda match: values[match[1]], text)


def load_prompt(source: str | Path) -> ReflectionPrompt:
    """Reads a prompt file: the name of a shipped one or a path (anything with a separator or a suffix).

    Raises:
        ConfigError: if there is no such file, or a section or a setting is unknown or missing.
    """
    name = str(source)
    if isinstance(source, str) and not re.search(r"[./\\]", source):
        return _shipped(source)
    try:
        return parse_prompt(Path(source).read_text(encoding="utf-8-sig"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"reflection prompt {name} cannot be read ({why_unreadable(error)})") from error


@lru_cache
def _shipped(name: str) -> ReflectionPrompt:
    """A shipped prompt is read once; a file of the user's each time, for it may have been edited."""
    known = shipped("evolution/propose/prompts", ".txt")
    if name not in known:
        raise ConfigError(
            f"reflection prompt {name!r} is not shipped; give one of {', '.join(known)}, or a path ending in .txt"
        )
    return parse_prompt(known[name].read_text(encoding="utf-8"), name)


def parse_prompt(text: str, name: str = "prompt") -> ReflectionPrompt:
    """Parses the text of a prompt file; `name` stands in error messages.

    Raises:
        ConfigError: naming the file and the line.
    """
    known: tuple[str, ...] = get_args(Section)
    lines: dict[str, list[str]] = {}
    current: list[str] | None = None
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("%%"):
            title = line[2:].strip()
            if title != "settings" and title not in known:
                raise ConfigError(
                    f"{name}, line {number}: unknown section {title!r}; known: {', '.join(known)}"
                )
            if title in lines:
                raise ConfigError(f"{name}, line {number}: section {title!r} stands twice; keep one")
            current = lines[title] = []
        elif current is not None and current is lines.get("settings"):
            if line.strip():
                key, equals, value = line.partition("=")
                if not equals:
                    raise ConfigError(f"{name}, line {number}: a setting is written `key = value`")
                settings[key.strip()] = value.strip()
        elif current is not None:
            current.append(line)
    sections: dict[Section, str] = {
        title: "\n".join(lines[title]).strip("\n") for title in get_args(Section) if title in lines
    }
    missing = [title for title in _REQUIRED if not sections.get(title)]
    if missing:
        raise ConfigError(
            f"{name}: section {missing[0]!r} is missing; add a line `%% {missing[0]}` and its text"
        )
    try:
        return ReflectionPrompt(name, PromptSettings.model_validate(settings, strict=False), sections)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{name}: setting {first['loc'][0]!s}: {first['msg']}") from error


def _verdict(prompt: ReflectionPrompt, example: ReflectionExample, *, show_gold: bool) -> Section:
    if is_success(example.reward, example.success):
        return "correct"
    cut_off: Section = "cut off" if show_gold else "cut off without gold"
    if example.finish_reason == "length" and prompt.sections.get(cut_off):
        return cut_off
    return "wrong" if show_gold else "wrong without gold"


def _shorten(text: str, settings: PromptSettings, limit: int, keep: Literal["start", "end", "both"]) -> str:
    text = " ".join(text.split()) if settings.single_line else text.strip()
    if len(text) <= limit:
        return text
    if keep == "start":
        return text[:limit] + settings.ellipsis
    if keep == "end":
        return settings.ellipsis + text[len(text) - limit :]
    head = limit // 2
    return f"{text[:head]}{settings.ellipsis}{text[len(text) - (limit - head) :]}"
