"""Samplers by name: what each can, what is refused before anything is loaded, and one from outside the package."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from p2o.assembly import prepare
from p2o.config import Config, load_config
from p2o.distributed import Processes
from p2o.errors import ConfigError, InputError
from p2o.files import read_jsonl
from p2o.loop import train
from p2o.memory import run_memory
from p2o.model.load import load_outline
from p2o.parts import load_parts
from p2o.rollout.config import FIXED, SAMPLERS, SET_ELSEWHERE, Nccl, SharedMemory, parse_transfer
from p2o.rollout.hf import HfSampler
from p2o.rollout.lent import LentSampler
from p2o.rollout.probe import check_gap, full_forward
from p2o.rollout.sampler import Progress, Sample, Sampler, SampleRequest, SamplingParams, sampler_class
from p2o.sizes import Item
from p2o.tiny import MODEL_PATH
from p2o.track.console import Console


class OwnSampler(Sampler):
    """An engine of one's own: a copy of the model, to which the weights are pushed."""

    at_once = 5

    def __init__(self, inner: HfSampler) -> None:
        self.inner = inner
        self.pushes = 0
        self.slept = 0
        self.dtype = "float32"

    @classmethod
    def make(cls, config: Config, model: Any, tokenizer: Any, processes: Processes) -> OwnSampler:
        return cls(HfSampler.make(config, copy.deepcopy(model), tokenizer, processes))

    @classmethod
    def check(cls, config: Config) -> None:
        if config.rollout.top_k:
            raise ConfigError("rollout.top_k is 3: OwnSampler cannot, leave it out")

    @classmethod
    def memory(cls, config: Config, model: Any, *, gpu: bool, gpu_memory: int | None) -> list[Item]:
        return [Item("a copy of the model", "host", 7)]

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        return self.inner.sample(requests, params, progress)

    def sync(self, policy: Any) -> None:
        self.pushes += 1
        own = dict(self.inner.model.named_parameters())
        with torch.no_grad():
            for group in policy.weights():
                for name, weight in group:
                    own[name].copy_(weight)

    def sleep(self) -> None:
        self.slept += 1


OWN = f"rollout.sampler={__name__}:OwnSampler"
SMALL = [
    *("data.train_size=12", "data.evaluation_size=4", "run.batch_problems=4", "run.epochs=2"),
    *("run.threads=1", "mining.min_count=2", "evolve.budget=40", "evolve.dev_size=4", "evolve.parents=2"),
    *("evolve.acceptance=posterior", "guidance.train_on_evaluations=false", "guidance.spend=fixed"),
]


def trained(path: Path, *overrides: str) -> tuple[Any, list[dict[str, Any]], dict[str, Any]]:
    run = prepare(load_config("quickstart", [*SMALL, *overrides]), path, console=Console.silent())
    train(run)
    metrics = read_jsonl(path / "metrics.jsonl")
    kept = [
        {name: value for name, value in line.items() if not name.startswith(("time/", "sync/"))}
        for line in metrics
    ]
    return run, kept, {name: p.detach() for name, p in run.policy.model.named_parameters()}


def test_a_sampler_from_outside_trains_as_ours_does(tmp_path: Path) -> None:
    """The same draws from weights that are pushed: the run is that of `hf`, the probe after each push aside."""
    _, expected, weights = trained(tmp_path / "hf")
    run, found, pushed = trained(tmp_path / "own", OWN)
    sampler = run.collector.sampler
    assert isinstance(sampler, OwnSampler)
    assert isinstance(run.guidance.parts.reflect.sampler, LentSampler), "it reflects with the start weights"
    assert found == expected
    assert all(torch.equal(pushed[name], weight) for name, weight in weights.items())
    steps = run.state.step
    assert steps == 6
    assert sampler.slept == steps
    assert sampler.pushes >= 1 + steps + 2, "at the start, after each step, and to and from each reflection"
    assert "sync/gap_mean" in (tmp_path / "own/metrics.jsonl").read_text(), "pushed weights are probed"
    assert "sync/gap_mean" not in (tmp_path / "hf/metrics.jsonl").read_text()


