"""`p2o verify`: check the completions of a JSON-lines file against gold answers."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

from p2o.cli.common import json_text, positive
from p2o.errors import DataError
from p2o.records import jsonl_records, objects, parse_lines
from p2o.verifier import VerifyOptions, verify_batch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `p2o verify`."""
    parser.add_argument("file", metavar="FILE", help="JSON Lines, or - for standard input")
    for name, what, key in (("completion", "completion", "completion"), ("gold", "gold answer", "answer")):
        help = f"field of the {what} (default: {key})"
        parser.add_argument(f"--{name}-key", default=key, metavar="KEY", help=help)
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of a summary")
    parser.add_argument("--compat", choices=["math-verify"], help="follow the rules of Math-Verify 0.9.0")
    parser.add_argument("--strict", action="store_true", help="only exact values as written count")
    for name, help in (("allow", "a licence that counts as well"), ("deny", "a licence that does not count")):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="LICENCE", help=f"{help}; may be repeated"
        )
    parser.add_argument("--require-boxed", action="store_true", help="only a \\boxed{} holds an answer")
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="default: P2O_NUM_THREADS, else one per core"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command. Returns 0 whatever the verdicts are.

    Raises:
        DataError: if the file cannot be read, is empty, or a line lacks a key.
        InputError: if an argument cannot be used.
    """
    completions, golds = _read(args.file, args.completion_key, args.gold_key)
    options = VerifyOptions(
        compat=args.compat, require_boxed=args.require_boxed, allow=tuple(args.allow), deny=tuple(args.deny)
    )
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
                "licences": verdict.licences,
            }
            print(json_text(line))
        return 0
    counts = Counter(verdict.status for verdict in verdicts)
    correct, total = counts["correct"], len(verdicts)
    print(f"{correct} of {total} correct ({correct / total:.1%})")
    for status in ("wrong", "no_answer", "gold_unparsable", "timeout"):
        if counts[status]:
            print(f"{counts[status]:>8} {status}")
    return 0


def _read(file: str, completion_key: str, gold_key: str) -> tuple[list[str], list[str]]:
    """Completions and golds of a file, or of standard input."""
    if file != "-":
        records = jsonl_records(Path(file))
    elif sys.stdin is None:
        raise DataError("standard input: it is closed")
    else:
        records = objects(parse_lines(sys.stdin.buffer.read(), "standard input"))
    completions: list[str] = []
    golds: list[str] = []
    for where, row in records:
        for key, texts in ((completion_key, completions), (gold_key, golds)):
            if key not in row:
                raise DataError(f"{where}: no key {key!r}; the keys are: {', '.join(row) or 'none'}")
            value = row[key]
            if not isinstance(value, (str, int, float)) or isinstance(value, bool):
                raise DataError(f"{where}: {key!r} is not text or a number")
            if isinstance(value, float) and not math.isfinite(value):
                raise DataError(f"{where}: {key!r} is {value}, which cannot be compared")
            texts.append(str(value))
    if not golds:
        raise DataError(f"{'standard input' if file == '-' else file}: holds no completions")
    return completions, golds
