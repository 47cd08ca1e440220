"""The run directory: `config.toml`, `metrics.jsonl`, `templates.jsonl`, `transfer.jsonl`, `rollouts/`, `checkpoints/`,
`report.html`."""

from __future__ import annotations

import json
import os
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from p2o.config import Config, build_config
from p2o.data import JsonlData
from p2o.errors import ConfigError, RunDirectoryError
from p2o.evolution.result import Candidate, Evolution
from p2o.files import (
    alone_in,
    append_jsonl,
    json_line,
    new_directory,
    read_json,
    read_jsonl,
    read_toml,
    write_jsonl,
    write_text,
)
from p2o.locks import lock
from p2o.types import Group, Problem, Rollout

if TYPE_CHECKING:
    from p2o.state import LoopState

MAY_CHANGE = (
    "run.output",
    "checkpoint.",
    "track.",
    "reflection.endpoint.base_url",
    "reflection.endpoint.api_key_env",
    "reflection.endpoint.concurrency",
    "reflection.endpoint.timeout_s",
    "optimizer.backend",
    "optimizer.gradient_checkpointing",
    "optimizer.micro_batch_tokens",
    "optimizer.offload",
    "optimizer.zero_stage",
    "reward.concurrency",
    "reward.max_failures",
    "reward.timeout_s",
    "rollout.batch_size",
    "rollout.decoding",
    "rollout.vllm.gpu_memory_utilization",
    "rollout.vllm.lora",
    "rollout.vllm.tensor_parallel_size",
    "rollout.vllm.timeout_s",
    "rollout.vllm.transfer",
    "rollout.vllm.url",
)
"""Settings that do not change what a run computes, or only by rounding: a resumed run may change them. Memory
settings are among them: a run that ran out of memory could not continue otherwise."""


CONFIG = "config.toml"
"""The file of a run's settings; in its facts, the check of that file."""

LOCK = ".lock"
"""The file that the process at work in a run directory has locked."""

GROWTH = ("run.epochs", "run.schedule_epochs")
"""Settings that change where a resumed run gets more epochs than it began with; the run keeps them."""