def test_a_sampler_from_outside_says_what_it_refuses_and_takes() -> None:
    with pytest.raises(ConfigError, match="OwnSampler cannot"):
        load_parts(load_config("quickstart", [OWN, "rollout.top_k=3", "model.source=/nowhere"]))
    model = load_outline(str(MODEL_PATH), dtype="float32")
    memory = run_memory(load_config("quickstart", [OWN]), model, ranks=1, gpu=False)
    assert Item("a copy of the model", "host", 7) in memory.items


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Sampler", "cannot import 'no_such_module'"),
        (f"{__name__}:Nobody", "has no 'Nobody'"),
        (f"{__name__}:trained", "is no class derived from p2o.rollout.sampler.Sampler"),
    ],
)
def test_an_import_path_that_leads_to_no_sampler(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^rollout.sampler = {name!r}.*{message}"):
        sampler_class(load_config("quickstart", [f"rollout.sampler={name}"]).rollout.sampler)


GOOD = Sample([5, 1], [-0.1, -0.2], "stop")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "must return a list of Samples, one for each request"),
        ([GOOD, "text"], "must return a list of Samples"),
        ([GOOD], "returned 1 Samples for 2 requests"),
        ([GOOD] * 3, "returned 3 Samples for 2 requests"),
        ([GOOD, Sample([5, 1], [-0.1], "stop")], "a Sample has 2 tokens and 1 log-probs"),
        (
            [GOOD, Sample([], [], "stop")],
            "a Sample has 0 tokens and 0 log-probs: give at least the end token",
        ),
    ],
)
def test_what_a_sampler_of_ones_own_returns_is_looked_at(
    returned: Any, message: str, random_model: Any
) -> None:
    class Own(OwnSampler):
        def sample(self, *arguments: Any) -> Any:
            return returned

    own = Own(HfSampler(random_model, end_ids=[1], pad_id=0))
    requests = [SampleRequest((2, 10), seed) for seed in range(2)]
    with pytest.raises(InputError, match=f"^rollout.sampler: .*{message}"):
        list(own.stream(requests, SamplingParams(2)))
    with pytest.raises(InputError, match=f"^rollout.sampler: .*{message}"):
        check_gap(own, partial(full_forward, random_model, 1.0), [(2, 10), (2, 11)], SamplingParams(2), 1.0)


def test_a_misspelt_name_is_told_what_there_is() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("quickstart", ["rollout.sampler=vlm"])
    assert str(caught.value) == (
        "setting rollout.sampler = 'vlm': Input should be 'hf', 'vllm' or 'vllm-server', or an import path module:name"
    )


def test_what_ours_can() -> None:
    can = {
        name: (kind.shares_weights, kind.in_process, kind.refills)
        for name in SAMPLERS
        for kind in [sampler_class(name)]
    }
    assert can == {
        "hf": (True, True, False),
        "vllm": (False, True, True),
        "vllm-server": (False, False, True),
    }


def test_a_draw_that_is_broken_off_leaves_nothing_behind(random_model: Any) -> None:
    sampler = HfSampler(random_model, end_ids=[1], pad_id=0, batch_size=2)
    requests = [SampleRequest((2, 10, 3 + seed), seed) for seed in range(4)]
    expected = sampler.sample(requests, SamplingParams(4))

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sampler.sample(requests, SamplingParams(4), stop)
    assert sampler.sample(requests, SamplingParams(4)) == expected


def test_an_engine_must_take_the_longest_prompts_and_the_reflection() -> None:
    """quickstart: prompts of 192 tokens, responses of 48, reflections of 64."""

    def check(*overrides: str) -> None:
        lengths = ["rollout.sampler=vllm", "rollout.max_prompt_tokens=192", "rollout.max_tokens=48"]
        config = load_config("quickstart", [*lengths, *overrides])
        sampler_class(config.rollout.sampler).check(config)

    check("rollout.vllm.max_model_len=240")
    with pytest.raises(ConfigError, match=r"rollout\.vllm\.max_model_len is 239"):
        check("rollout.vllm.max_model_len=239")
    with pytest.raises(ConfigError, match=r"reflection\.max_tokens is 240"):
        check("reflection.max_tokens=240")
    check("reflection.max_tokens=240", "rollout.vllm.max_model_len=241")
    openai = ("reflection.kind=openai", "reflection.endpoint.model=m")
    for elsewhere in (["run.method=grpo"], openai, ["rollout.sampler=vllm-server"]):
        check("reflection.max_tokens=240", *elsewhere)


