"""`p2o watch`: the report of a run that is under way, on this machine alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from p2o.errors import P2oError
from p2o.report.page import page_of

ADDRESS = "127.0.0.1"

WATCHED = ("metrics.jsonl", "templates.jsonl", "transfer.jsonl", "about.json")
"""Files of a run whose change makes another page."""


class WatchServer(ThreadingHTTPServer):
    """Serves the page of some runs, made anew for each request, and a stamp that changes when it does.

    Raises:
        OSError: if the port is taken.
    """

    daemon_threads = True

    def __init__(self, runs: Sequence[Path], port: int = 0) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.runs = runs

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def stamp(self) -> str:
        """Sizes and times of the files that the page is made of."""
        files = [run / name for run in self.runs for name in WATCHED]
        return " ".join(f"{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files if file.exists())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that left before its answer is none."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer

    def do_GET(self) -> None:
        # A page elsewhere that has its name resolve to this machine must not read the run. The port says nothing: that
        # of a tunnel (ssh -L) is another, and browsers leave out port 80.
        if self.headers.get("Host", "").partition(":")[0] not in (ADDRESS, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/stamp":
            self._answer(self.server.stamp(), "text/plain")
        elif self.path == "/":
            try:
                page = page_of(self.server.runs, live=True)
            except (P2oError, OSError) as error:  # nothing is written yet, or a line is being written
                page = f'<!doctype html><meta http-equiv="refresh" content="3"><p>{escape(str(error))}</p>'
            self._answer(page, "text/html")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""
