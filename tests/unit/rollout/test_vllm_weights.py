"""Weight pushes that fail: every group is gathered all the same, as the other ranks gather them too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from p2o.errors import ConfigError, TrainingError
from p2o.rollout.config import Nccl
from p2o.rollout.vllm_weights import InProcessTransfer, NcclTransfer, SentTypes, SharedMemoryTransfer


class Engine:
    """Takes weights until the call `fails`; remembers what was called."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.called: list[str] = []

    def _call(self, name: str) -> None:
        self.called.append(name)
        if name == self.fails:
            raise RuntimeError(f"{name} failed")

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self._call("init")

    def start_weight_update(self) -> None:
        self._call("start")

    def update_weights(self, update_info: dict[str, Any]) -> None:
        self._call("update")

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self._call("finish")

    def call(self, method: str) -> Any:
        self._call(method)
        return []


class Gathered:
    """Three groups of weights; counts those that were gathered."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Iterator[list[tuple[str, torch.Tensor]]]:
        for index in range(3):
            self.count += 1
            yield [(f"weight.{index}", torch.zeros(4))]


@pytest.mark.parametrize("fails", ["", "start", "update", "finish", "p2o_missing_weights"])
def test_a_push_that_fails_gathers_to_the_end(fails: str) -> None:
    engine, groups = Engine(fails), Gathered()
    transfer = InProcessTransfer(engine, SentTypes(torch.float32, torch.float32))
    if fails:
        with pytest.raises(
            TrainingError, match=f"must not be sampled from before the next push: {fails} failed"
        ):
            transfer.push(groups, "1")
        assert engine.called[-1] == "p2o_abandon_update"
    else:
        transfer.push(groups, "1")
        assert engine.called == ["start", *["update"] * 3, "finish", "p2o_missing_weights"]
    assert groups.count == 3


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_folder_that_cannot_be_used_keeps_nobody_waiting(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    groups = Gathered()
    transfer = SharedMemoryTransfer(Engine(), SentTypes(torch.float32, torch.float32), tmp_path / folder)
    with pytest.raises(ConfigError, match=r"cannot be written|has no room"):
        transfer.push(groups, "1")
    assert groups.count == 3
    assert list(tmp_path.iterdir()) == [], "no file is left"


def test_what_is_of_another_type_than_the_policy_keeps_it(tmp_path: Path) -> None:
    """A router's float32 biases and a table of whole numbers arrive as they are, in memory and through a file."""
    group = [
        ("weight", torch.tensor([1.0, 2.5], dtype=torch.float32)),
        ("kept", torch.tensor([1 / 3], dtype=torch.float64)),
        ("table", torch.tensor([[2**20 + 1]])),
    ]
    expected = {"weight": torch.bfloat16, "kept": torch.float64, "table": torch.int64}
    types = SentTypes(torch.float32, torch.bfloat16)
    sent: list[dict[str, Any]] = []

    class Taking(Engine):
        def update_weights(self, update: dict[str, Any]) -> None:
            if "path" in update:
                size = max(place.offset + place.size for place in update["places"])
                buffer = torch.from_file(update["path"], shared=False, size=size, dtype=torch.uint8)
                sent.append(
                    {
                        place.name: buffer[place.offset : place.offset + place.size]
                        .view(getattr(torch, place.dtype))
                        .view(place.shape)
                        .clone()
                        for place in update["places"]
                    }
                )
            else:
                sent.append(dict(update["tensors"]))

    for transfer in (InProcessTransfer(Taking(), types), SharedMemoryTransfer(Taking(), types, tmp_path)):
        transfer.push(lambda: iter([group]), "1")
    for found in sent:
        assert {name: tensor.dtype for name, tensor in found.items()} == expected
        assert all(torch.equal(found[name].double(), tensor.double()) for name, tensor in group)
    assert len(sent) == 2


class Endpoint:
    """vLLM's end of an NCCL transfer as the trainer sees it: goes through the source, on rank 0 as far as it works."""

    has_failed = False
    """Whether a broadcast has."""

    def __init__(self, info: Any, source: Any) -> None:
        self.rank, self.source = info.rank, source

    @classmethod
    def trainer_init(cls, info: Any, *, client: Any, source: Any) -> Endpoint:
        if info.rank == 0:
            client.tries += 1
            if client.tries == 1:
                raise RuntimeError("no connection")
        return cls(info, source)

    def send_weights(self) -> None:
        for sent, _ in enumerate(self.source):
            if self.rank == 0 and sent == 1 and not Endpoint.has_failed:
                Endpoint.has_failed = True
                raise RuntimeError("a broadcast failed")


class NcclServer(SimpleNamespace):
    tries = 0

    def workers(self) -> int:
        return 1

    def set_version(self, version: str) -> None:
        self.version = version


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "vllm.distributed.weight_transfer"
    parts = {
        "base": {"ParamMeta": lambda *values: values},
        "factory": {"WeightTransferTrainerFactory": Endpoint},
        "nccl_engine": {"NCCLTrainerInitInfo": SimpleNamespace},
    }
    for name, values in parts.items():
        monkeypatch.setitem(sys.modules, f"{module}.{name}", SimpleNamespace(**values))


@pytest.mark.usefixtures("endpoint")
def test_an_nccl_push_waits_for_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM 0.32 packs on side streams that wait for nothing: half of a step's weights could be those of before."""
    done: list[str] = []
    stream = SimpleNamespace(synchronize=lambda: done.append("synchronized"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_stream", lambda: stream)
    monkeypatch.setattr(Endpoint, "send_weights", lambda self: done.append("sent"))
    types = SentTypes(torch.float32, torch.float32)
    transfer = NcclTransfer(NcclServer(), types, rank=1, way=Nccl("host", 1))
    for version in ("1", "2"):
        transfer.push(Gathered(), version)
    assert done == ["synchronized", "sent"] * 2


@pytest.mark.usefixtures("endpoint")
def test_ranks_gather_alike_however_an_nccl_push_of_rank_0_fails() -> None:
    """Rank 0 fails when it connects, then half-way; the third push works. Shapes are gathered once, by both."""
    weight = SimpleNamespace(dtype=torch.float32, shape=(4,), to=lambda **_: None)

    class Counted(Gathered):
        def __call__(self) -> Iterator[list[tuple[str, Any]]]:
            for group in super().__call__():
                yield [(name, weight) for name, _ in group]

    server, types = NcclServer(), SentTypes(torch.float32, torch.float32)
    transfers = [NcclTransfer(server, types, rank=rank, way=Nccl("host", 1)) for rank in (0, 1)]
    gathered = [Counted(), Counted()]
    for version, reason in (("1", "no connection"), ("2", "a broadcast failed")):
        with pytest.raises(TrainingError, match=reason):
            transfers[0].push(gathered[0], version)
        transfers[1].push(gathered[1], version)
        assert gathered[0].count == gathered[1].count
    for transfer, groups in zip(transfers, gathered, strict=True):
        transfer.push(groups, "3")
    assert [groups.count for groups in gathered] == [3 + 3 * 3] * 2
    assert server.version == "3"