def test_an_engine_in_the_process_is_on_its_first_gpu() -> None:
    """vLLM 0.32 puts the one worker of an engine on the device 0, and makes that the current one of the process."""

    def check(device: str, sampler: str = "vllm") -> None:
        config = load_config("quickstart", [f"model.device={device}", f"rollout.sampler={sampler}"])
        sampler_class(config.rollout.sampler).check(config)

    for device in ("auto", "cpu", "cuda", "cuda:0"):
        check(device)
    with pytest.raises(ConfigError, match=r'set CUDA_VISIBLE_DEVICES=10 .* and model\.device = "cuda"'):
        check("cuda:10")
    check("cuda:1", "vllm-server")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("shared-memory", SharedMemory(Path("/dev/shm"))),
        ("shared-memory:/var/big", SharedMemory(Path("/var/big"))),
        ("nccl:10.0.0.7:29600", Nccl("10.0.0.7", 29600)),
        ("nccl:[fe80::1]:1", Nccl("fe80::1", 1)),
    ],
)
def test_ways_of_transfer(text: str, way: Any) -> None:
    assert parse_transfer(text) == way
    assert load_config("quickstart", [f"rollout.vllm.transfer={text}"]).rollout.vllm.transfer == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nccl",
        "nccl:host",
        "nccl::1",
        "nccl:host:0",
        "nccl:host:65536",
        "shared-memory:",
        "shared-memory:here",
        "http",
    ],
)
def test_no_way_of_transfer(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^rollout\.vllm\.transfer: transfer is .*: write shared-memory,"
    ) as caught:
        load_config("quickstart", [f'rollout.vllm.transfer="{text}"'])
    assert "\n" not in str(caught.value)


class Unmade(Sampler):
    """Defines everything but `make`."""

    def sample(self, requests: Any, params: Any, progress: Any = None) -> list[Sample]:
        return []

    def sync(self, policy: Any) -> None:
        pass


def test_a_sampler_without_make_is_told_what_to_define() -> None:
    with pytest.raises(ConfigError, match=r"^rollout.sampler: Unmade cannot be made: define make\("):
        load_parts(load_config("quickstart", [f"rollout.sampler={__name__}:Unmade"]))


@pytest.mark.parametrize(
    "url",
    [
        *("http://host:80x", "http://host:99999", "http://host:0", "http://:80", "http://[::1"),
        *("http://ho st", "http://host\n", "http://host?x=1", "host:8000", "http://host/path"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_settings(url: str) -> None:
    """An HTTP client would raise something of its own, when the model has been loaded."""
    with pytest.raises(ConfigError, match=r"rollout\.vllm\.url") as caught:
        load_config("quickstart", {"rollout.vllm.url": url})
    assert "\n" not in str(caught.value)


def test_addresses_of_servers() -> None:
    for url in (
        "http://host",
        "https://host:8443/",
        "http://[::1]:8000",
        "http://10.0.0.7:1",
        "http://me:word@host:1",
    ):
        assert load_config("quickstart", {"rollout.vllm.url": url}).rollout.vllm.url == url


def test_the_address_of_a_server_that_was_written_down_lacks_its_password() -> None:
    """A resumed run goes by its `config.toml`: it would be told that the server asks for its token."""

    def check(url: str) -> Any:
        config = load_config("quickstart", [f"rollout.vllm.url={url}", "rollout.sampler=vllm-server"])
        sampler_class(config.rollout.sampler).check(config)
        return config

    written = check("https://me:word@host:8443").model_dump()["rollout"]["vllm"]["url"]
    assert "word" not in written
    with pytest.raises(ConfigError, match=r"^rollout\.vllm\.url holds \*\*\* .* --set rollout\.vllm\.url="):
        check(written)
    check("https://host:8443")


def test_further_arguments_of_the_engine_are_refused_where_they_have_a_setting_or_no_effect() -> None:
    def of(extra: str, *more: str) -> Any:
        return load_config("quickstart", [f"rollout.vllm.extra={extra}", *more])

    taken = '{kv_cache_dtype = "fp8", speculative_config = {method = "ngram"}}'
    assert of(taken).rollout.vllm.extra["speculative_config"] == {"method": "ngram"}
    for name, setting in SET_ELSEWHERE.items():
        with pytest.raises(ConfigError, match=re.escape(f"{name} is not one of them: set {setting}")):
            of(f"{{{name} = 1}}")
        settings: Any = Config
        for part in setting.split("."):
            assert part in settings.model_fields, "there is such a setting"
            settings = settings.model_fields[part].annotation
    for name in FIXED:
        with pytest.raises(ConfigError, match=f"{name} cannot be set"):
            of(f"{{{name} = 1}}")
    served = of(taken, "rollout.sampler=vllm-server")
    with pytest.raises(ConfigError, match=r"p2o serve MODEL --vllm"):
        sampler_class(served.rollout.sampler).check(served)
