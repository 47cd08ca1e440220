"""`p2o verify`: check the completions of a JSON-lines file against gold answers."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from p2o.cli.common import json_text, positive
from p2o.errors import DataError
from p2o.files import not_utf8, why_unreadable
from p2o.verifier import VerifyOptions, verify_batch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `p2o verify`."""
    parser.add_argument("file", help="JSON-lines file, or - for standard input")
    parser.add_argument("--completion-key", default="completion", metavar="K", help="default: completion")
    parser.add_argument("--gold-key", default="answer", metavar="K", help="default: answer")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of a summary")
    parser.add_argument("--compat", choices=["math-verify"], help="follow the rules of Math-Verify 0.9.0")
    parser.add_argument("--strict", action="store_true", help="only exact values as written count")
    parser.add_argument("--require-boxed", action="store_true", help="only a \\boxed{} holds an answer")
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="default: P2O_NUM_THREADS, else one per core"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command. Returns 0 whatever the verdicts are.

    Raises:
        DataError: if the file cannot be read or a line lacks a key.
        InputError: if an argument cannot be used.
    """
    name = "standard input" if args.file == "-" else args.file
    try:
        with _open(args.file) as lines:
            completions, golds = _read(lines, name, args.completion_key, args.gold_key)
    except OSError as error:
        raise DataError(f"cannot read {name}: {why_unreadable(error)}") from error
    options = VerifyOptions(compat=args.compat, require_boxed=args.require_boxed)
    if args.strict:
        options["strict"] = True
    verdicts = verify_batch(completions, golds, threads=args.threads, return_verdicts=True, **options)
    if args.json:
        for verdict in verdicts:
            line = {
                "correct": verdict.correct,
                "status": verdict.status,
                "extracted": verdict.extracted,
                "tier": verdict.tier,
            }
            print(json_text(line))
        return 0
    counts = Counter(verdict.status for verdict in verdicts)
    correct, total = counts["correct"], len(verdicts)
    share = f" ({correct / total:.1%})" if total else ""
    print(f"{correct} of {total} correct{share}")
    for status in ("wrong", "no_answer", "gold_unparsable", "timeout"):
        if counts[status]:
            print(f"{counts[status]:>8} {status}")
    return 0


def _open(file: str) -> BinaryIO:
    """The file, or standard input."""
    if file != "-":
        return Path(file).open("rb")
    if sys.stdin is None:
        raise DataError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def _read(lines: BinaryIO, name: str, completion_key: str, gold_key: str) -> tuple[list[str], list[str]]:
    completions: list[str] = []
    golds: list[str] = []
    for number, row in _rows(lines, name):
        for key, texts in ((completion_key, completions), (gold_key, golds)):
            if key not in row:
                known = ", ".join(row) or "none"
                raise DataError(f"{name}:{number}: no key {key!r}; the keys are: {known}")
            value = row[key]
            if not isinstance(value, (str, int, float)) or isinstance(value, bool):
                raise DataError(f"{name}:{number}: {key!r} is not text or a number")
            if isinstance(value, float) and not math.isfinite(value):
                raise DataError(f"{name}:{number}: {key!r} is {value}, which cannot be compared")
            texts.append(_text(value, f"{name}:{number}: {key!r}"))
    return completions, golds


def _text(value: str | int | float, where: str) -> str:
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where} holds half of a surrogate pair") from error
    return text


def _rows(lines: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise DataError(f"cannot read {name}: {not_utf8(number)}") from None
        if number == 1:
            line = line.removeprefix("\ufeff")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{name}:{number}: not valid JSON ({error.msg} at column {error.colno})"
            ) from error
        except (ValueError, RecursionError) as error:  # an integer that is too long, or too deep
            raise DataError(f"{name}:{number}: not a JSON object that can be read") from error
        if not isinstance(row, dict):
            raise DataError(f"{name}:{number}: not a JSON object")
        yield number, row
