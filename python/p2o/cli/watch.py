"""`p2o watch`: the report of a run under way, in a browser on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from p2o.errors import ConfigError, RunDirectoryError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o watch`."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a run directory; several are compared"
    )
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")


def run(args: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C."""
    from p2o.report.records import require_begun
    from p2o.report.watch import WatchServer

    for path in args.runs:
        if not path.is_dir():
            raise RunDirectoryError(f"{path}: no such run directory")
        require_begun(path)
    try:
        server = WatchServer(args.runs, args.port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--port {args.port} cannot be used ({error}): leave it out for a free one"
        ) from None
    print(f"{server.url}  (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(file=sys.stderr)
    finally:
        server.server_close()
    return 0
