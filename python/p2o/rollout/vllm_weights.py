"""The trainer's half of a weight push to vLLM: every call to its weight-transfer API is here.

vLLM 0.32's protocol has four calls, in this process or over HTTP: initialise, start, update (once a group), finish.
What vLLM does not know of is in [`p2o.rollout.vllm_worker`][]: the backend `p2o`, which takes tensors of the same
process or a file of shared memory, and the check that no weight was left out. A push that fails ends in a
TrainingError and leaves the engine able to take the next one; until then its weights are a mixture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import torch
from torch import Tensor

from p2o.errors import ConfigError, SamplerError, TrainingError
from p2o.policy.weights import drain
from p2o.rollout.config import Nccl
from p2o.rollout.server_client import ServerClient, may_pass

BACKEND = "p2o"
"""Name of p2o's weight-transfer backend in vLLM's registry."""

WORKER_EXTENSION = "p2o.rollout.vllm_worker.WorkerExtension"
"""What vLLM's workers have to mix in (`worker_extension_cls`); importing it registers the backend."""

Group = list[tuple[str, Tensor]]
Groups = Callable[[], Iterable[Group]]
"""`Policy.weights`."""


class TensorPlace(NamedTuple):
    """Where a tensor lies in a file of shared memory; `offset` and `size` in bytes."""

    name: str
    dtype: str
    shape: list[int]
    offset: int
    size: int


class InProcessControl:
    """vLLM's weight-transfer calls (its `VLLMWeightSyncClient`) and calls of `WorkerExtension`, of a `vllm.LLM` of this
    process."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Lets the workers set up their end."""
        self.llm.init_weight_transfer_engine({"init_info": init_info})

    def start_weight_update(self) -> None:
        """Makes the layers ready to be loaded anew."""
        self.llm.start_weight_update()

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Loads one group."""
        self.llm.update_weights({"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Puts the layers back into service, under a version."""
        self.llm.finish_weight_update(weight_version)

    def call(self, method: str) -> Any:
        """The answer of the first worker to a method of `WorkerExtension`."""
        return self.llm.collective_rpc(method)[0]


class HttpControl:
    """The calls of [`p2o.rollout.vllm_weights.InProcessControl`][] on a server, through endpoints that
    `VLLM_SERVER_DEV_MODE=1` opens.

    No call of a push is repeated on its own: [`p2o.rollout.vllm_server.ServerSampler`][] repeats the whole push.
    """

    def __init__(self, client: ServerClient) -> None:
        self.client = client

    def _do(self, path: str, body: dict[str, Any]) -> None:
        self.client.post(path, body, lambda _: None)

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Lets the workers set up their end."""
        self._do("/init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        """Makes the layers ready to be loaded anew."""
        self._do("/start_weight_update", {})

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Loads one group."""
        self._do("/update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Puts the layers back into service, under a version."""
        self._do("/finish_weight_update", {"weight_version": weight_version})

    def call(self, method: str) -> Any:
        """The answer of the first worker to a method of `WorkerExtension`."""
        return self.client.post("/collective_rpc", {"method": method}, lambda answer: answer["results"][0])

    def set_version(self, version: str) -> None:
        """Stamps the weights with a version."""
        self._do("/update_weight_version", {"new_version": version})

    def version(self) -> str:
        """The version that the weights are stamped with."""
        return self.client.get("/weight_info", lambda answer: str(answer["weight_version"]), repeat=True)

    def workers(self) -> int:
        """How many workers hold the model."""
        return self.client.get("/get_world_size", lambda answer: int(answer["world_size"]))


Control = InProcessControl | HttpControl
"""The calls on one engine."""


@dataclass(frozen=True, slots=True)
class SentTypes:
    """The types in which tensors are sent: what is of the policy's type goes in the engine's.

    What a model keeps in another type (float32 among bfloat16 weights, whole numbers) stays in it, as in its files.
    """

    policy: torch.dtype
    engine: torch.dtype

    def of(self, tensor: Tensor) -> torch.dtype:
        """The type in which `tensor` is sent."""
        return self.engine if tensor.dtype == self.policy else tensor.dtype


class InProcessTransfer:
    """Hands the tensors to an engine of this process."""

    def __init__(self, control: Control, types: SentTypes) -> None:
        self.control = control
        self.types = types

    def push(self, groups: Groups, version: str) -> None:
        """Pushes all groups and stamps the engine's weights with `version`.

        Raises:
            TrainingError: if it fails; the engine's weights are then a mixture of old and new.
        """
        push_updates(self.control, groups, self._update, version)

    def _update(self, group: Group) -> dict[str, Any]:
        return {"tensors": [(name, tensor.to(self.types.of(tensor))) for name, tensor in group]}


class SharedMemoryTransfer:
    """Writes each group into a file in `folder` that the server's workers map as well."""

    def __init__(self, control: Control, types: SentTypes, folder: Path) -> None:
        self.control = control
        self.types = types
        self.folder = folder

    def push(self, groups: Groups, version: str) -> None:
        """As of [`p2o.rollout.vllm_weights.InProcessTransfer`][].

        Raises:
            ConfigError: if the folder cannot be written or is too small.
        """
        with ExitStack() as stack:
            try:
                file = stack.enter_context(NamedTemporaryFile(prefix="p2o-weights-", dir=self.folder))
            except OSError as error:
                drain(groups())
                raise ConfigError(
                    f"{self.folder}, the folder of rollout.vllm.transfer, cannot be written: {error.strerror}"
                ) from error
            push_updates(self.control, groups, lambda group: self._update(group, file), version)

    def _update(self, group: Group, file: Any) -> dict[str, Any]:
        places, end = [], 0
        for name, tensor in group:
            dtype = self.types.of(tensor)
            size = tensor.numel() * dtype.itemsize
            places.append(TensorPlace(name, str(dtype).removeprefix("torch."), list(tensor.shape), end, size))
            end += -(-size // 64) * 64  # every tensor starts aligned
        self._reserve(file.fileno(), end)
        buffer = torch.from_file(file.name, shared=True, size=end, dtype=torch.uint8)
        for place, (_, tensor) in zip(places, group, strict=True):
            target = buffer[place.offset : place.offset + place.size].view(self.types.of(tensor))
            target.view(place.shape).copy_(tensor)
        return {"path": file.name, "places": places}

    def _reserve(self, handle: int, size: int) -> None:
        """Allocates the file first: writing to a mapping of a full tmpfs would kill the process."""
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}, the folder of rollout.vllm.transfer, has no room for {size / 2**30:.2f} GiB of "
                f"weights ({error.strerror}): enlarge it (docker run --shm-size) or name another, shared-memory:/FOLDER"
            ) from error


