"""Prompt templates: identity, and T(x, z)."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

from p2o.types import Message, Problem, Template

PLAIN = Template(id="plain", text="")
"""The empty template: T(x, PLAIN) is x itself."""


def normalize(text: str) -> str:
    """The text with Unicode composed and runs of white space collapsed: what decides that two templates are one."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def make_template(text: str) -> Template:
    """The template of a text. Equal texts up to white space get the same id, on every machine."""
    normalized = normalize(text)
    if not normalized:
        return PLAIN
    return Template(id=hashlib.sha256(normalized.encode()).hexdigest()[:12], text=text.strip())


def distinct_templates(texts: Iterable[str]) -> list[Template]:
    """The templates of texts, each once; not the plain prompt."""
    found = {template.id: template for template in map(make_template, texts)}
    found.pop(PLAIN.id, None)
    return list(found.values())


def problem_text(problem: Problem) -> str:
    """What stands for a problem where it is shown or quoted: the last user message, which a template precedes."""
    return next(m["content"] for m in reversed(problem.messages) if m["role"] == "user")


def apply_template(template: Template, messages: Sequence[Message]) -> list[Message]:
    """T(x, z): the template, a blank line, then the last user message (method, "Symbols").

    Raises:
        ValueError: if no message has the role `user`.
    """
    result = [Message(role=message["role"], content=message["content"]) for message in messages]
    last = next((i for i in reversed(range(len(result))) if result[i]["role"] == "user"), None)
    if last is None:
        raise ValueError("a problem needs at least one user message")
    if template.text:
        result[last]["content"] = f"{template.text}\n\n{result[last]['content']}"
    return result
