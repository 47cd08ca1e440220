"""Adapters in place of merged weights, without vLLM: what is pushed when, what is refused, who reflects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from p2o.config import Config, load_config
from p2o.errors import ConfigError, TrainingError
from p2o.rollout.lent import BareSampler
from p2o.rollout.sampler import Sample, Sampler, SampleRequest, SamplingParams
from p2o.rollout.vllm_lora import AdapterPush, MergedPush, ServerSlot, adapted_names, check_lora, room

ADAPTER = ("rollout.sampler=vllm", "rollout.vllm.lora=adapter")


def config(*settings: str) -> Config:
    return load_config("quickstart", list(settings))


class Written:
    """An adapter that writes its rank."""

    def __init__(self, text: str) -> None:
        self.text = text

    def write(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "adapter").write_text(self.text)


class Policy:
    """Weights and adapters, and a record of what was asked for."""

    model = None

    def __init__(self, *adapters: str | None) -> None:
        self.adapters = list(adapters)
        self.asked: list[str] = []

    def weights(self, *, merged: bool = True) -> Any:
        self.asked.append("merged" if merged else "base")
        return iter([])

    def adapter(self) -> Written | None:
        self.asked.append("adapter")
        text = self.adapters.pop(0)
        return None if text is None else Written(text)


class Transfer:
    def push(self, groups: Any, version: str) -> None:
        list(groups())


class Slot:
    """Reads what it is given while it is there."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, str]] = []
        self.fails = False

    def load(self, folder: Path, name: str) -> str:
        if self.fails:
            raise RuntimeError("no room")
        self.loaded.append((name, (folder / "adapter").read_text()))
        return name


def test_weights_are_pushed_once_and_adapters_each_time(tmp_path: Path) -> None:
    slot, policy = Slot(), Policy("first", "second")
    pusher = AdapterPush(Transfer(), slot, tmp_path)
    assert pusher.push(policy, "p2o-1", None) == ("p2o-1", "p2o-1")
    assert pusher.push(policy, "p2o-2", "p2o-1") == ("p2o-1", "p2o-2")  # the version is that of the weights
    assert slot.loaded == [("p2o-1", "first"), ("p2o-2", "second")]
    assert policy.asked == ["adapter", "base", "adapter"]
    assert not list(tmp_path.iterdir())
    # A rank that follows takes part in what is gathered, and comes to the same.
    follower = Policy("first", "second")
    assert pusher.follow(follower, "p2o-1", None) == ("p2o-1", "p2o-1")
    assert pusher.follow(follower, "p2o-2", "p2o-1") == ("p2o-1", "p2o-2")
    assert follower.asked == policy.asked


def test_weights_without_adapters_are_sampled_as_they_are(tmp_path: Path) -> None:
    slot, pusher = Slot(), AdapterPush(Transfer(), Slot(), tmp_path)
    assert pusher.push(Policy(None), "p2o-1", None) == ("p2o-1", None)
    assert slot.loaded == []
    merged, policy = MergedPush(Transfer()), Policy()
    assert merged.push(policy, "p2o-1", None) == ("p2o-1", None)
    assert merged.push(policy, "p2o-2", "p2o-1") == ("p2o-2", None)
    assert policy.asked == ["merged", "merged"]


def test_a_failure_is_told_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    slot = Slot()
    slot.fails = True
    with pytest.raises(TrainingError, match=r"pushing the weights to vLLM failed.*: no room"):
        AdapterPush(Transfer(), slot, tmp_path).push(Policy("first"), "p2o-1", None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="where adapters are passed to vLLM, cannot be written"):
        AdapterPush(Transfer(), Slot(), tmp_path / "missing").push(Policy("first"), "p2o-1", None)


def test_a_server_keeps_one_adapter(tmp_path: Path) -> None:
    class Client:
        models = [("model", None), ("p2o-7", "model"), ("p2o-8", "model")]  # noqa: RUF012

        def get(self, path: str, read: Any) -> Any:
            return read({"data": [{"id": name, "parent": parent} for name, parent in self.models]})

        def post(self, path: str, body: Any, read: Any, *, decode: bool) -> Any:
            assert not decode  # vLLM answers with a sentence
            asked.append((path.removeprefix("/v1/"), body["lora_name"]))

    asked: list[tuple[str, str]] = []
    client: Any = Client()
    assert ServerSlot(client).load(tmp_path, "p2o-9") == "p2o-9"
    assert asked == [
        ("unload_lora_adapter", "p2o-7"),
        ("unload_lora_adapter", "p2o-8"),
        ("load_lora_adapter", "p2o-9"),
    ]


def test_adapters_that_nobody_trains_or_vllm_has_no_room_for_are_refused() -> None:
    check_lora(config(*ADAPTER, "optimizer.lora.rank=16"))
    check_lora(config())
    with pytest.raises(ConfigError, match=r"the weights themselves are trained: set optimizer\.lora\.rank"):
        check_lora(config(*ADAPTER))
    with pytest.raises(ConfigError, match="rank is 600, and vLLM takes adapters of rank 512 at most"):
        check_lora(config(*ADAPTER, "optimizer.lora.rank=600"))
    assert [room(rank) for rank in (1, 2, 8, 9, 512)] == [1, 8, 8, 16, 512]
    assert adapted_names(None, ("self_attn.q_proj", "v_proj")) == ["q_proj", "v_proj"]


def test_an_engine_with_adapters_needs_no_start_weights() -> None:
    assert config("optimizer.lora.rank=16").needs_start_weights
    assert config("rollout.sampler=vllm", "optimizer.lora.rank=16").needs_start_weights
    assert not config(*ADAPTER, "optimizer.lora.rank=16").needs_start_weights
    assert config(*ADAPTER, "optimizer.lora.rank=16", "loss.kl_coef=0.1").needs_start_weights


def test_the_start_reflects_under_the_adapter() -> None:
    class Engine(Sampler):
        adapters = True
        adapter = "p2o-3"
        max_model_len = 64

        def sample(self, requests: Any, params: Any, progress: Any = None) -> list[Sample]:
            names.append(self.adapter)
            if not requests:
                raise TrainingError("the engine failed")
            return [Sample([1], [0.0], "stop")]

        def sync(self, policy: Any) -> None:
            raise AssertionError("nothing is pushed")

    names: list[str | None] = []
    engine = Engine()
    bare = BareSampler(engine)
    bare.sync(None)  # type: ignore[arg-type]
    params = SamplingParams(4)
    bare.sample([SampleRequest((1,), 0)], params)
    with pytest.raises(TrainingError):
        bare.sample([], params)
    engine.sample([SampleRequest((1,), 0)], params)
    assert names == [None, None, "p2o-3"]
    assert bare.max_model_len == 64
