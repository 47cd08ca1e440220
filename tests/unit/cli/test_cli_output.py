"""What a command prints reaches its reader or is told not to have: closed pipes, full disks, narrow encodings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from p2o.api import process_as_it_was
from p2o.cli import main as cli
from p2o.cli.main import main

COMMANDS = {
    "help": ["--help"],
    "summary": ["verify", "pairs.jsonl"],
    "json": ["verify", "pairs.jsonl", "--json"],
    "console": ["data", "pairs.jsonl", "--set", "data.problem_key=completion"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = json.dumps({"completion": "The answer is café.", "answer": "café"})
    (tmp_path / "pairs.jsonl").write_text(line + "\n")


def command(arguments: list[str], **environment: str) -> tuple[list[str], dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return [sys.executable, "-m", "p2o", *arguments], {**kept, **environment}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_has_gone_is_no_error(name: str) -> None:
    line, environment = command(COMMANDS[name])
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_cannot_be_written_is_one_line(name: str) -> None:
    line, environment = command(COMMANDS[name])
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            line, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 2
    assert ended.stderr == "error: No space left on device\n"


def test_text_of_a_model_in_json_steers_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some terminals take U+009B for the beginning of a control sequence, as ESC [."""
    completion = "\\boxed{\x1b]0;x\x07\x9b31m\u202e\U000e0041é}"
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"completion": completion, "answer": "é"}))
    assert main(["verify", "pairs.jsonl", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.rstrip("\n").isprintable()
    assert "é" in out
    assert json.loads(out)["extracted"] in completion


def test_an_encoding_that_lacks_characters(tmp_path: Path) -> None:
    def printed(arguments: list[str]) -> str:
        line, environment = command(arguments, PYTHONIOENCODING="ascii")
        return subprocess.run(line, env=environment, capture_output=True, check=True).stdout.decode("ascii")

    assert json.loads(printed(COMMANDS["json"]))["extracted"].startswith("café")
    assert "P\\xb2O" in printed(["--help"])


@pytest.mark.parametrize("wanted", [None, "ACTIVE"])
def test_threads_sleep_unless_they_are_told_not_to(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None
) -> None:
    """Without `make`, which says so too: where others use the cores, spinning threads take many times as long."""
    monkeypatch.setenv("OMP_WAIT_POLICY", wanted or "")
    if wanted is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    with process_as_it_was():  # p2o.train
        assert os.environ["OMP_WAIT_POLICY"] == (wanted or "PASSIVE")
    assert os.environ.get("OMP_WAIT_POLICY") == wanted
    main(["verify", "pairs.jsonl"])
    assert os.environ["OMP_WAIT_POLICY"] == (wanted or "PASSIVE")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore."),
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        ),
    ],
)
def test_memory_that_runs_out_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(cli, "run_command", fail)
    assert main([]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory: ")
    assert "optimizer.micro_batch_tokens" in told
    assert told.count("\n") == 1


def test_an_error_of_the_system_without_a_word_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`asyncio` and futures raise such a one: `TimeoutError` is among the system's errors."""

    def fail(arguments: object) -> int:
        raise TimeoutError

    monkeypatch.setattr(cli, "run_command", fail)
    assert main([]) == 2
    assert capsys.readouterr().err == "error: TimeoutError\n"


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(cli, "run_command", fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main([])


@pytest.mark.parametrize("code", [0, None, 3])
def test_exit_in_the_middle_is_no_good_end(
    code: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a loss, a sampler or a model's own code."""

    def leave(args: object) -> int:
        raise SystemExit(code)

    monkeypatch.setattr("p2o.cli.doctor.run", leave)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == (
        f"error: code from outside p2o (a part of your own, or of the model) called exit({code!r})\n"
    )
