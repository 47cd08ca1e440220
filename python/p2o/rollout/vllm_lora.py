"""How a policy gets into a vLLM engine (`rollout.vllm.lora`): as merged weights, or as LoRA adapters over weights that
are pushed once.

An adapter of a few MB goes through a folder in the format of peft, which vLLM loads by itself: in /dev/shm, or for a
server in the folder of `rollout.vllm.transfer`. Each has a name of its own, by which requests ask for it and cached
prefixes are told apart. Requests that name none are answered by the weights under it: those of the start.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from p2o.errors import ConfigError
from p2o.policy.weights import drain, saved_weights
from p2o.rollout.server_client import ServerClient
from p2o.rollout.vllm_weights import Transfer, failed_push

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.policy.optimizer_config import LoraConfig
    from p2o.policy.weights import Weights

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM 0.32 has room for (`MaxLoRARanks`); a smaller adapter is filled up."""


def check_lora(config: Config) -> None:
    """Refuses adapters where none are trained, or of a rank that vLLM does not take.

    Raises:
        ConfigError: naming the setting.
    """
    if config.rollout.vllm.lora == "merged":
        return
    if config.optimizer.lora is None:
        raise ConfigError(
            'rollout.vllm.lora = "adapter", but the weights themselves are trained: set optimizer.lora.rank, or '
            'rollout.vllm.lora = "merged"'
        )
    room(config.optimizer.lora.rank)


def room(rank: int) -> int:
    """The rank that an engine must have room for.

    Raises:
        ConfigError: if it is more than vLLM takes.
    """
    for limit in RANKS:
        if rank <= limit:
            return limit
    raise ConfigError(
        f"optimizer.lora.rank is {rank}, and vLLM takes adapters of rank {RANKS[-1]} at most: set rollout.vllm.lora = "
        '"merged"'
    )


def adapted_names(model: Any, targets: tuple[str, ...] = ()) -> list[str]:
    """The last parts of the names of layers that get an adapter, or have one: vLLM leaves all others as they are."""
    from p2o.policy.lora import linear_shapes, lora_layers

    names = targets or lora_layers(model) or linear_shapes(model)
    return sorted({name.rpartition(".")[2] for name in names})


def engine_arguments(model: Any, lora: LoraConfig) -> dict[str, Any]:
    """What an engine is started with that takes adapters of `lora` over `model`."""
    return {
        "enable_lora": True,
        "max_lora_rank": room(lora.rank),
        "max_loras": 1,
        "lora_target_modules": adapted_names(model, lora.target_modules),
    }


class EngineSlot:
    """Where an engine in this process keeps its one adapter."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self.loaded = 0

    def load(self, folder: Path, name: str) -> Any:
        """Puts the adapter in `folder` in the place of the one before; returns what requests ask for it by."""
        from vllm.lora.request import LoRARequest

        engine = self.llm.llm_engine
        if self.loaded:
            engine.remove_lora(self.loaded)
        self.loaded += 1
        request = LoRARequest(name, self.loaded, str(folder))
        engine.add_lora(request)
        return request


class ServerSlot:
    """Where a server does, whose API names adapters like models."""

    def __init__(self, client: ServerClient) -> None:
        self.client = client

    def load(self, folder: Path, name: str) -> Any:
        """As of [`p2o.rollout.vllm_lora.EngineSlot`][]. What an earlier run has left is dropped too."""
        # Of the models that are listed, adapters have a parent.
        listed = self.client.get(
            "/v1/models", lambda answer: [(m["id"], m["parent"]) for m in answer["data"]]
        )
        for former, parent in listed:
            if parent is not None:
                self.client.post("/v1/unload_lora_adapter", {"lora_name": former}, str, decode=False)
        asked = {"lora_name": name, "lora_path": str(folder)}
        self.client.post("/v1/load_lora_adapter", asked, str, decode=False)
        return name


class MergedPush:
    """All weights, at each push."""

    sleep_level = 2
    """The engine's weights are dropped while the trainer works: new ones come anyway."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer

    def push(self, policy: Weights, name: str, held: str | None) -> tuple[str, Any]:
        """The version of the weights in the engine, and the adapter that requests name (None).

        Args:
            policy: whose weights they are.
            name: of this push.
            held: the version that the engine has, if it has one that is whole.

        Raises:
            P2oError: if it fails; see [`p2o.rollout.vllm_weights.InProcessTransfer`][].
        """
        self.transfer.push(lambda: saved_weights(policy), name)
        return name, None

    def follow(self, policy: Weights, name: str, held: str | None) -> tuple[str, Any]:
        """Of a rank beside that which pushes: gathering is a collective."""
        drain(policy.weights())
        return name, None


class AdapterPush:
    """The weights under the adapters once, and at each push the adapters."""

    sleep_level = 1
    """The engine's weights wait in the host's memory while the trainer works."""

    def __init__(self, transfer: Transfer, slot: EngineSlot | ServerSlot, folder: Path) -> None:
        self.transfer = transfer
        self.slot = slot
        self.folder = folder

    def push(self, policy: Weights, name: str, held: str | None) -> tuple[str, Any]:
        """As of [`p2o.rollout.vllm_lora.MergedPush`][]."""
        adapter = policy.adapter()  # first: the other ranks take part in it, whatever fails here
        if held is None:
            self.transfer.push(lambda: saved_weights(policy, merged=False), name)
        if adapter is None:
            return held or name, None
        try:
            with TemporaryDirectory(prefix="p2o-adapter-", dir=self.folder) as folder:
                adapter.write(Path(folder, "adapter"))
                return held or name, self.slot.load(Path(folder, "adapter"), name)
        except OSError as error:
            raise ConfigError(
                f"{self.folder}, where adapters are passed to vLLM, cannot be written ({error.strerror}): for a server "
                "name another in rollout.vllm.transfer, shared-memory:/FOLDER"
            ) from error
        except Exception as error:
            raise failed_push(error) from error

    def follow(self, policy: Weights, name: str, held: str | None) -> tuple[str, Any]:
        """As of [`p2o.rollout.vllm_lora.MergedPush`][]."""
        adapter = policy.adapter()
        if held is None:
            drain(policy.weights(merged=False))
        return held or name, None if adapter is None else name
