"""The pages of the documentation: their fenced blocks, links and anchors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import groupby, takewhile
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "benches/**/*.md", "examples/*.md", "rust/p2o-core/README.md")
    for path in ROOT.glob(pattern)
)


class Block(NamedTuple):
    """A fenced block."""

    page: str
    line: int
    """Of its first line, from 1."""
    language: str
    text: str

    @property
    def name(self) -> str:
        """Page and line, for the name of a test."""
        return f"{self.page}:{self.line}"


@cache
def tokens(page: str) -> list[Token]:
    """The parsed page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return MarkdownIt("commonmark").enable("table").parse(text)


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(page, token.map[0] + 2, token.info.strip(), token.content)
        for token in tokens(page)
        if token.type == "fence" and token.map is not None
    ]


def inlines(page: str) -> Iterator[Token]:
    """Links, images and code within the text of a page."""
    for token in tokens(page):
        yield from token.children or ()


def links(page: str) -> Iterator[str]:
    """Where the page's links and images lead."""
    for token in inlines(page):
        if target := token.attrs.get("href" if token.type == "link_open" else "src"):
            yield str(target)


def code(page: str) -> Iterator[str]:
    """The code within the text of a page."""
    return (" ".join(token.content.split()) for token in inlines(page) if token.type == "code_inline")


@cache
def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found: list[str] = []
    for heading, title in zip(tokens(page), tokens(page)[1:], strict=False):
        if heading.type == "heading_open":
            text = "".join(child.content for child in title.children or ())
            found.append(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return {name if not (n := found[:i].count(name)) else f"{name}-{n}" for i, name in enumerate(found)}


def commands(block: Block) -> list[list[str]]:
    """The words of the commands in a block: of all its lines, or in a transcript of those after `$`."""
    text = block.text.replace("\\\n", " ")
    if block.language != "sh":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    found = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&>")
        lexer.whitespace_split = True
        for joined, words in groupby(lexer, "&&".__eq__):
            if not joined:
                found.append(list(takewhile(">".__ne__, words)))
    return found
