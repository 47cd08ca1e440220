"""Refusals: what may not become a template although the reflection model wrote it, and what one may not be given to.

The reflection model sees gold answers, and a template that carries one would be rewarded for telling the
answer. Checked are the golds and problems of the examples in its prompt: those of others it cannot know.

A gold answer is compared without case, `$`, `\\boxed{}`, thousands separators and differences of white
space, and only where it is not part of a longer word or number ("102" is not in "1024", "3.102" or "x102").

- A *distinctive* gold (a number of at least three digits, or text of at least four characters that is not
  one plain word) is a leak anywhere in the template.
- A shorter one ("7", "42", "yes", "B") occurs in honest instructions ("7 steps", "1."); it is a leak only
  where the template gives it as the answer: `answer is 7`, `answer: 7`, `result = 7`, `\\boxed{7}`.

A template that quotes solutions tells golds, and is not given to a problem that it holds or whose gold it tells
(`gives_away`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from p2o.evolution.config import ReflectionConfig
from p2o.evolution.propose.prompt import ReflectionExample
from p2o.templates import normalize, problem_text
from p2o.types import Problem, Template

CUT_OFF = "reply cut off"
NO_TEMPLATE = "no template in reply"
REFUSED = "refused by the server"
PROMPT_TOO_LONG = "reflection prompt too long"
TOO_LONG = "too long"
LEAK = "leaks a gold answer"
COPY = "copies a problem"

MAX_COPIED_WORDS = 12
"""So many words in a row of an example's problem, or all of a shorter one, make a copy."""

_GIVEN_AS_ANSWER = r"(?:answer|result|solution)s?\s*(?:is|are|be|equals?|=|:|\s)*"


def refuse(text: str, examples: Sequence[ReflectionExample], config: ReflectionConfig) -> str | None:
    """Why a proposed text may not become a template, or None if it may."""
    if len(text) > config.max_template_chars:
        return TOO_LONG
    if any(leaks(text, example.gold) for example in examples):
        return LEAK
    if any(copies(text, example.problem_text, MAX_COPIED_WORDS) for example in examples):
        return COPY
    return None


def gives_away(template: Template, problem: Problem) -> bool:
    """Whether a template holds a problem as it stands, up to case and white space, or tells its gold: nothing is learnt
    from it there."""
    if not template.text:
        return False
    question = normalize(problem_text(problem)).casefold()
    held = rf"(?<!\w){re.escape(question)}(?!\w)"  # "1+1=2" is not in "11+1=2", nor in "1+1=20"
    found = bool(question) and re.search(held, normalize(template.text).casefold()) is not None
    return found or leaks(template.text, problem.gold)


def leaks(text: str, gold: str) -> bool:
    """Whether a template tells a gold answer, by the rules of this module."""
    answer = _plain(gold)
    boxed = re.fullmatch(r"\\boxed\s*\{(.*)\}", answer)
    answer = boxed[1].strip() if boxed else answer
    tokens = re.findall(r"\w+|[^\w\s]", answer)
    if not tokens:
        return False
    start = r"(?<!\w)(?<!\d\.)" if tokens[0][0].isalnum() else ""
    end = r"(?!\w|\.\d)" if tokens[-1][-1].isalnum() else ""
    pattern = r"\s*".join(map(re.escape, tokens)) + end
    if _distinctive(answer):
        pattern = start + pattern
    else:
        pattern = rf"\b{_GIVEN_AS_ANSWER}{start}{pattern}|\\boxed\s*\{{\s*{pattern}\s*\}}"
    return re.search(pattern, _plain(text)) is not None


def copies(text: str, problem: str, max_words: int) -> bool:
    """Whether a template holds `max_words` words in a row of a problem, or all of a shorter one.

    A problem of fewer than three words is compared as a whole if it has at least six characters.
    """
    words, source = _words(text), _words(problem)
    if len(source) < 3:
        whole = "".join(problem.split())
        return len(whole) >= 6 and whole in "".join(text.split())
    run = min(max_words, len(source))
    known = {tuple(source[i : i + run]) for i in range(len(source) - run + 1)}
    return any(tuple(words[i : i + run]) in known for i in range(len(words) - run + 1))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold())


def _plain(text: str) -> str:
    """Case folded, without `$` and thousands separators, white space single."""
    text = unicodedata.normalize("NFC", text).casefold().replace("$", "")
    text = re.sub(r"(?<=\d)(?:,|\{,\}|\\,)(?=\d{3}(?!\d))", "", text)
    return " ".join(text.split())


def _distinctive(answer: str) -> bool:
    if re.fullmatch(r"[+-]?\s*\d+(?:\.\d+)?", answer):
        return sum(character.isdigit() for character in answer) >= 3
    return len("".join(answer.split())) >= 4 and not answer.isalpha()
