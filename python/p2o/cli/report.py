"""`p2o report`: write the HTML report of a run directory."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o report`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")


def run(args: argparse.Namespace) -> int:
    """Writes the report and prints where it is."""
    from p2o.track.report import write_report

    print(write_report(args.run))
    return 0
