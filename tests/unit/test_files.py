"""Files and checkpoints that survive kills."""

from __future__ import annotations

import copy
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2o.checkpoint import LATEST, latest_checkpoint, load_checkpoint, make_newest, save_checkpoint
from p2o.errors import ConfigError, ModelError, RunDirectoryError
from p2o.evolution.journal import Journal
from p2o.files import append_jsonl, naming, new_directory, read_jsonl, write_jsonl, write_text
from p2o.policy.config import LossConfig
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.torch_backend import TorchPolicy


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_text_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def kill(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(Path, "replace", kill)
    with pytest.raises(Killed):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_what_is_written_goes_where_a_link_leads(tmp_path: Path) -> None:
    """So a run directory may be a link into a larger disk; as root `/dev/stdout` would be replaced by a file."""
    (tmp_path / "disk").mkdir()
    for name, there in (("text", True), ("new text", False)):
        target, link = tmp_path / "disk" / name, tmp_path / name
        if there:
            target.write_text("old")
        link.symlink_to(target)
        write_text(link, "new")
        assert (link.is_symlink(), target.read_text()) == (True, "new")
    for name, there in (("run", True), ("new run", False)):
        target, link = tmp_path / "disk" / name, tmp_path / name
        if there:
            target.mkdir()
        link.symlink_to(target)
        with new_directory(link) as temporary:
            (temporary / "a").write_text("new")
        assert (link.is_symlink(), (target / "a").read_text()) == (True, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "new run", "new text", "run", "text"]
    assert len(list((tmp_path / "disk").iterdir())) == 4

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "to a pipe")
    assert (pipe.is_fifo(), os.read(reader, 99)) == (True, b"to a pipe")
    os.close(reader)


