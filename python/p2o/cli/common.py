"""What the commands share: arguments, and output that survives closed pipes and narrow encodings."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from typing import Any


def positive(text: str) -> int:
    """A whole number of at least 1, from the command line."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    if value > sys.maxsize:
        raise argparse.ArgumentTypeError("is too large")
    return value


def add_overrides(parser: argparse._ActionsContainer, what: str = "override a setting") -> None:
    """The argument `--set`, which may be repeated."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"{what}; may be repeated",
    )


def json_text(value: Any) -> str:
    """JSON for standard output: printable text unescaped if the stream is UTF-8, else escaped."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(value, ensure_ascii=encoding.replace("-", "") != "utf8")
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def accept_any_text() -> None:
    """Characters that the terminal's encoding lacks are shown escaped instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Writes what is buffered now, while a failure can still be reported."""
    if sys.stdout is not None:
        sys.stdout.flush()


def drop_output() -> None:
    """Drops output that cannot be written: the interpreter would complain about it on exit."""
    try:
        flush_output()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
