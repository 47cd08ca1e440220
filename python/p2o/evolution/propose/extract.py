"""From the reflection model's reply to the text of a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
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

    Models write a template with code in it between fences of one length, which CommonMark would end at the end of the
    code: a line that names a language within a fence opens an inner one, unless the count of fences is then odd.
    """
    lines = reply.splitlines()
    found, closed = _last_block(lines, inner=True)
    return found if closed else _last_block(lines, inner=False)[0]


def _last_block(lines: Sequence[str], *, inner: bool) -> tuple[str | None, bool]:
    """The last complete outermost fence, and whether every fence is closed."""
    found: str | None = None
    opened: list[tuple[int, int]] = []  # line and backticks of each open fence
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if match is None:
            if not opened:
                on_one_line = re.match(r"^[ \t]*(`{3,})([^`]+)\1[ \t]*$", line)
                found = on_one_line[2] if on_one_line else found
            continue
        ticks, language = len(match[1]), match[2]
        if not opened:
            opened.append((number, ticks))
        elif ticks >= opened[-1][1]:
            if not language:
                start, _ = opened.pop()
                if not opened:
                    found = "\n".join(lines[start + 1 : number])
            elif inner:
                opened.append((number, ticks))
    return found, not opened


def extract_template(reply: str, kind: Literal["fence", "whole"] = "fence") -> str | None:
    """The text of the proposed template, stripped, or None if the reply holds none.

    `fence`: the last complete fence outside thinking blocks. `whole`: the same, or all of the reply outside thinking
    blocks if it has no fence line at all. An empty template is None: it is the plain prompt, which needs no proposal.
    """
    # A lone surrogate, which JSON can carry, has no UTF-8: it could be neither hashed nor written.
    visible = strip_thinking(reply.encode("utf-8", "replace").decode("utf-8"))
    text = last_fence(visible)
    if text is None and kind == "whole" and "```" not in visible:
        text = visible
    return (text or "").strip() or None