def test_a_file_that_cannot_be_written_has_the_name_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (
        tmp_path / "file" / "report.html",
        tmp_path / "none" / "report.html",
        tmp_path / ("a" * 300),
    ):
        with pytest.raises(OSError, match=f"{re.escape(str(path))}'$"):
            write_text(path, "text")


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of the machine leaves the old or the new: content is synced, renamed, then the name is synced."""
    events: list[str] = []

    def noting(owner: Any, name: str, shown: Callable[[Any], str]) -> None:
        own = getattr(owner, name)

        def noted(subject: Any, *arguments: Any) -> Any:
            events.append(f"{name} {Path(shown(subject)).relative_to(tmp_path)}")
            return own(subject, *arguments)

        monkeypatch.setattr(owner, name, noted)

    noting(os, "fsync", lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}"))
    noting(Path, "replace", str)
    noting(Path, "rename", str)
    write_text(tmp_path / "a", "text")
    assert events == ["fsync .a.tmp", "replace .a.tmp", "fsync ."]
    events.clear()
    with new_directory(tmp_path / "d") as temporary:
        (temporary / "b").write_text("text")
    assert events == ["fsync .d.tmp/b", "fsync .d.tmp", "rename .d.tmp", "fsync ."]
    events.clear()
    with Journal(tmp_path / "j", {}) as journal:
        assert events == ["fsync j"], "its header"
        journal.sync()
    assert events == ["fsync j"] * 2


def test_a_directory_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "d"

    def fill_half() -> None:
        with new_directory(path) as temporary:
            (temporary / "half").write_text("x")
            raise Killed

    with pytest.raises(Killed):
        fill_half()
    assert not path.exists()
    for text in ("first", "second"):
        with new_directory(path) as temporary:
            (temporary / "whole").write_text(text)
        assert (path / "whole").read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_a_directory_goes_by_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with new_directory(tmp_path / "model") as temporary:
            private = os.open(temporary / "weights", os.O_CREAT | os.O_WRONLY, 0o600)
            os.close(private)
    finally:
        os.umask(before)
    assert (tmp_path / "model" / "weights").stat().st_mode & 0o777 == mode


def test_what_a_kill_left_aside_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "d"
    with new_directory(path) as temporary:
        (temporary / "whole").write_text("earlier")
    path.rename(tmp_path / ".d.old")  # as after a kill between the two renames

    def fail() -> None:
        with new_directory(path):
            raise Killed

    with pytest.raises(Killed):
        fail()
    assert (path / "whole").read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_records_survive_odd_characters_and_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    records = [{"text": "a\u2028b\u0085c\nd"}, {"text": "é" * 3}]
    append_jsonl(path, records)
    assert read_jsonl(path) == records
    whole = path.read_bytes()
    for cut in range(1, 30):
        path.write_bytes(whole[:-cut])
        assert read_jsonl(path) in (records, records[:1], [])
    write_jsonl(path, records)
    assert path.read_bytes() == whole
    assert read_jsonl(tmp_path / "missing.jsonl") == []


def make_policy(model: Any, **config: Any) -> TorchPolicy:
    return TorchPolicy(
        model, OptimizerConfig(**config), LossConfig(), pad_id=0, temperature=1.0, planned_steps=5
    )


def step(policy: TorchPolicy) -> None:
    """An optimizer step along a made-up gradient: 1 everywhere."""
    policy._backward(sum(parameter.sum() for parameter in policy.model.parameters()))
    policy._step(policy.config.learning_rate)
    policy.steps += 1


def test_checkpoints_restore_weights_optimizer_and_state(
    random_model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    policy = make_policy(random_model)
    step(policy)
    save_checkpoint(tmp_path, "epoch-0", policy, tokenizer, {"step": 3}, keep=2)
    other = make_policy(copy.deepcopy(random_model))
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.add_(1)
    newest = latest_checkpoint(tmp_path)
    assert newest is not None
    assert load_checkpoint(newest, other) == {"step": 3}
    for one in (policy, other):
        step(one)
    pairs = zip(policy.model.parameters(), other.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("keep", range(1, 8))
def test_the_newest_checkpoints_are_kept(tmp_path: Path, keep: int) -> None:
    names = [f"epoch-{number}" for number in range(1, 7)]
    for count, name in enumerate(names, start=1):
        (tmp_path / name).mkdir()
        make_newest(tmp_path / name, keep)
        assert sorted(path.name for path in tmp_path.glob("epoch-*")) == names[:count][-keep:]


@pytest.mark.parametrize("keep", [1, 2])
def test_old_checkpoints_go_and_the_named_one_stays(
    random_model: Any, tokenizer: Any, tmp_path: Path, keep: int
) -> None:
    policy = make_policy(random_model)
    for name in ("epoch-1", "epoch-2", "epoch-3"):
        save_checkpoint(tmp_path, name, policy, tokenizer, {"name": name}, keep=keep)
    assert sorted(p.name for p in tmp_path.glob("epoch-*")) == ["epoch-1", "epoch-2", "epoch-3"][3 - keep :]
    # A kill between the rename of epoch-3 and the pointer: the run goes on from epoch-2 and writes epoch-3 again.
    if keep == 2:
        write_text(tmp_path / LATEST, "epoch-2\n")
        save_checkpoint(tmp_path, "epoch-2b", policy, tokenizer, {"name": "2b"}, keep=1)
        assert [p.name for p in tmp_path.glob("epoch-*")] == ["epoch-2b"]
        assert latest_checkpoint(tmp_path) == tmp_path / "epoch-2b"


def test_a_pointer_to_nothing_falls_back(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, "epoch-1", make_policy(random_model), tokenizer, {}, keep=1)
    write_text(tmp_path / LATEST, "epoch-9\n")
    assert latest_checkpoint(tmp_path) == tmp_path / "epoch-1"


def test_bfloat16_is_trained_on_float32_copies(random_model: Any, tokenizer: Any, tmp_path: Path) -> None:
    """A step of 1e-6 is below bfloat16's resolution: on the weights themselves hardly any would move."""
    start = {name: p.detach().clone() for name, p in random_model.bfloat16().named_parameters()}
    policy = make_policy(random_model, learning_rate=1e-6)
    for _ in range(3):
        step(policy)
    moved = torch.cat([(m - start[name].float()).flatten() for name, m in policy.master.items()])
    torch.testing.assert_close(moved, torch.full_like(moved, -3e-6), atol=2e-7, rtol=0)
    policy.save(tmp_path, tokenizer)
    other = make_policy(copy.deepcopy(random_model), learning_rate=1e-6)
    other.load(tmp_path)
    assert all(
        torch.equal(one, two) for one, two in zip(policy.master.values(), other.master.values(), strict=True)
    )


def test_float16_is_refused(random_model: Any) -> None:
    with pytest.raises(ConfigError, match="bfloat16"):
        make_policy(random_model.half())


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    """Whatever bit of a whole line is flipped; in files without checksums, what is no JSON."""
    path = tmp_path / "r.jsonl"
    records = [{"text": "é"}, {"step": 2}]
    write_jsonl(path, records)
    whole = path.read_bytes()
    for place in range(len(whole) - 1):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(RunDirectoryError, match=r"r\.jsonl, line \d: damaged, .* remove the line$"):
                read_jsonl(path)
    path.write_text('{"text": "é"}\n{"step": 2}\n')
    assert read_jsonl(path) == records, "of an earlier version"
    assert read_jsonl(path, 1) == records[:1]
    for line in ('{"step\n', "3\n", "[" * 5000 + "\n", "\n"):
        path.write_text('{"step": 1}\n' + line + '{"step": 2}\n')
        with pytest.raises(RunDirectoryError, match="line 2: damaged"):
            read_jsonl(path)
        assert read_jsonl(path, 1) == [{"step": 1}]


def test_a_disk_that_fails_in_a_library_of_rust_is_a_system_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught, naming(tmp_path / "f"):
        raise Exception("No space left on device (os error 28)")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "f"))
    with pytest.raises(ModelError), naming(tmp_path):
        raise ModelError("cannot be written (os error 28)")
    with pytest.raises(ValueError, match="another"), naming(tmp_path):
        raise ValueError("another")
