"""Sharing work among ranks: threads stand in for processes, over a gather and a broadcast of their own."""

from __future__ import annotations

import copy
import errno
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from torch.distributed import HashStore

from p2o import distributed
from p2o.cli.main import main
from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, DataError, ModelError, ReflectionError, RunDirectoryError


class ThreadWorld(Processes):
    """Ranks as threads that meet at a barrier."""

    def __init__(
        self, rank: int, size: int, meeting: threading.Barrier, board: list[Any], store: Any
    ) -> None:
        super().__init__(rank, size, store=store)
        object.__setattr__(self, "meeting", meeting)
        object.__setattr__(self, "board", board)

    def gather(self, value: Any) -> list[Any]:
        self.board[self.rank] = value
        self.meeting.wait()
        values = list(self.board)
        self.meeting.wait()
        return values

    def broadcast(self, value: Any) -> Any:
        return self.gather(value)[0]


def on_ranks(
    size: int, function: Callable[[Processes], Any], kind: type[ThreadWorld] = ThreadWorld
) -> list[Any]:
    """What `function` returns or raises on each rank."""
    meeting, board, store = threading.Barrier(size, timeout=20), [None] * size, HashStore()
    outcomes: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            outcomes[rank] = function(kind(rank, size, meeting, board, store))
        except Exception as error:
            outcomes[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("items", [[], [5], list(range(17))])
def test_every_rank_gets_the_whole_in_order(size: int, items: list[int]) -> None:
    shares: dict[int, Sequence[int]] = {}

    def function(processes: Processes) -> list[int]:
        def double(share: Sequence[int]) -> list[int]:
            shares[processes.rank] = share
            return [2 * item for item in share]

        return processes.map(double, items)

    assert on_ranks(size, function) == [[2 * item for item in items]] * size
    assert [item for rank in range(size) for item in shares[rank]] == items, "each item on one rank"
    assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1


@pytest.mark.parametrize(("size", "team"), [(2, 2), (4, 2), (6, 3)])
def test_a_team_of_ranks_works_on_the_same_items(size: int, team: int) -> None:
    """Ranks that hold one engine together; their results count once."""
    shares: dict[int, Sequence[int]] = {}

    def function(processes: Processes) -> list[int]:
        def double(share: Sequence[int]) -> list[int]:
            shares[processes.rank] = list(share)
            return [2 * item for item in share]

        return processes.map(double, range(17), team)

    assert on_ranks(size, function) == [[2 * item for item in range(17)]] * size
    for rank in range(size):
        assert shares[rank] == shares[rank // team * team]
    assert [item for rank in range(0, size, team) for item in shares[rank]] == list(range(17))


def test_an_error_on_one_rank_is_raised_on_all() -> None:
    def function(processes: Processes) -> Any:
        def fail(share: Sequence[int]) -> list[int]:
            if processes.rank == 2:
                raise DataError("only here")
            return list(share)

        return processes.map(fail, range(9))

    outcomes = on_ranks(3, function)
    assert all(isinstance(outcome, DataError) for outcome in outcomes), outcomes


@pytest.mark.parametrize(("size", "team"), [(1, 1), (2, 1), (2, 2), (5, 1), (4, 2), (6, 3)])
@pytest.mark.parametrize("pieces", [0, 1, 17])
def test_pieces_go_to_whoever_asks_and_every_rank_gets_the_whole(size: int, team: int, pieces: int) -> None:
    def function(processes: Processes) -> Any:
        drawn: list[list[int]] = []

        def double(numbers: Iterator[int]) -> dict[int, int]:
            drawn.append(list(numbers))
            return {number: 2 * number for number in drawn[-1]}

        return [processes.deal(double, pieces, team) for _ in range(2)], drawn

    outcomes = on_ranks(size, function)
    for found, _ in outcomes:
        assert found == [{number: 2 * number for number in range(pieces)}] * 2
    for call in range(2):
        taken = [drawn[call] for _, drawn in outcomes]
        assert sorted(number for each in taken[::team] for number in each) == list(range(pieces))
        assert all(taken[rank] == taken[rank // team * team] for rank in range(size)), "a team draws as one"


def test_a_rank_that_is_slow_gets_fewer_pieces() -> None:
    """The first piece of rank 0 takes until all others are done."""
    all_taken, first_taken = threading.Event(), threading.Event()

    def function(processes: Processes) -> Any:
        def draw(numbers: Iterator[int]) -> dict[int, int]:
            found: dict[int, int] = {}
            if processes.rank == 1:
                assert first_taken.wait(20)
            for number in numbers:
                found[number] = processes.rank
                first_taken.set()
                if processes.rank == 0:
                    assert all_taken.wait(20)
            all_taken.set()
            return found

        return processes.deal(draw, 9)

    assert on_ranks(2, function) == [{0: 0, **dict.fromkeys(range(1, 9), 1)}] * 2


@pytest.mark.parametrize("team", [1, 2])
def test_who_fails_ends_the_queue(team: int) -> None:
    """The leading rank of a team as well, whose others would wait for its next turn."""

    def function(processes: Processes) -> Any:
        def fail(numbers: Iterator[int]) -> dict[int, int]:
            next(numbers)
            if processes.rank == 2:
                raise DataError("only here")
            return dict.fromkeys(numbers, 0)

        return processes.deal(fail, 10**9, team)

    assert [str(outcome) for outcome in on_ranks(4, function)] == ["only here"] * 4


def test_a_queue_leaves_nothing_in_the_store() -> None:
    store = HashStore()

    def function(processes: Processes) -> Any:
        object.__setattr__(processes, "store", store)
        return processes.deal(lambda numbers: dict.fromkeys(numbers, 1), 30, 2)

    on_ranks(4, function)
    assert store.num_keys() == 0


def test_rank_0_leads_and_the_others_join_its_actions() -> None:
    calls: list[tuple[int, int]] = []

    def function(processes: Processes) -> int:
        def add(left: int, right: int) -> int:
            calls.append((processes.rank, left + right))
            return sum(processes.gather(left)) + right

        return processes.lead({"add": add}, lambda actions: actions["add"](1, 2) * actions["add"](2, 0))

    assert on_ranks(3, function) == [30, 30, 30], "(3 * 1 + 2) * (3 * 2 + 0)"
    assert sorted(calls) == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 2), (2, 3)]


def test_what_rank_0_raises_is_raised_everywhere() -> None:
    def fail() -> None:
        raise DataError("bad")

    outcomes = on_ranks(3, lambda processes: processes.on_main(fail))
    assert [str(outcome) for outcome in outcomes] == ["bad"] * 3


class Told(Exception):
    """Cannot be made again of what it holds, as pickle would."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what} ({code})")


class Locked(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what} ({code})", threading.Lock())

    def __str__(self) -> str:
        return str(self.args[0])


@pytest.mark.parametrize("kind", [Told, Locked])
def test_an_error_that_cannot_be_sent_is_told_in_words(kind: type[Exception]) -> None:
    """Those of parts of one's own, and of packages, need not be fit for it."""

    class Apart(ThreadWorld):
        def gather(self, value: Any) -> list[Any]:
            return [pickle.loads(sent) for sent in super().gather(pickle.dumps(value))]

    def share(items: Sequence[int]) -> list[int]:
        if items[0] > 0:
            raise kind("no GPU", 3)
        return list(items)

    shared = on_ranks(2, lambda processes: processes.map(share, [0, 1]), Apart)
    assert [repr(error) for error in shared] == [f"RuntimeError('{kind.__name__}: no GPU (3)')"] * 2
    assert isinstance(shared[1].__cause__, kind), "the rank that failed shows where"
    first, other = on_ranks(2, lambda processes: processes.on_main(lambda: share([1])), Apart)
    assert isinstance(first, kind)
    assert repr(other) == f"RuntimeError('{kind.__name__}: no GPU (3)')"


def test_a_failure_of_all_ranks_is_told_by_one_of_each_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "about.json")

    def write() -> None:
        raise full

    def share(items: Sequence[int]) -> list[int]:
        if items[0] > 0:
            raise full
        return list(items)

    everywhere = [
        *on_ranks(2, lambda processes: processes.on_main(write))[1:],
        *on_ranks(2, lambda processes: processes.map(share, [0, 1])),
    ]
    alone = OSError(errno.ENOENT, "No such file", "model.gguf")
    for rank, told in ((0, [full, full, full, alone]), (1, [alone])):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        said = ""
        for error in (*everywhere, alone):
            monkeypatch.setattr("p2o.cli.main.run_command", Mock(side_effect=error))
            assert main(["train"]) == 2
            said += capsys.readouterr().err
        assert said == "".join(f"error: {error.filename}: {error.strerror}\n" for error in told)


def test_what_a_rank_has_met_by_itself_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GPU that is full, say: the others only learn that a process has ended."""

    def said(rank: int, error: Exception) -> str:
        for name, number in (("RANK", rank), ("LOCAL_RANK", rank % 2)):
            monkeypatch.setenv(name, str(number))
        monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)
        monkeypatch.setattr("p2o.cli.main.run_command", Mock(side_effect=error))
        assert main(["train"]) == 2
        return capsys.readouterr().err

    def told(error: Callable[[], Exception]) -> list[int]:
        return [rank for rank in (1, 3, 0, 2) if said(rank, error())]

    def refuse(processes: Processes) -> None:
        processes.require_same({"seed": processes.rank})

    def fail(processes: Processes) -> None:
        with processes.raising_on_all():
            raise ModelError("the same")

    assert told(lambda: ModelError("before they join")) == [0, 2], "settings, which all have read"
    store = HashStore()
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.distributed_c10d._get_default_store", lambda: store)
    assert said(3, ModelError("out of memory")) == "error: out of memory\n"
    assert told(lambda: ModelError("too long")) == [1, 3], "the first of each node that comes to it"
    assert told(lambda: OSError(errno.EIO, "Input/output error")) == [1, 3]
    for function in (refuse, fail):
        assert told(lambda: on_ranks(2, function)[1]) == [0, 2], "met together"  # noqa: B023
    gone = Mock(add=Mock(side_effect=RuntimeError("connection refused")))
    monkeypatch.setattr("torch.distributed.distributed_c10d._get_default_store", lambda: gone)
    assert told(lambda: ModelError("without a store")) == [1, 3, 0, 2]


def test_what_failed_everywhere_is_not_hidden_by_ranks_that_are_gone() -> None:
    """The others raise within the action and leave; rank 0's word to them then fails."""

    class Left(ThreadWorld):
        def broadcast(self, value: Any) -> Any:
            if self.is_main and value[0] == "raise":
                raise RuntimeError("connection closed by peer")
            return super().broadcast(value)

    def function(processes: Processes) -> Any:
        def fail(_: Sequence[int]) -> list[int]:
            raise DataError("the cause")

        return processes.lead(
            {"fail": lambda: processes.map(fail, range(4))}, lambda actions: actions["fail"]()
        )

    assert [str(outcome) for outcome in on_ranks(3, function, Left)] == ["the cause"] * 3


def test_processes_of_a_node_are_counted_under_each_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the memory of a node would be checked for one of them, and one node take itself for several."""
    if (deepspeed := find_spec("deepspeed")) is not None:
        launcher = Path(str(deepspeed.origin)).parent / "launcher" / "launch.py"
        assert 'current_env["LOCAL_SIZE"] = str(num_local_procs)' in launcher.read_text()
    for name in ("LOCAL_WORLD_SIZE", "LOCAL_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.local_size() == 1
    monkeypatch.setenv("LOCAL_SIZE", "8")
    assert distributed.local_size() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # torchrun, whatever else the environment has
    assert distributed.local_size() == 4


def test_more_processes_than_gpus_may_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `model.device = "cpu"` they need none; what needs one says so in a line when the model is loaded."""
    taken: list[int] = []
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", taken.append)
    monkeypatch.setattr("torch.distributed.init_process_group", Mock())
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    monkeypatch.setattr(distributed, "_control_group", Mock())
    monkeypatch.setattr(distributed, "_control_store", Mock())
    for rank in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        monkeypatch.setattr("torch.distributed.get_rank", lambda: rank)  # noqa: B023
        assert distributed.join_processes().rank == rank
    assert taken == [0, 1]


def test_one_process_needs_no_process_group() -> None:
    assert ONE_PROCESS.map(lambda items: [item + 1 for item in items], [1, 2]) == [2, 3]
    assert ONE_PROCESS.gather("x") == ["x"]
    assert ONE_PROCESS.on_main(lambda: 7) == 7


def test_rank_0_may_go_on_after_a_reflection_that_failed_everywhere() -> None:
    def function(processes: Processes) -> str:
        def reflect() -> list[int]:
            def fail(_: Sequence[int]) -> list[int]:
                raise ReflectionError("too long")

            return processes.map(fail, range(4))

        def main(actions: Any) -> str:
            with pytest.raises(ReflectionError):
                actions["reflect"]()
            return "the step ended"

        return processes.lead({"reflect": reflect}, main)

    assert on_ranks(3, function) == ["the step ended"] * 3


def test_ranks_that_differ_are_named_with_the_setting() -> None:
    def function(processes: Processes) -> None:
        facts = {"run.seed": 0, "run.epochs": 3, "data": "ab"}
        if processes.rank == 2:
            facts = {"run.seed": 0, "run.epochs": 4, "rollout.n": 8}
        processes.require_same(facts)

    outcomes = on_ranks(3, function)
    assert {type(outcome) for outcome in outcomes} == {ConfigError}
    assert {str(outcome) for outcome in outcomes} == {
        "rank 2 has another data than rank 0 (None, not 'ab'): start all ranks with the same settings, files and "
        "packages"
    }
    assert on_ranks(3, lambda processes: processes.require_same({"a": processes.size})) == [None] * 3
    ONE_PROCESS.require_same({"a": 1})


def test_a_folder_that_not_all_nodes_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "SHARED_WITHIN", (0.0, 0.0))
    shared = tmp_path / "shared"
    assert on_ranks(2, lambda processes: processes.require_shared(shared)) == [None, None]
    assert list(shared.iterdir()) == []
    own = on_ranks(2, lambda processes: processes.require_shared(tmp_path / f"{processes.rank}"))
    assert {type(outcome) for outcome in own} == {RunDirectoryError}
    assert all("for rank 1 on " in str(outcome) and "set run.output" in str(outcome) for outcome in own)
    assert list((tmp_path / "0").iterdir()) == []
    ONE_PROCESS.require_shared(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_shows_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on network file systems."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            (tmp_path / "late").touch()

    monkeypatch.setattr(distributed, "time", SimpleNamespace(sleep=sleep))
    assert distributed._appears(tmp_path / "late")
    assert waits == list(distributed.SHARED_WITHIN[:2])


def test_what_makes_tokens_is_in_the_digest_of_a_tokenizer(tokenizer: Any) -> None:
    """Its vocabulary alone would not tell of a rule; what a call has set for itself is none."""
    from tokenizers import normalizers

    from p2o.launch import tokenizer_digest

    first = tokenizer_digest(tokenizer)
    other = copy.deepcopy(tokenizer)
    other(["1", "22"], padding=True, truncation=True, max_length=2)
    assert tokenizer_digest(other) == first
    other.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert tokenizer_digest(other) != first
    templated = copy.deepcopy(tokenizer)
    templated.chat_template += " "
    assert tokenizer_digest(templated) != first


def test_each_weight_is_in_the_digest_of_a_model(random_model: Any) -> None:
    import torch

    from p2o.launch import weights_digest

    first = weights_digest(random_model)
    assert weights_digest(random_model) == first
    for weight in (next(iter(random_model.parameters())), *list(random_model.parameters())[-1:]):
        with torch.no_grad():
            weight.flatten()[0] += 1
            assert weights_digest(random_model) != first
            weight.flatten()[0] -= 1