class RunDirectory:
    """One run's files. Made by `create`, reopened by `resume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.templates = path / "templates.jsonl"
        self.transfer = path / "transfer.jsonl"
        self.rollouts = path / "rollouts"
        self.checkpoints = path / "checkpoints"
        self.journals = path / "evolve"
        self.unlock: Callable[[], object] = lambda: None

    def __reduce__(self) -> tuple[type[RunDirectory], tuple[Path]]:
        return RunDirectory, (self.path,)  # other processes have no lock of their own

    @classmethod
    def create(cls, path: Path, config: Config, facts: Mapping[str, Any]) -> RunDirectory:
        """Makes a new run directory with the resolved configuration.

        Raises:
            RunDirectoryError: if there is a run at `path` already, or it cannot be written.
        """
        directory = cls(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Two runs that begin at once would both find the name free, and one move the other's folder away.
            with alone_in(path.parent):
                require_free(path)
                directory._make(config, facts)
        except OSError as error:
            raise RunDirectoryError(
                f"{path}: the run directory cannot be made ({error.strerror or error}): set run.output"
            ) from None
        directory.lock()
        return directory

    def _make(self, config: Config, facts: Mapping[str, Any]) -> None:
        """Makes the folders and writes what the run begins with."""
        with new_directory(self.path) as temporary:
            for folder in (self.rollouts, self.checkpoints, self.journals):
                (temporary / folder.name).mkdir()
            text = tomli_w.dumps(config_values(config))
            (temporary / "config.toml").write_text(text, encoding="utf-8")
            if isinstance(config.data, JsonlData):
                for file, lines in config.data.held.items():
                    (temporary / file.name).write_text(lines, encoding="utf-8")
            (temporary / "facts.json").write_text(
                facts_text({**facts, CONFIG: _check(text)}), encoding="utf-8"
            )

    @classmethod
    def resume(cls, path: Path, config: Config, facts: Mapping[str, Any]) -> RunDirectory:
        """Reopens a run, which must have been started with the same configuration and data.

        Raises:
            RunDirectoryError: naming what differs.
        """
        directory, grows = cls(path), require_resumable(path, config)
        known = cls.facts_of(path)
        for key, value in facts.items():
            if known.get(key, value) != value:  # an earlier version of p2o knew fewer facts
                raise RunDirectoryError(f"{path}: {key} has changed since the run began; start a new run")
        directory.lock()
        if grows:
            text = tomli_w.dumps(config_values(config))
            # Without the check of the former text first: a run that is killed in between can be resumed.
            known.pop(CONFIG, None)
            write_text(path / "facts.json", facts_text(known))
            write_text(path / CONFIG, text)
            write_text(path / "facts.json", facts_text({**known, CONFIG: _check(text)}))
        return directory

    def lock(self) -> None:
        """Keeps other processes out of the directory while this object lives, or until `unlock`.

        Raises:
            RunDirectoryError: if another process uses it.
        """
        try:
            file = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunDirectoryError(
                f"{self.path} cannot be written ({error.strerror}): make it writable, or resume a copy of it"
            ) from None
        try:
            lock(file, of_process=True)
        except BlockingIOError:
            os.close(file)
            raise RunDirectoryError(
                f"{self.path}: another process is at work in it: wait for it, end it, or set run.output"
            ) from None
        # The lock belongs to the process, and goes with it however it ends.
        self.unlock = weakref.finalize(self, os.close, file)

    @staticmethod
    def config_of(path: Path) -> Config:
        """The configuration a run was started with.

        Raises:
            RunDirectoryError: if it cannot be read.
        """
        values = read_toml(path / "config.toml", RunDirectoryError)
        try:
            return build_config(values)
        except ConfigError as error:
            raise RunDirectoryError(f"{path}/config.toml cannot be used: {error}") from None

    @staticmethod
    def facts_of(path: Path) -> dict[str, Any]:
        """What else a run must find unchanged.

        Raises:
            RunDirectoryError: if it cannot be read.
        """
        remedy = "the run cannot be resumed; start a new one"
        return read_json(path / "facts.json", RunDirectoryError, remedy)

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends one line of metrics; `step` says after which step."""
        append_jsonl(self.metrics, [record])

    def log_rollouts(self, step: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes a sample of a step's rollouts: see `rollout_records`."""
        write_jsonl(self.rollouts / f"step-{step:06d}.jsonl", records)

    def log_templates(self, version: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes the candidates of the prompt step of a policy version, in place of what a killed run left of it."""
        _write_before(self.templates, "version", version, records)

    def log_transfer(self, epoch: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes what is known of the templates after `epoch`, in place of what a killed run left of it."""
        _write_before(self.transfer, "epoch", epoch, [{"epoch": epoch, **record} for record in records])

    def rewind(self, state: LoopState) -> None:
        """Drops what was written after the checkpoint of `state`: it is written again.

        Raises:
            RunDirectoryError: if what was written before it is damaged.
        """
        _keep_first(self.metrics, state.logged, state.logged_check)
        if state.templates_logged is not None:
            _keep_first(self.templates, state.templates_logged, state.templates_check)
        _write_before(self.transfer, "epoch", state.epoch, ())
        for file in self.rollouts.glob("step-*.jsonl"):
            if int(file.stem.removeprefix("step-")) > state.step:
                file.unlink()


class FollowedRunDirectory(RunDirectory):
    """The run directory of ranks other than 0, which read it and write only their part of checkpoints."""

    def _log_nothing(self, *_: Any, **__: Any) -> None:
        """Rank 0 does."""

    log = log_rollouts = log_templates = log_transfer = _log_nothing


def require_at_rest(path: Path) -> None:
    """Raises RunDirectoryError where another process is at work in the run at `path`."""
    if (path / LOCK).exists():
        directory = RunDirectory(path)
        directory.lock()
        directory.unlock()


def require_resumable(path: Path, config: Config) -> bool:
    """Whether `config` has more epochs than the run at `path` began with; what else it says must be as it was.

    Raises:
        RunDirectoryError: if there is no run, another process is at work in it, or its settings are others.
    """
    if not (path / CONFIG).exists():
        raise RunDirectoryError(f"{path}: no run to resume there (no {CONFIG})")
    require_at_rest(path)
    before = RunDirectory.config_of(path)
    grows = config.run.epochs > before.run.epochs
    may_change = (*MAY_CHANGE, *(GROWTH if grows else ()))
    began = flatten(config_values(before))
    now = flatten(config_values(config))
    for key in sorted(began.keys() | now.keys()):
        if began.get(key) != now.get(key) and not key.startswith(may_change):
            raise RunDirectoryError(
                f"{path}: the run began with {key} = {began.get(key)!r}, not {now.get(key)!r}: "
                "resume with the same settings or start a new run"
            )
    # A resumed run goes by this file: a changed digit in it would make another run.
    found = _check((path / CONFIG).read_bytes().decode())
    if RunDirectory.facts_of(path).get(CONFIG, found) != found:
        raise RunDirectoryError(
            f"{path / CONFIG} is not as the run wrote it: put it back, or start a new run"
        )
    return grows


def require_free(path: Path) -> None:
    """Raises RunDirectoryError where a new run cannot be made because something is there."""
    require_at_rest(path)  # which is not to be removed
    if Path.cwd().is_relative_to(path.resolve()):  # it would be moved away from under the process
        raise RunDirectoryError(
            f"{path}: the run directory cannot be the folder that p2o is called in, or one above it: set run.output to "
            "a new folder"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunDirectoryError(
            f"{path} exists already: continue it with --resume, remove it, or set run.output"
        )
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise RunDirectoryError(
            f"{path}: the run directory cannot be made ({above} is not a folder you can write to): set run.output"
        )


def rollout_records(epoch: int, groups: Sequence[Group], most: int) -> list[dict[str, Any]]:
    """The rollouts of the first groups with their texts, for `rollouts/`: whole groups until there are `most`."""
    shown: list[tuple[Problem, Rollout]] = []
    for group in groups:
        if len(shown) < most:
            shown += [(group.problem, rollout) for rollout in group.rollouts]
    return [
        {
            "epoch": epoch,
            "problem": problem.id,
            "question": problem.messages[-1]["content"],
            "gold": problem.gold,
            "template": rollout.template_id,
            "index": rollout.index,
            "reward": rollout.reward,
            "finish_reason": rollout.finish_reason,
            "tokens": len(rollout.response_ids),
            "text": rollout.text,
        }
        for problem, rollout in shown
    ]


def template_records(version: int, epoch: int, evolution: Evolution) -> list[dict[str, Any]]:
    """Every candidate of the prompt step of a policy version, before rollouts of `epoch`, for `templates.jsonl`."""
    chosen = {template.id for template in evolution.chosen}
    return [
        # A duplicate that was refused has the id of the one that was not.
        template_record(
            version, epoch, candidate, chosen=candidate.accepted and candidate.template.id in chosen
        )
        for candidate in evolution.candidates
    ]


def template_record(version: int, epoch: int, candidate: Candidate, *, chosen: bool) -> dict[str, Any]:
    """A line of `templates.jsonl`."""
    text = candidate.template.text
    return {"version": version, "epoch": epoch, "text": text, "chosen": chosen, **candidate.to_dict()}


def _write_before(file: Path, key: str, value: int, records: Sequence[Mapping[str, Any]]) -> None:
    """Keeps a file's records whose `key` is below `value`, and adds some to them."""
    if records or file.exists():
        kept = [record for record in read_jsonl(file) if record[key] < value]
        write_jsonl(file, [*kept, *records])


def _keep_first(file: Path, count: int, check: int) -> None:
    """Cuts a file of records after the first `count`.

    Raises:
        RunDirectoryError: if CRC-32 of their lines is not `check`.
    """
    kept = []
    with suppress(RunDirectoryError):  # of a damaged line, which cannot simply be removed here
        kept = read_jsonl(file, count)
    if len(kept) < count or zlib.crc32("".join(map(json_line, kept)).encode()) != check:
        raise RunDirectoryError(
            f"{file} is damaged: its first {count} lines are not those of the checkpoint's time; put them back, or "
            "start a new run"
        )
    if kept or file.exists():
        write_jsonl(file, kept)


def facts_text(facts: Mapping[str, Any]) -> str:
    """The content of `facts.json`."""
    return json.dumps(dict(facts), indent=2) + "\n"


def _check(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def config_values(config: Config) -> dict[str, Any]:
    """The configuration as plain TOML values; unset settings are left out."""
    values: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    return values


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
