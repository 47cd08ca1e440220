"""From the reflection model's reply to the text of a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

_WORD = r"[\w+#.:={}\"'/-]+"
_FENCE = re.compile(rf"^[ \t]*(`{{3,}}|~{{3,}})[ \t]*((?:{_WORD}(?:[ \t]+{_WORD}){{0,3}})?)[ \t]*$")
_INLINE_CLOSE = re.compile(r"^((?:(?!```|~~~).)*\S)[ \t]*(`{3,}|~{3,})[ \t]*$")
_TAG = re.compile(r"(?:(?<=```)|(?<!`))<(/?)(?:think|thinking|reasoning)>", re.IGNORECASE)
"""A tag; one right after a single backtick is quoted."""

_OPENING = re.compile(r"\s*<(think|thinking|reasoning)>", re.IGNORECASE)

Fences = list[tuple[int, str]]
"""The open fences, outermost first: the line after which each begins, and its marks."""


def strip_thinking(reply: str) -> str:
    """The reply without its thinking blocks.

    A block begins at the start of the reply or of a line. One that is never closed reaches to the end; one whose
    opening stood in the prompt (as with models whose chat template ends in `<think>`) reaches from the start to its
    closing tag.
    Tags within a fence are part of the template, and a tag within a sentence only speaks of thinking.
    """
    at = 0
    while (leading := _OPENING.match(reply, at)) is not None:
        closing = _closing(leading[1], reply, leading.end())
        if closing is None:
            return ""
        at = closing
    kept: list[str] = []
    fences: Fences = []
    unclosed: set[str] = set()  # to the end of the reply
    depth, after_fenced_tag = 0, len(reply)
    while at < len(reply):
        end = reply.find("\n", at) + 1 or len(reply)
        whole = reply[at:end]
        line = whole.removesuffix("\n")
        if _step(fences, len(kept), line) or fences:
            if re.search(r"</(?:think|thinking|reasoning)>\s*$", line, re.IGNORECASE):
                after_fenced_tag = end
            kept.append(whole)
            at = end
            continue
        if (opening := _OPENING.match(line)) is not None:
            tag = opening[1].lower()
            closing = None if tag in unclosed else _closing(tag, reply, at + opening.end())
            if closing is not None:
                at = closing
                continue
            if not line[opening.end() :].strip():
                break
            unclosed.add(tag)
        for found in _TAG.finditer(line):
            depth += -1 if found[1] else 1
            if depth < 0:  # closed without an opening: all before was thought
                kept, depth = [], 0
                whole = whole[found.end() :]
                break
        kept.append(whole)
        at = end
    # Thoughts may leave a fence open: what looks like its content is then what follows the thoughts.
    if fences and last_fence(reply[after_fenced_tag:]) is not None:
        return reply[after_fenced_tag:]
    return "".join(kept)


def _closing(tag: str, text: str, start: int) -> int | None:
    """Where the first closing tag from `start` on ends."""
    match = re.compile(rf"</{tag}>", re.IGNORECASE).search(text, start)
    return None if match is None else match.end()


def _step(fences: Fences, number: int, line: str, *, inner: bool = True) -> bool:
    """Opens or closes a fence at a line that does; whether it does."""
    match = _FENCE.match(line)
    if match is None:
        return False
    marks, language = match[1], match[2]
    if not fences:
        fences.append((number, marks))
        return True
    if marks[0] != fences[-1][1][0] or len(marks) < len(fences[-1][1]):
        return False
    if not language:
        fences.pop()
    elif inner:
        fences.append((number, marks))
    else:
        return False
    return True


def last_fence(reply: str) -> str | None:
    """The content of the last complete fence, or None if there is none.

    A fence opens and closes with a line of at least three backticks or tildes; the opening line may name a language,
    and the closing line has at least as many marks as the opening one (CommonMark, "Fenced code blocks"). A fence on a
    single line counts too, and one that is closed at the end of its last line.

    Models write a template with code in it between fences of one length, which CommonMark would end at the end of the
    code: a line that names a language within a fence opens an inner one, unless the count of fences is then odd.
    """
    lines = reply.splitlines()
    found: list[tuple[int, str]] = []
    for mark in "`~":
        last, closed = _last_block(lines, mark, inner=True)
        if not closed:
            last, _ = _last_block(lines, mark, inner=False)
        found += [] if last is None else [last]
    return max(found)[1] if found else None


def _last_block(lines: Sequence[str], mark: str, *, inner: bool) -> tuple[tuple[int, str] | None, bool]:
    """The last complete outermost fence of one mark, by the line that closes it, and whether every fence is closed."""
    found: tuple[int, str] | None = None
    fences: Fences = []
    for number, line in enumerate(lines):
        if line.lstrip()[:1] == mark:
            start = fences[0][0] if fences else 0
            if _step(fences, number, line, inner=inner):
                if not fences:
                    found = (number, "\n".join(lines[start + 1 : number]))
                continue
            if not fences and (on_one_line := re.match(r"^[ \t]*(`{3,})([^`]+)\1[ \t]*$", line)):
                found = (number, on_one_line[2])
                continue
        closed_inline = _INLINE_CLOSE.match(line)
        if len(fences) == 1 and closed_inline is not None:
            start, marks = fences[0]
            if closed_inline[2][0] == mark and len(closed_inline[2]) >= len(marks):
                fences.clear()
                found = (number, "\n".join([*lines[start + 1 : number], closed_inline[1]]))
    return found, not fences


def extract_template(reply: str, kind: Literal["fence", "whole"] = "fence") -> str | None:
    """The text of the proposed template, stripped, or None if the reply holds none.

    `fence`: the last complete fence outside thinking blocks. `whole`: the same, or all of the reply outside thinking
    blocks if it has no fence line at all. An empty template is None: it is the plain prompt, which needs no proposal.
    """
    # A lone surrogate, which JSON can carry, has no UTF-8: it could be neither hashed nor written.
    visible = strip_thinking(reply.encode("utf-8", "replace").decode("utf-8"))
    text = last_fence(visible)
    if text is None and kind == "whole" and "```" not in visible and "~~~" not in visible:
        text = visible
    return (text or "").strip() or None
