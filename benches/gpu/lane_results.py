"""What the lane has measured: one JSON object a line, on disk the moment it is known.

A record has `step` and `case` (its key; `case` is empty where a whole step failed), `status`, `seconds`, `at` (UTC),
`machine` (card and versions), and `values` (figures by name) or `error` (a few last lines).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = tuple[str, str]

FINAL = ("ok", "error", "timeout")
"""What is not run again. A case that is `absent` (something it needs is missing) or was `stopped` (the lane's time was
over) is."""


class Results:
    """The file of results. Several processes may read and append, one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> list[Record]:
        """All whole records; a line that a kill cut short is left out, wherever later lines put it."""
        records = []
        for line in self.path.read_bytes().split(b"\n") if self.path.exists() else ():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and {"step", "case", "status"} <= record.keys():
                records.append(record)
        return records

    def latest(self) -> dict[Key, Record]:
        """The last record of each key, in the order in which the keys first appeared."""
        return {(record["step"], record["case"]): record for record in self.records()}

    def stands(self, step: str, case: str) -> bool:
        """Whether a case has its result."""
        record = self.latest().get((step, case))
        return record is not None and record["status"] in FINAL

    def append(self, step: str, case: str, status: str, **more: Any) -> Record:
        """Adds a record; it has reached the disk when this returns."""
        record = {
            "step": step,
            "case": case,
            "status": status,
            "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            **more,
        }
        before = self.path.read_bytes() if self.path.exists() else b""
        torn = "\n" if before and not before.endswith(b"\n") else ""
        with self.path.open("ab") as file:
            file.write(f"{torn}{json.dumps(record, ensure_ascii=False)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        return record

    def forget(self, statuses: Iterable[str]) -> None:
        """Drops the records of these statuses, so that their cases run again."""
        kept = [record for record in self.records() if record["status"] not in set(statuses)]
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
