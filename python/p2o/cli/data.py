"""`p2o data`: what a file of problems holds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from p2o.cli.common import add_overrides
from p2o.config import apply_overrides
from p2o.config_errors import explain
from p2o.data import JsonlData
from p2o.errors import ConfigError, DataError

if TYPE_CHECKING:
    from p2o.data_survey import Survey
    from p2o.track.console import Console

SHOWN = 5
"""Examples shown of each fault."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o data`."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON Lines, a JSON array, CSV, TSV or Parquet"
    )
    parser.add_argument(
        "--evaluation",
        type=Path,
        metavar="FILE",
        help="evaluation problems: counts those that FILE holds too",
    )
    add_overrides(parser, "a setting of [data], e.g. --set data.answer_key=gold")


def run(args: argparse.Namespace) -> int:
    """Prints what was found. Exit code 1: some golds cannot be used, or contradict each other."""
    from p2o.data_survey import seen
    from p2o.track.console import Console

    console = Console()
    config = data_settings(args.file, args.overrides)
    found = _survey(args.file, config)
    console.note(
        f"{args.file}: {found.records:,} read, {found.merged:,} merged as duplicates, {len(found.problems):,} problems"
    )
    if found.fields:
        console.note(found.fields)
    if found.problems:
        console.note("golds: " + ", ".join(f"{count:,} {kind}" for kind, count in found.golds.most_common()))
    if lengths := found.lengths:
        middle, most = lengths[(len(lengths) - 1) // 2], lengths[-1]
        console.note(f"characters of a problem: {lengths[0]:,} to {most:,}, half of them at most {middle:,}")
    _list(
        console, f"golds that cannot be used (data.on_bad_gold): {len(found.unreadable):,}", found.unreadable
    )
    _list(
        console,
        f"golds that contradict earlier ones (data.on_conflict): {len(found.conflicts):,}",
        found.conflicts,
    )
    title = (
        f"problems that a backslash of LaTeX may be missing from (double it in JSON): {len(found.damaged):,}"
    )
    _list(console, title, found.damaged)
    if args.evaluation is not None:
        other = _survey(args.evaluation, data_settings(args.evaluation, args.overrides))
        pairs = seen(found.problems, other.problems)
        share_of = f"{len(pairs):,} of {len(other.problems):,}"
        title = f"evaluation problems of which half or more is in training problems: {share_of}"
        _list(console, title, [f"{problem.name}: {share:.0%}" for problem, share in pairs], always=True)
    return 1 if found.unreadable or found.conflicts else 0


def _survey(file: Path, config: JsonlData) -> Survey:
    """What a file holds. Raises DataError where that is nothing."""
    from p2o.data_survey import survey
    from p2o.records import file_records

    found = survey(file_records(file), config)
    if not found.records:
        raise DataError(f"{file}: holds no problems")
    return found


def data_settings(file: Path, overrides: Sequence[str]) -> JsonlData:
    """`[data]` for a file.

    Raises:
        ConfigError: if a setting is wrong, or is of another section.
    """
    values: dict[str, Any] = {"data": {"kind": "jsonl", "train": str(file)}}
    apply_overrides(values, overrides)
    if other := sorted(values.keys() - {"data"}):
        raise ConfigError(f"--set {other[0]}: only settings of [data] matter here, e.g. data.answer_key")
    try:
        return JsonlData.model_validate(values["data"])
    except ValidationError as error:
        raise ConfigError(explain(error, JsonlData, "data")) from None


def _list(console: Console, title: str, lines: Sequence[str], *, always: bool = False) -> None:
    """A title and the first few lines under it; nothing without lines, unless `always`."""
    if not lines and not always:
        return
    console.note(title)
    for line in lines[:SHOWN]:
        console.note(f"  {line}")
    if len(lines) > SHOWN:
        console.note(f"  and {len(lines) - SHOWN:,} more")