class NcclTransfer:
    """Broadcasts to the server's GPUs with vLLM's backend `nccl`.

    The trainer's rank 0 and the server's workers form a group of their own; the other ranks only take part in
    gathering the weights.
    """

    def __init__(self, control: HttpControl, types: SentTypes, *, rank: int, way: Nccl) -> None:
        self.control = control
        self.types = types
        self.rank = rank
        self.way = way
        self.sent: list[tuple[str, torch.dtype, tuple[int, ...]]] = []
        """Name, type and shape of every weight."""
        self.engine: Any = None

    def push(self, groups: Groups, version: str) -> None:
        """As of [`p2o.rollout.vllm_weights.InProcessTransfer`][]."""
        remaining = iter(groups())
        try:
            if not self.sent:  # shapes are only known by gathering: by all ranks once, they don't change
                self.sent = [
                    (name, self.types.of(tensor), tuple(tensor.shape))
                    for group in groups()
                    for name, tensor in group
                ]
            if self.engine is None:
                self.engine = self._connect()
            self.engine.source.groups = remaining
            if torch.cuda.is_available():
                # vLLM packs weights on streams of its own, which do not wait for what the optimizer has still to do.
                torch.cuda.current_stream().synchronize()
            self.engine.send_weights()
            if self.rank == 0:
                self.control.set_version(version)
        except Exception as error:
            self.engine = None
            drain(remaining)
            raise failed_push(error) from error

    def _connect(self) -> Any:
        from vllm.distributed.weight_transfer.base import ParamMeta
        from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        return WeightTransferTrainerFactory.trainer_init(
            NCCLTrainerInitInfo(
                master_address=self.way.address,
                master_port=self.way.port,
                world_size=1 + (self.control.workers() if self.rank == 0 else 0),
                rank=self.rank,
            ),
            client=self.control,
            source=PolicySource([ParamMeta(*weight) for weight in self.sent], self.types),
        )


Transfer = InProcessTransfer | SharedMemoryTransfer | NcclTransfer
"""A way of getting weights into an engine."""


class PolicySource:
    """The policy's weights as vLLM's `WeightSource`: what is sent, and the tensors, on this rank's GPU."""

    def __init__(self, metadata: list[Any], types: SentTypes) -> None:
        self._metadata = metadata
        self.groups: Iterable[Group] = ()
        """Those of the push under way."""
        self.types = types

    def metadata(self) -> list[Any]:
        """Name, type and shape of every weight."""
        return self._metadata

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Names and tensors, in the order of `metadata`."""
        for group in self.groups:
            for name, tensor in group:
                yield name, tensor.to(device="cuda", dtype=self.types.of(tensor))


def push_updates(
    control: Control, groups: Groups, update: Callable[[Group], dict[str, Any]], version: str
) -> None:
    """Start, one update a group, finish, and the check that no weight was left out.

    Raises:
        TrainingError: if any of it fails.
        ConfigError: as raised by `update`.
    """
    remaining = iter(groups())
    try:
        control.start_weight_update()
        for group in remaining:
            control.update_weights(update(group))
        control.finish_weight_update(version)
        missing = [str(name) for name in control.call("p2o_missing_weights")]
    except Exception as error:
        with suppress(Exception):
            control.call("p2o_abandon_update")
        drain(remaining)
        if isinstance(error, ConfigError):
            raise
        raise failed_push(error) from error
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise TrainingError(
            f"the weight push left out {len(missing)} weights of the engine's model ({names}): is it the policy's "
            "architecture?"
        )


def failed_push(error: Exception) -> TrainingError:
    """One line about a push that failed; a SamplerError if another attempt may end otherwise."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    kind = SamplerError if may_pass(error) else TrainingError
    return kind(
        f"pushing the weights to vLLM failed, and its engine must not be sampled from before the next push: {reason}"
    )
