"""The licences in docs/verifier.md are those of the verifier; rust/p2o-core/tests/verify_docs.rs has the rules."""

from __future__ import annotations

from pathlib import Path

import p2o

PAGE = Path(__file__).parents[2] / "docs" / "verifier.md"


def test_every_licence_stands_in_the_table_with_its_example() -> None:
    marks = {True: "✓", False: "–"}
    rows = [
        f"| `{licence.name}` | {licence.meaning} | `{licence.gold}` | `{licence.answer}` | "
        + " | ".join(marks[on] for on in (licence.default, licence.strict, licence.math_verify))
        + " |"
        for licence in p2o.licences()
    ]
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(rows) in page, "docs/verifier.md should have:\n" + "\n".join(rows)
