from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from p2o.cli.main import main


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [
        {"text": r"\boxed{4}", "gold": 4},
        {"text": r"\boxed{5}", "gold": "4"},
        {"text": "no idea", "gold": "4"},
        {"text": r"\boxed{5}", "gold": r"\frac{"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def test_a_summary(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(pairs), "--completion-key", "text", "--gold-key", "gold"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "1 of 4 correct (25.0%)"
    assert [line.split() for line in out[1:]] == [
        ["1", "wrong"],
        ["1", "no_answer"],
        ["1", "gold_unparsable"],
    ]


def test_json_lines(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(pairs), "--completion-key", "text", "--gold-key", "gold", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["status"] for row in rows] == ["correct", "wrong", "no_answer", "gold_unparsable"]
    assert rows[0] == {
        "correct": True,
        "status": "correct",
        "extracted": "4",
        "tier": "exact",
        "licences": [],
    }


def test_licences(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs.write_text(json.dumps({"completion": "\\boxed{x = 5}", "answer": "5"}))
    assert main(["verify", str(pairs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["licences"] == ["name-dropped"]
    assert main(["verify", str(pairs), "--deny", "name-dropped"]) == 0
    assert capsys.readouterr().out.startswith("0 of 1 correct")
    assert main(["verify", str(pairs), "--allow", "nothing"]) == 2
    assert "unknown licence 'nothing'" in capsys.readouterr().err


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    content = io.BytesIO('{"completion": "é \\\\boxed{4}", "answer": "4"}\n'.encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content, encoding="ascii"))
    assert main(["verify", "-"]) == 0
    assert capsys.readouterr().out == "1 of 1 correct (100.0%)\n"


def test_a_byte_order_mark_and_separators_inside_strings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes('\ufeff{"completion": "So\u2028\\\\boxed{4}", "answer": 4}\r\n'.encode())
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out == "1 of 1 correct (100.0%)\n"


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_line(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(content)
    assert main(["verify", str(path)]) == 2
    assert capsys.readouterr().err == f"error: {path}: holds no completions\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"completion": "4"}', "1: no key 'answer'; the keys are: completion"),
        ('{"completion": "4", "answer": "4"}\nnot json', "2: not valid JSON (Expecting value at column 1)"),
        ("[1]", "1: a JSON object is expected, got list"),
        ('{"completion": null, "answer": "4"}', "1: 'completion' is not text or a number"),
        ('{"completion": "4", "answer": true}', "1: 'answer' is not text or a number"),
        (
            '{"completion": "4", "answer": ' + "7" * 5000 + "}",
            "1: an integer has over 4300 digits; write it as text",
        ),
        ('{"completion": "4", "answer": NaN}', "1: 'answer' is nan, which cannot be compared"),
        ('{"completion": "4\\ud83d", "answer": "4"}', "1: a text holds half of a surrogate pair"),
    ],
)
def test_bad_lines_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    assert main(["verify", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_standard_input_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["verify", "-"]) == 2
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n")))
    assert main(["verify", "-"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: standard input: it is closed",
        "error: standard input, line 1: cannot be read as UTF-8 text (invalid start byte); save it as UTF-8",
    ]


def test_threads_are_counted_from_one(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, reason in (("0", "must be 1 or more"), ("x", "'x' is not a whole number")):
        assert main(["verify", str(pairs), "--threads", wrong]) == 2
        assert f"argument --threads: {reason}" in capsys.readouterr().err


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.jsonl"
    assert main(["verify", str(missing)]) == 2
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe\x00")
    assert main(["verify", str(binary)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == f"error: {missing}: no such file"
    assert (
        errors[1]
        == f"error: {binary}, line 1: cannot be read as UTF-8 text (invalid start byte); save it as UTF-8"
    )
