"""From the reflection model's reply to the text of a template."""

from __future__ import annotations

import re
from typing import Literal

_FENCE = re.compile(r"^[ \t]*(`{3,})[ \t]*([\w+-]*)[ \t]*$")
_THINK = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_ORPHAN_THINK_END = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)


def strip_thinking(reply: str) -> str:
    """The reply without its thinking blocks.

    A block that is never closed reaches to the end; one whose opening stood in the prompt (as with models
    whose chat template ends in `<think>`) reaches from the start to the last closing tag.
    """
    return _ORPHAN_THINK_END.sub("", _THINK.sub("", reply))


def last_fence(reply: str) -> str | None:
    """The content of the last complete fence, or None if there is none.

    A fence opens and closes with a line of at least three backticks; the opening line may name a language,
    and the closing line has at least as many backticks as the opening one (CommonMark, "Fenced code
    blocks"). A fence on a single line counts too.
    """
    found: str | None = None
    opened: tuple[int, int] | None = None
    lines = reply.splitlines()
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match is None:
            if opened is None:
                inline = re.match(r"^[ \t]*(`{3,})([^`]+)\1[ \t]*$", line)
                found = inline[2] if inline else found
            continue
        ticks, language = len(match[1]), match[2]
        if opened is None:
            opened = (number, ticks)
        elif not language and ticks >= opened[1]:
            found = "\n".join(lines[opened[0] + 1 : number])
            opened = None
    return found


def extract_template(reply: str, kind: Literal["fence", "whole"] = "fence") -> str | None:
    """The text of the proposed template, stripped, or None if the reply holds none.

    `fence`: the last complete fence outside thinking blocks. `whole`: the same, or all of the reply outside
    thinking blocks if it has no fence line at all. An empty template is None: it is the plain prompt, which
    needs no proposal.
    """
    # A lone surrogate, which JSON can carry, has no UTF-8: it could be neither hashed nor written.
    visible = strip_thinking(reply.encode("utf-8", "replace").decode("utf-8"))
    text = last_fence(visible)
    if text is None and kind == "whole" and "```" not in visible:
        text = visible
    return (text or "").strip() or None
