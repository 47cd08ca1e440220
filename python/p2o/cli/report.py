"""`p2o report`: the HTML report of a run directory, or one page about several."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o report`."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a run directory; several are compared"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write; default: report.html in the run, or comparison.html here for several",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the report and prints where it is."""
    from p2o.report.page import write_report

    alone = args.runs[0] / "report.html" if len(args.runs) == 1 else Path("comparison.html")
    print(write_report(args.runs, args.output or alone))
    return 0
